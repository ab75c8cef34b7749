"""Tiers are stopped in order before their machines lose power or disk, and started again whatever comes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from basec.engine import lost
from basec.environments import Environment
from basec.hosts import power, remote
from basec.session import Session
from tests.cli import fake_droplets
from tests.cli.dry import DryStack, local_stack_that_is_up
from topology.dangerous_edits import Step
from topology.errors import RemoteError
from topology.names import DROPLET

HEAD = f"urn:pulumi:local::basecommerce::basecommerce:droplet:Droplet${DROPLET}::"
CLOUD = {"mode": "real", "public_subnet": "198.51.100.0/24", "cloudflare_address": "198.51.100.2"}
SYSTEMCTL = """#!/bin/sh
[ "$*" != "${SYSTEMCTL_FAILS:-}" ] || { echo "Job failed" >&2; exit 1; }
echo "$*" >>"$DROPLETS/asked"
"""


@pytest.fixture
def local(tmp_path: Path, clone: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    local = Environment(name="local", root=clone)
    local.cloud_file.parent.mkdir(parents=True)
    local.cloud_file.write_text(json.dumps({**CLOUD, "vpc_range": "10.77.0.0/24", "http_port": 80}))
    directory = fake_droplets.install(tmp_path / "droplets", clone, monkeypatch)
    for name, text in (("systemctl", SYSTEMCTL), ("sync", "#!/bin/sh\n")):
        (directory / name).write_text(text)
        (directory / name).chmod(0o755)
    (directory / "asked").touch()
    (directory / "mnt-data.mount").touch()
    monkeypatch.setattr(power, "UNITS", directory)
    monkeypatch.setattr(power, "BACK_S", 0)
    return local


def asked(tmp_path: Path) -> list[str]:
    """Return what systemd was asked about tiers."""
    return [line for line in (tmp_path / "droplets/asked").read_text().splitlines() if "basecommerce" in line]


def resized(host: str) -> Step:
    return Step(op="update", urn=f"{HEAD}{host}-droplet", old_inputs={"size": "a"}, new_inputs={"size": "b"})


def replaced(host: str) -> Step:
    return Step(op="replace", urn=f"{HEAD}{host}-droplet", causes=("region",))


def test_the_tier_of_a_machine_that_gets_a_new_size_is_stopped_before_and_seen_to_run_after(
    local: Environment, tmp_path: Path
) -> None:
    with power.stopped(Session(local), [resized("infra")]):
        assert asked(tmp_path) == ["stop basecommerce-infra.service"]
    assert asked(tmp_path)[1:] == ["start basecommerce-infra.service"]


def test_the_data_volume_is_unmounted_after_its_tier_was_stopped(local: Environment, tmp_path: Path) -> None:
    with power.stopped(Session(local), [replaced("infra")]):
        lines = (tmp_path / "droplets/asked").read_text().splitlines()
    assert lines == ["stop basecommerce-infra.service", "stop mnt-data.mount"]


def test_a_replaced_machine_gets_its_tier_from_its_own_activation(local: Environment, tmp_path: Path) -> None:
    with power.stopped(Session(local), [replaced("infra")]):
        assert asked(tmp_path) == ["stop basecommerce-infra.service"]
    assert asked(tmp_path)[1:] == []


def test_after_a_failure_the_tiers_are_started_again(local: Environment, tmp_path: Path) -> None:
    steps = [replaced("infra"), resized("vertical")]
    with pytest.raises(KeyboardInterrupt), power.stopped(Session(local), steps):
        raise KeyboardInterrupt
    assert asked(tmp_path)[2:] == ["start basecommerce-infra.service", "start basecommerce-vertical.service"]


def test_a_tier_that_does_not_stop_ends_the_up_before_anything_was_changed(
    local: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYSTEMCTL_FAILS", "stop basecommerce-infra.service")
    with pytest.raises(RemoteError, match="Job failed"), power.stopped(Session(local), [resized("infra")]):
        raise AssertionError("the engine must not run")
    assert asked(tmp_path) == ["start basecommerce-infra.service"], "it may be half stopped"


def test_a_machine_that_gives_no_answer_is_replaced_without_a_stop(
    local: Environment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "droplets/infra.down").touch()
    with power.stopped(Session(local), [replaced("infra")]):
        pass
    assert "infra: cannot be reached by SSH: " in capsys.readouterr().err


def test_nothing_is_stopped_for_a_plan_that_leaves_the_machines_on(local: Environment, tmp_path: Path) -> None:
    with power.stopped(Session(local), [Step(op="update", urn=f"{HEAD}infra-droplet")]):
        assert asked(tmp_path) == []


@pytest.mark.engine
def test_up_stops_before_the_engine_begins_and_refuses_a_bigger_volume_beside_it(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts: list[tuple[str, str, int]] = []
    with local_stack_that_is_up(tmp_path_factory) as stack:

        def run_script(_: Session, host: str, script: str, **__: object) -> str:
            scripts.append((host, script.splitlines()[-1], journal(stack)))
            return ""

        monkeypatch.setattr(Session, "is_records", False)
        monkeypatch.setattr(remote, "run_script", run_script)
        monkeypatch.setattr(power, "ensure_key", lambda _: None)
        monkeypatch.setattr("basec.engine.lost.listen", lambda _: lost.Answers)
        before = journal(stack)
        bigger = ("size: s-1vcpu-2gb", "size: s-2vcpu-2gb")
        with stack.edited("inventory.yaml", bigger, ("size_gib: 10", "size_gib: 20")):
            assert "infra-volume (Volume): would grow while" in stack.basec("up", code=5).stderr
            assert (scripts, journal(stack)) == ([], before)
        with stack.edited("inventory.yaml", bigger):
            stack.basec("up")
    assert [(host, line) for host, line, _ in scripts] == [
        ("infra", "sync"),
        ("infra", "systemctl start basecommerce-infra.service"),
    ]
    assert scripts[0][2] == before < scripts[1][2]


def journal(stack: DryStack) -> int:
    return len(stack.journal().splitlines())
