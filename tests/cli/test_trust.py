"""`basec trust`: what it refuses, what it says without certutil, and that `down` takes it back.

What it does to stores is tried with the real programs in tests/services/test_trust.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from basec.environments import Environment
from basec.local import trust
from localcloud.cloudflare import certificates
from localcloud.config import CloudConfig
from localcloud.tests.certificate_support import self_signed
from tests.cli.conftest import Run
from topology.errors import BasecommerceError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a user without certutil, on a machine that trusts nothing of ours."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path / "no-programs"))
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr(trust, "SYSTEM", tmp_path / "own")
    monkeypatch.setattr(trust, "SYSTEM_LINKS", tmp_path / "links")
    return tmp_path / "home"


@pytest.fixture
def stack(basec: Run, clone: Path) -> Environment:
    """Initialise a local stack and make its authority, as `up` does."""
    assert basec("init", "--env", "local").code == 0
    environment = Environment(name="local", root=clone)
    certificates.authority(CloudConfig.load(environment.cloud_file), certificates.PUBLIC)
    return environment


def test_without_certutil_the_steps_of_each_browser_are_shown_and_how_to_get_it(
    basec: Run, stack: Environment, home: Path
) -> None:
    outcome = basec("trust", "--env", "local")
    assert outcome.code == 1
    assert outcome.stdout.splitlines()[0] == f"by hand, with {stack.public_ca_file}:"
    assert [line.split(":")[0].strip() for line in outcome.stdout.splitlines()[1:]] == [
        "Chromium, Chrome",
        "Firefox",
        "curl",
    ]
    assert outcome.stderr == (
        "basec: trust: local: certutil is not on this machine, so no browser was changed\n"
        "hint: apt-get install libnss3-tools, then the same again\n"
    )
    assert list(home.iterdir()) == []


def test_a_stack_that_was_never_up_has_nothing_to_trust(basec: Run, clone: Path, home: Path) -> None:
    outcome = basec("trust", "--env", "local")
    assert (outcome.code, outcome.stdout) == (2, "")
    assert outcome.stderr == "basec: trust: local: this stack has no authority yet\nhint: basec up --env local\n"


@pytest.mark.parametrize("options", [(), ("--system",)])
def test_an_authority_that_could_sign_for_any_site_is_refused(
    basec: Run, stack: Environment, home: Path, options: tuple[str, ...]
) -> None:
    stack.public_ca_file.write_text(self_signed("public CA of the local cloud local").certificate)
    outcome = basec("trust", "--env", "local", *options)
    assert (outcome.code, outcome.stdout) == (2, "")
    assert outcome.stderr == (
        "basec: trust: local: this authority could sign for any site: an earlier release made it\n"
        "hint: basec up --env local\n"
    )


def test_a_cloud_environment_has_no_authority_of_its_own(basec: Run) -> None:
    outcome = basec("trust", "--env", "production")
    assert (outcome.code, outcome.stdout) == (2, "")
    assert outcome.stderr.startswith("basec: trust: production: a public authority signs its certificate")


def test_the_machines_store_is_for_root(
    basec: Run, stack: Environment, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    outcome = basec("trust", "--env", "local", "--system")
    assert outcome.code == 2
    assert outcome.stderr.endswith("hint: sudo bin/basec trust --system --env local\n")
    assert not (home.parent / "own").exists()


def test_removal_where_nothing_was_added_says_so(basec: Run, stack: Environment, home: Path) -> None:
    outcome = basec("trust", "--env", "local", "--remove")
    assert (outcome.code, outcome.stdout, outcome.stderr) == (0, "local: trusted nowhere on this machine\n", "")


def test_down_takes_trust_back_while_the_authority_is_still_there(
    basec: Run, stack: Environment, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def remove(environment: Environment) -> list[Path]:
        seen.append(environment.public_ca_file.exists())
        return [home / ".pki/nssdb"]

    monkeypatch.setattr(trust, "remove", remove)
    monkeypatch.setattr("basec.io.programs.Program.run", lambda _: "")
    outcome = basec("down", "--env", "local")
    assert (outcome.code, seen) == (0, [True])
    assert f"local: no longer trusted in {home}/.pki/nssdb\n" in outcome.stderr


def test_a_store_that_cannot_be_changed_is_named_and_does_not_stop_down(
    basec: Run, stack: Environment, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remove(_: Environment) -> list[Path]:
        raise BasecommerceError("basec: trust: /home/x/.pki/nssdb: certutil: it is locked", "by hand")

    monkeypatch.setattr(trust, "remove", remove)
    monkeypatch.setattr("basec.io.programs.Program.run", lambda _: "")
    outcome = basec("down", "--env", "local")
    assert outcome.code == 0
    assert "/home/x/.pki/nssdb: certutil: it is locked\n" in outcome.stderr
    assert "local: may still be trusted there, as basecommerce-local-..." in outcome.stderr
    assert outcome.stderr.endswith("local: nothing is left of this stack\n")


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("basecommerce-local-0123abcd-ffffffffffffffff", True),
        ("basecommerce-local-99999999-0123456789abcdef", True),
        ("basecommerce-local-99999999-ffffffffffffffff", False),
        ("basecommerce-local-two-0123abcd-0123456789abcdef", False),
        ("basecommerce-local", False),
        ("basecommerce-local-0123abcd-0123456789abcdef (2)", False),
        ("DigiCert Global Root CA", False),
    ],
)
def test_a_name_is_ours_by_its_clone_or_by_its_fingerprint(name: str, *, ours: bool) -> None:
    assert trust.Mark("local", "0123abcd", "0123456789abcdef").is_ours(name) == ours
