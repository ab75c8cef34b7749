"""`basec init` of staging and production, and `basec secrets list`: made once, encrypted, in the tracked file."""

from __future__ import annotations

import io
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from basec.environments import Environment
from basec.secrets.stack_file import StackFile
from tests.cli.conftest import REPOSITORY, Run
from topology.placeholders import placeholders
from topology.project import load_project
from topology.secrets import check_secrets
from topology.settings import PASSWORD_KEYS

TOKENS = {"DIGITALOCEAN_TOKEN": "dop_v1_" + "0f" * 32, "CLOUDFLARE_API_TOKEN": "not-a-token-" + "x" * 28}
MADE = ", ".join([*PASSWORD_KEYS, "login_private_key", "host_key_infra"])


@pytest.fixture(autouse=True)
def user(clone: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without tokens, and with a configuration directory of the test's own."""
    for name in TOKENS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(clone.parent / "config"))
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return clone.parent / "config/basecommerce/staging.passphrase"


@pytest.fixture
def tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TOKENS.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("tokens")
def test_everything_is_made_encrypted_and_said(basec: Run, clone: Path, user: Path) -> None:
    before = (clone / "Pulumi.staging.yaml").read_text()
    outcome = basec("init", "--env", "staging")
    assert outcome.code == 0
    lines = outcome.stderr.splitlines()
    assert lines[0] == f"staging: made a passphrase: {user}"
    assert lines[1].startswith(f"staging: made secrets: {MADE}")
    assert lines[2] == "staging: took tokens: digitalocean:token, cloudflare:apiToken"
    assert lines[3].startswith("staging: still an example: cloudflare.zone_id: '3c9e51f8a0d24b7796e2b40fd8137a5c' (")
    assert lines[4].startswith("staging: still an example: images.tag: 'sha-1234567' (")
    assert f"the passphrase is in {user}: keep a copy off this machine; without it every secret is lost" in lines[5]
    assert lines[6] == "hint: git add Pulumi.staging.yaml; git commit; basec preview --env staging"
    assert stat.S_IMODE(user.stat().st_mode) == 0o600
    text = (clone / "Pulumi.staging.yaml").read_text()
    assert text.startswith(before), "comments and settings are as they were"
    stack = StackFile(Environment(name="staging", root=clone))
    names = {name: name if ":" in name else f"basecommerce:{name}" for name in stack.secret_names}
    values = {name: stack.secret(key) for name, key in names.items()}
    check_secrets(load_project(clone, "staging", stack.settings, stack.secret_names), values)
    assert values["digitalocean:token"] == TOKENS["DIGITALOCEAN_TOKEN"]
    for value in (*values.values(), user.read_text().strip()):
        assert value.strip().splitlines()[-1] not in text + outcome.stderr + outcome.stdout


