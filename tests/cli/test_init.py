"""`basec init` of a local stack: everything is made once, encrypted, and kept."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest
import yaml

from basec.environments import Environment
from basec.secrets.stack_file import StackFile
from localcloud.allocate import allocate
from localcloud.config import Mode
from tests.cli.conftest import Run
from topology.keys import public_key
from topology.project import load_project

NAME = "local-test"


def allocate_dry(clone: Path) -> None:
    allocate(directory=clone / ".local" / NAME, name=NAME, mode=Mode.DRY, cache=clone / "cache", http_port=None)


def test_the_rendered_settings_pass_the_check_of_all_settings(basec: Run, clone: Path) -> None:
    allocate_dry(clone)
    assert basec("init", "--env", NAME).code == 0
    stack = StackFile(Environment(name=NAME, root=clone))
    project = load_project(clone, NAME, stack.settings, stack.secret_names)
    cloud = json.loads((clone / ".local" / NAME / "cloud.json").read_text())
    assert str(project.settings.vpc_ip_range) == cloud["vpc_range"]
    assert [str(network) for network in project.settings.cloudflare.ranges] == [f"{cloud['cloudflare_address']}/32"]


def test_secrets_are_encrypted_and_their_files_are_the_owners_alone(basec: Run, clone: Path) -> None:
    allocate_dry(clone)
    basec("init", "--env", NAME)
    directory = clone / ".local" / NAME
    for path in (directory / "passphrase", directory / f"Pulumi.{NAME}.yaml"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    stack = StackFile(Environment(name=NAME, root=clone))
    text = "".join(path.read_text() for path in directory.rglob("*") if path.is_file() and path.name != "passphrase")
    for name in stack.secret_names:
        value = stack.secret(name if ":" in name else f"basecommerce:{name}")
        assert value.strip() not in text
    assert re.fullmatch(r"[A-Za-z0-9_-]{24,}", stack.secret("basecommerce:database_password_auth"))
    assert public_key(stack.secret("basecommerce:login_private_key")).startswith("ssh-ed25519 ")


def test_a_second_init_keeps_every_value_and_says_so(basec: Run, clone: Path) -> None:
    allocate_dry(clone)
    basec("init", "--env", NAME)
    before = (clone / ".local" / NAME / f"Pulumi.{NAME}.yaml").read_text()
    outcome = basec("init", "--env", NAME)
    assert outcome.stderr == f"{NAME}: everything is there already\n"
    assert (clone / ".local" / NAME / f"Pulumi.{NAME}.yaml").read_text() == before


def test_only_a_missing_secret_is_made_again(basec: Run, clone: Path) -> None:
    allocate_dry(clone)
    basec("init", "--env", NAME)
    path = clone / ".local" / NAME / f"Pulumi.{NAME}.yaml"
    document = yaml.safe_load(path.read_text())
    del document["config"]["basecommerce:token_key"]
    path.write_text(yaml.safe_dump(document))
    assert basec("init", "--env", NAME).stderr == f"{NAME}: made secrets: token_key\n"
    after = yaml.safe_load(path.read_text())["config"]
    assert after["basecommerce:redis_password"] == document["config"]["basecommerce:redis_password"]


def test_a_lost_passphrase_is_named(basec: Run, clone: Path) -> None:
    allocate_dry(clone)
    basec("init", "--env", NAME)
    (clone / ".local" / NAME / "passphrase").write_text("another\n")
    path = clone / ".local" / NAME / f"Pulumi.{NAME}.yaml"
    path.write_text(path.read_text().replace("basecommerce:token_key:", "basecommerce:unused_key:"))
    outcome = basec("init", "--env", NAME)
    assert outcome.code == 2
    problem = f"Pulumi.{NAME}.yaml: encryptionsalt: the passphrase does not fit this file"
    assert outcome.stderr == f"{problem}\nhint: name the right passphrase file; more: basec explain BC-E058\n"


def test_a_wrong_setting_is_refused_before_anything_is_touched(basec: Run, clone: Path) -> None:
    allocate_dry(clone)
    basec("init", "--env", NAME)
    template = clone / "Pulumi.local.yaml"
    template.write_text(template.read_text().replace("region: nyc3", "region: mars1"))
    before = sorted(clone.rglob("*"))
    outcome = basec("up", "--env", NAME)
    assert outcome.code == 2
    assert "Pulumi.local.yaml: basecommerce:settings.region: " in outcome.stderr
    assert "mars1" in outcome.stderr
    assert "hint: " in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert sorted(clone.rglob("*")) == before


@pytest.mark.parametrize(("variable", "example"), [("LOCAL_HTTP_PORT", 8080), ("LOCAL_HTTPS_PORT", 8443)])
def test_a_wrong_port_variable_is_refused(
    basec: Run, monkeypatch: pytest.MonkeyPatch, variable: str, example: int
) -> None:
    monkeypatch.setenv(variable, "http")
    outcome = basec("init", "--env", NAME)
    wanted = f"basec: {variable}: 'http' is not a port\nhint: {variable}={example} make up\n"
    assert (outcome.code, outcome.stderr) == (2, wanted)


def test_ports_and_tenants_of_the_environment_are_kept_with_those_that_smoke_asks_for(
    basec: Run, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allocate_dry(clone)
    monkeypatch.setenv("LOCAL_HTTPS_PORT", "8443")
    monkeypatch.setenv("LOCAL_TENANTS", "acme")
    assert basec("init", "--env", NAME).code == 0
    cloud = json.loads((clone / ".local" / NAME / "cloud.json").read_text())
    assert (cloud["https_port"], cloud["visitor_labels"]) == (8443, ["acme", "demo", "no-such-tenant"])


def test_a_wrong_tenant_variable_is_refused(basec: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_TENANTS", "acme A.b")
    outcome = basec("init", "--env", NAME)
    wanted = "basec: LOCAL_TENANTS: 'A.b' is not a tenant\nhint: LOCAL_TENANTS=\"acme other\" make up\n"
    assert (outcome.code, outcome.stderr) == (2, wanted)
