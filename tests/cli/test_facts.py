"""What an `up` leaves behind: three files that ssh and smoke can use, and no secret in any."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from basec.environments import Environment
from basec.hosts import facts
from basec.local.cloud import StandIn
from tests.cli.conftest import REPOSITORY
from topology.errors import UsageError
from topology.inventory import load_inventory

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA"
OUTPUTS: dict[str, Any] = {
    "domain": "localhost",
    "edge_reserved_ip": "198.51.100.24",
    "ssh_user": "basec",
    "droplets": {
        "infra": {"public_ip": "198.51.100.8", "private_ip": "10.77.0.8", "template_digest": "0123456789ab"},
        "edge": {"public_ip": "198.51.100.10", "private_ip": "10.77.0.10"},
    },
    "host_public_keys": {"infra": f"{KEY}infra comment", "edge": f"{KEY}edge"},
    "releases": {"infra": "token-of-a-secret"},
}
DROPLETS = load_inventory(REPOSITORY / "inventory.yaml").droplets


def stand_in(environment: Environment, http_port: int, https_port: int | None) -> StandIn:
    return StandIn(http_port=http_port, https_port=https_port, ca_file=environment.public_ca_file)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    environment = Environment(name="local", root=tmp_path / "a clone")
    shutil.copytree(REPOSITORY / "compose", environment.root / "compose")
    facts.write(environment, OUTPUTS, DROPLETS, stand_in(environment, 8080, 8443))
    return environment


def effective(environment: Environment, host: str) -> dict[str, str]:
    """Ask OpenSSH itself what it makes of the file."""
    config = environment.facts_dir / "ssh_config"
    run = subprocess.run(["ssh", "-G", "-F", str(config), host], capture_output=True, text=True, check=True)
    return dict(line.split(" ", 1) for line in run.stdout.splitlines() if " " in line)


def test_what_was_written_is_read_again(environment: Environment) -> None:
    known = facts.load(environment)
    assert known == facts.write(environment, OUTPUTS, DROPLETS, stand_in(environment, 8080, 8443))
    assert known.host("platform") is known.hosts["infra"]
    assert (known.hosts["edge"].ip, known.hosts["infra"].ip) == ("198.51.100.24", "198.51.100.8")


def test_an_unknown_host_names_the_known_ones(environment: Environment) -> None:
    with pytest.raises(UsageError) as caught:
        facts.load(environment).host("web")
    assert caught.value.render() == "basec: local: unknown host 'web'\nhint: one of edge, infra, platform"


def test_ssh_reaches_a_host_by_name_or_alias_through_the_bastion(environment: Environment) -> None:
    for name in ("infra", "platform"):
        options = effective(environment, name)
        assert (options["hostname"], options["proxyjump"], options["user"]) == ("10.77.0.8", "edge", "basec")
        assert options["hostkeyalias"] == "basecommerce-local-infra"
    edge = effective(environment, "edge")
    assert (edge["hostname"], edge.get("proxyjump")) == ("198.51.100.24", None)


def test_ssh_trusts_pinned_keys_and_the_private_agent_alone(environment: Environment) -> None:
    options = effective(environment, "edge")
    assert options["stricthostkeychecking"] == "true"
    assert options["userknownhostsfile"].strip('"') == str(environment.facts_dir / "known_hosts")
    assert options["globalknownhostsfile"] == "/dev/null"
    assert options["identityfile"] == "none"
    assert options["passwordauthentication"] == "no"
    assert options["forwardagent"] == "no"


def test_a_clone_that_was_moved_or_copied_logs_in_by_its_own_files(environment: Environment, tmp_path: Path) -> None:
    there = Environment(name=environment.name, root=tmp_path / "moved")
    shutil.copytree(environment.facts_dir, there.facts_dir)
    facts.load(there)
    config = (there.facts_dir / "ssh_config").read_text()
    assert f'UserKnownHostsFile "{there.facts_dir}/known_hosts"' in config
    assert str(environment.facts_dir) not in config


def test_host_keys_are_pinned_by_what_a_host_is(environment: Environment) -> None:
    text = (environment.facts_dir / "known_hosts").read_text()
    assert text == f"basecommerce-local-edge {KEY}edge\nbasecommerce-local-infra {KEY}infra\n"


def test_the_files_are_the_owners_and_hold_exports_only_that_are_needed(environment: Environment) -> None:
    names = sorted(path.name for path in environment.facts_dir.iterdir())
    assert names == ["inventory.yaml", "known_hosts", "ssh_config"]
    for path in environment.facts_dir.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert "token-of-a-secret" not in path.read_text()


@pytest.mark.parametrize(
    ("ports", "url"),
    [
        ((80, 443), "https://demo.localhost"),
        ((80, 8443), "https://demo.localhost:8443"),
        ((80, None), "http://demo.localhost"),
        ((8080, None), "http://demo.localhost:8080"),
        (None, "https://demo.localhost"),
    ],
)
def test_a_tenants_url_is_what_a_person_types(
    environment: Environment, ports: tuple[int, int | None] | None, url: str
) -> None:
    facts.write(environment, OUTPUTS, DROPLETS, stand_in(environment, *ports) if ports else None)
    assert facts.load(environment).url("demo") == url


def test_a_stack_of_before_there_was_tls_is_still_asked_in_clear(environment: Environment) -> None:
    path = environment.facts_dir / "inventory.yaml"
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if "https_port" not in line))
    assert facts.load(environment).stand_in == stand_in(environment, 8080, None)