@pytest.mark.usefixtures("tokens")
def test_a_second_init_keeps_the_file_and_needs_no_token(
    basec: Run, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    basec("init", "--env", "staging")
    before = (clone / "Pulumi.staging.yaml").read_bytes()
    for name in TOKENS:
        monkeypatch.delenv(name)
    outcome = basec("init", "--env", "staging")
    assert outcome.code == 0
    assert outcome.stderr.startswith("staging: everything is there already\n")
    assert (clone / "Pulumi.staging.yaml").read_bytes() == before


@pytest.mark.usefixtures("tokens")
def test_a_run_that_is_killed_before_the_rename_leaves_the_file_as_it_was(
    basec: Run, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (clone / "Pulumi.staging.yaml").read_bytes()
    replace = Path.replace

    def killed(path: Path, target: Path) -> Path:
        if target.name == "Pulumi.staging.yaml":
            raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr("pathlib.Path.replace", killed)
    assert basec("init", "--env", "staging").code == 130
    assert (clone / "Pulumi.staging.yaml").read_bytes() == before
    monkeypatch.setattr("pathlib.Path.replace", replace)
    assert basec("init", "--env", "staging").code == 0
    assert StackFile(Environment(name="staging", root=clone)).secret("digitalocean:token").startswith("dop_v1_")


def test_missing_tokens_are_named_together_and_nothing_is_touched(basec: Run, clone: Path, user: Path) -> None:
    before = (clone / "Pulumi.production.yaml").read_bytes()
    outcome = basec("init", "--env", "production")
    assert outcome.code == 2
    assert outcome.stderr == (
        "tokens: DIGITALOCEAN_TOKEN: is not set\n"
        "hint: export it, or --tokens-from FILE; DigitalOcean: API > Tokens, with the right to write\n"
        "tokens: CLOUDFLARE_API_TOKEN: is not set\n"
        "hint: export it, or --tokens-from FILE; Cloudflare: My Profile > API Tokens, for this zone alone\n"
    )
    assert (clone / "Pulumi.production.yaml").read_bytes() == before
    assert not user.parent.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DIGITALOCEAN_TOKEN", "dop_v1_canary"),
        ("DIGITALOCEAN_TOKEN", "dop_v1_" + "0F" * 32),
        ("CLOUDFLARE_API_TOKEN", "c" * 37),
        ("CLOUDFLARE_API_TOKEN", "canary " * 6),
    ],
)
@pytest.mark.usefixtures("tokens")
def test_a_token_of_another_shape_is_refused_and_not_shown(
    basec: Run, user: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    outcome = basec("init", "--env", "staging")
    assert outcome.code == 2
    assert outcome.stderr.startswith(f"tokens: {name}: has {len(value)} characters that are not ")
    assert value not in outcome.stderr
    assert not user.exists()


def test_tokens_come_from_a_file_or_standard_input(
    basec: Run, clone: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "tokens.env"
    path.write_text("# both\n" + "".join(f"export {name}='{value}'\n" for name, value in TOKENS.items()))
    assert basec("init", "--env", "staging", "--tokens-from", str(path)).code == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO(path.read_text()))
    assert basec("init", "--env", "production", "--tokens-from", "-").code == 0
    for name in ("staging", "production"):
        stack = StackFile(Environment(name=name, root=clone))
        assert stack.secret("cloudflare:apiToken") == TOKENS["CLOUDFLARE_API_TOKEN"]


def test_a_line_of_the_tokens_file_that_is_not_understood_is_not_shown(basec: Run, tmp_path: Path) -> None:
    path = tmp_path / "tokens.env"
    path.write_text("\ncanary-canary\n")
    outcome = basec("init", "--env", "staging", "--tokens-from", str(path))
    assert outcome.code == 2
    assert outcome.stderr == (
        f"basec: --tokens-from: {path}: line 2 sets none of CLOUDFLARE_API_TOKEN, DIGITALOCEAN_TOKEN\n"
        "hint: write one NAME=TOKEN per line\n"
    )
    missing = basec("init", "--env", "staging", "--tokens-from", str(tmp_path / "none"))
    assert (missing.code, missing.stderr.splitlines()[0]) == (
        2,
        f"basec: --tokens-from: {tmp_path / 'none'}: No such file or directory",
    )


def test_a_person_is_asked_and_what_is_typed_is_not_shown(
    basec: Run, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def hidden(prompt: str) -> str:
        asked.append(prompt)
        return TOKENS[prompt.split(maxsplit=1)[0]]

    monkeypatch.setattr("getpass.getpass", hidden)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    assert basec("init", "--env", "staging").code == 0
    assert [prompt.split()[0] for prompt in asked] == list(TOKENS)


@pytest.mark.usefixtures("tokens")
def test_a_lost_passphrase_is_told_before_anything_and_no_new_one_is_made(basec: Run, clone: Path, user: Path) -> None:
    basec("init", "--env", "staging")
    user.unlink()
    outcome = basec("init", "--env", "staging")
    assert outcome.code == 2
    assert outcome.stderr == (
        f"Pulumi.staging.yaml: passphrase: {user}: No such file or directory\n"
        "hint: restore the file, or set PULUMI_CONFIG_PASSPHRASE_FILE; is it lost for good? "
        "docs/runbooks/lost-passphrase.md\n"
    )
    assert not user.exists()


def test_tokens_from_is_refused_for_a_local_stack(basec: Run) -> None:
    outcome = basec("init", "--env", "local", "--tokens-from", "x")
    assert (outcome.code, outcome.stderr.splitlines()[0]) == (
        2,
        "basec: init: local: --tokens-from is for staging and production",
    )


@pytest.mark.parametrize("name", ["staging", "production"])
def test_the_examples_in_the_tracked_settings_are_known_as_such(name: str) -> None:
    settings = StackFile(Environment(name=name, root=REPOSITORY)).settings
    assert [path for path, _ in placeholders(settings)] == ["cloudflare.zone_id", "images.tag"]
    assert isinstance(settings, dict)
    edited = {**settings, "cloudflare": {"zone_id": "a" * 32}, "images": {"tag": "sha-0ab12cd"}}
    assert list(placeholders(edited)) == []


@pytest.mark.usefixtures("tokens")
def test_secrets_are_listed_with_age_and_use_without_passphrase_or_value(basec: Run, clone: Path, user: Path) -> None:
    basec("init", "--env", "staging")
    user.unlink()
    path = clone / "Pulumi.staging.yaml"
    day = next(iter(StackFile(Environment(name="staging", root=clone)).made().values()))
    path.write_text(path.read_text().replace(str(day), str(day.replace(year=day.year - 1))))
    rows = json.loads(basec("secrets", "list", "--env", "staging", "--json").stdout)["secrets"]
    assert {row["age_days"] for row in rows} <= {365, 366}
    uses = {row["name"]: row["used_by"] for row in rows}
    assert uses["redis_password"] == ["infra: redis_auth.conf"]
    assert uses["redis_password_relay"] == ["infra: redis_auth.conf", "infra: relay.env"]
    assert uses["database_password_auth"] == ["infra: database_logins.json", "edge: auth.env"]
    assert uses["host_key_edge"] == ["edge: sshd"]
    assert uses["digitalocean:token"] == ["provider digitalocean"]
    assert all(uses.values()), "a secret that nothing uses"
    shown = basec("secrets", "list", "--env", "staging")
    assert shown.stdout.splitlines()[-1] == f"{len(rows)} set, 0 missing"
    assert "v1:" not in shown.stdout


def test_secrets_that_are_not_set_are_listed_with_the_command_that_makes_them(basec: Run) -> None:
    shown = basec("secrets", "list", "--env", "production")
    assert shown.code == 0
    assert re.search(r"^0 set, \d+ missing: basec init --env production$", shown.stdout, re.MULTILINE)
    assert re.search(r"^database_password_auth +not set", shown.stdout, re.MULTILINE)


def test_no_secret_is_in_the_arguments_of_any_program(clone: Path, user: Path) -> None:
    """It starts none at all: Python itself would report it."""
    environment = {**os.environ, **TOKENS, "XDG_CONFIG_HOME": str(user.parent.parent)}
    code = (
        "import sys; events = []\n"
        "sys.addaudithook(lambda name, _: events.append(name) if name in ('subprocess.Popen', 'os.exec') else None)\n"
        "from pathlib import Path; from basec.secrets import cloud_stack; from basec.environments import Environment\n"
        f"cloud_stack.initialise(Environment(name='staging', root=Path({str(clone)!r})), None)\n"
        "assert events == [], events"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
