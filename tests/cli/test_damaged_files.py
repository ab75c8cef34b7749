"""Every file that basec reads back may be damaged: it is named, with one hint, and what can be made anew is."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from basec.engine import backend, locks, plan
from basec.environments import Environment
from basec.hosts import agent, facts
from basec.hosts.onhost import sign
from basec.hosts.onhost import status as onhost
from basec.io.files import write_private
from basec.local import trust
from basec.local.cloud import LocalCloud
from basec.local.images import kept_images
from basec.secrets import passphrase_file
from localcloud.allocate import allocate
from localcloud.config import Mode
from localcloud.tests.damaged import KINDS, damages
from tests.cli import fake_droplets
from tests.cli.conftest import Run
from topology.errors import BasecommerceError

Case = tuple[Callable[[Environment], Path], bytes, Callable[[Environment], object], str]


CASES: dict[str, Case] = {
    "hosts": (lambda e: e.hosts_file, b"", facts.load, "basec up --env local"),
    "addresses of the local cloud": (lambda e: e.cloud_file, b"", LocalCloud.load, "restore it; "),
    "authority": (
        lambda e: e.public_ca_file,
        b"-----BEGIN CERTIFICATE-----\nMIIB\n",
        trust.confined,
        "basec up --env local",
    ),
    "saved plan": (
        lambda e: e.root / "plan.json",
        b'{"manifest": {"time": "now"}, "resourcePlans": {}}',
        lambda e: plan.require_plan(e, e.root / "plan.json"),
        "basec preview --env local --save-plan ",
    ),
}
"""Files without which a command cannot go on: where it is, a whole one, who reads it, and the hint."""


@pytest.fixture
def environment(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """An environment that was up once."""
    fake_droplets.install(tmp_path / "droplets", clone, monkeypatch)
    environment = Environment(name="local", root=clone)
    allocate(directory=environment.work_dir, name="local", mode=Mode.DRY, cache=tmp_path / "cache", http_port=None)
    return environment


@pytest.mark.parametrize("damage", KINDS)
@pytest.mark.parametrize("case", CASES)
def test_a_damaged_file_is_named_with_its_hint(environment: Environment, case: str, damage: str) -> None:
    place, whole, read, hint = CASES[case]
    path = place(environment)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(damages(path.read_bytes() if path.exists() else whole)[damage])
    with pytest.raises(BasecommerceError) as caught:
        read(environment)
    said = caught.value.render()
    assert said.startswith(f"basec: local: {path}: damaged: ")
    assert said.count("\n") == 1
    assert f"\nhint: {hint}" in said


HOSTS: dict[str, Any] = {
    "a host that is null": {"local": {"edge": None}, "platform": {"domain": "localhost"}},
    "a host without its address": {"local": {"edge": {"user": "basec"}}, "platform": {"domain": "localhost"}},
    "an address that is none": {
        "local": {"edge": {"ip": "here", "private_ip": "10.0.0.1", "user": "basec", "role": "edge"}},
        "platform": {"domain": "localhost"},
    },
    "no hosts": {"local": {}, "platform": {"domain": "localhost"}},
    "no platform": {"local": {"edge": {"ip": "10.0.0.1", "private_ip": "10.0.0.1", "user": "basec", "role": "edge"}}},
}


@pytest.mark.parametrize("case", [*HOSTS, "cut within a line"])
def test_no_command_ends_in_a_traceback_over_its_hosts(basec: Run, environment: Environment, case: str) -> None:
    path = environment.hosts_file
    path.write_text(yaml.safe_dump(HOSTS[case]) if case in HOSTS else "local: {edge: {ip: '198.5")
    for command in (("status",), ("smoke",), ("events", "status"), ("logs",), ("inventory", "show")):
        outcome = basec(*command, "--env", "local")
        assert outcome.code == 2, outcome
        assert outcome.stderr.startswith(f"basec: local: {path}: damaged: ")
        assert outcome.stderr.endswith("\nhint: basec up --env local\n")


@pytest.mark.parametrize("damage", KINDS)
def test_damaged_names_of_built_images_are_as_none_and_are_told(
    environment: Environment, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = {"tag": "t", "for": "t", "services": {}, "references": []}
    environment.images_file.write_bytes(damages(json.dumps(whole).encode())[damage])
    assert kept_images(environment) is None
    assert f"{environment.images_file}: damaged: " in capsys.readouterr().err.replace("\n", "")
    environment.images_file.write_text(json.dumps(whole | {"more": "of a newer basec"}))
    assert kept_images(environment) == whole


@pytest.mark.parametrize("damage", KINDS)
def test_a_damaged_file_is_written_anew(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "any"
    path.write_bytes(damages(b"whole")[damage])
    write_private(path, "whole")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"whole", 0o600)


@pytest.mark.parametrize("content", [b"", b" \n", b"caf\xe9", b"a\0b"])
def test_a_passphrase_that_is_none_is_told_from_a_wrong_one(environment: Environment, content: bytes) -> None:
    path = passphrase_file.path_of(environment)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(BasecommerceError, match=r"passphrase.* (is not a text file|contains no passphrase)"):
        passphrase_file.read(environment)


@pytest.mark.parametrize("damage", KINDS)
def test_damaged_locks_states_and_marks_are_as_none(environment: Environment, damage: str) -> None:
    """Each is judged by somebody else as well: the engine, or a kernel's lock."""
    content = damages(b'{"pid": 1}')[damage]
    directory = backend.lock_directory(environment)
    assert directory
    directory.mkdir(parents=True)
    (directory / "one.json").write_bytes(content)
    state = directory.parents[2] / "stacks/basecommerce/local.json"
    state.parent.mkdir(parents=True)
    state.write_bytes(content)
    socket = agent.socket_path(environment)
    socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    socket.with_suffix(".pid").write_bytes(content)
    environment.public_ca_file.parent.mkdir(parents=True, exist_ok=True)
    environment.public_ca_file.write_bytes(content)
    assert locks.locks(environment) == []
    assert backend.state_of(environment) is None
    assert trust.Mark.of(environment).fingerprint == ""
    assert locks._holder(content).pid == 0
    agent.stop(environment)


# ---- on the host, and what a host says -----------------------------------------------------------------------

ANSWERS = {
    **damages(json.dumps(fake_droplets.document("nginx")).encode()),
    "a list in place of memory": b'{"memory": []}',
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_hosts_odd_answer_hides_no_other_host(
    basec: Run, environment: Environment, tmp_path: Path, answer: str
) -> None:
    for role, service in (("edge", "nginx"), ("infra", "redis"), ("vertical", "haproxy")):
        fake_droplets.say(tmp_path / "droplets", role, fake_droplets.document(service))
    (tmp_path / "droplets/vertical.json").write_bytes(ANSWERS[answer])
    outcome = basec("status", "--env", "local")
    lines = outcome.stdout.splitlines()
    assert any(line.startswith("vertical: its answer ") for line in lines), outcome
    assert {"nginx", "redis"} <= set(outcome.stdout.split())
    assert outcome.code in (1, 4)


@pytest.mark.parametrize("compose", ["services: [\0", ""], ids=["cut", "empty or gone"])
def test_a_release_whose_compose_file_is_damaged_hides_nothing_else_of_its_host(
    basec: Run, environment: Environment, tmp_path: Path, compose: str
) -> None:
    for role, service in (("edge", "nginx"), ("infra", "redis"), ("vertical", "haproxy")):
        fake_droplets.say(tmp_path / "droplets", role, fake_droplets.document(service, compose=compose))
    outcome = basec("status", "edge", "--env", "local")
    assert "edge: compose.yaml of its release is damaged: basec up restores it" in outcome.stdout.splitlines()
    assert "nginx" in outcome.stdout


@pytest.fixture
def tier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A droplet's edge with an active release; its programs answer nothing."""
    directory = tmp_path / "opt/basecommerce/edge"
    directory.mkdir(parents=True)
    release = {"digest": "0123abcd", "hosts": "0123", "since": "2026-11-29T03:00:00Z"}
    (directory / "state.json").write_text(json.dumps({"releases": [release]}))
    (directory / "activated_by.json").write_text(json.dumps({**release, "by": "ana"}))
    (tmp_path / "bin").mkdir()
    for name in ("docker", "timedatectl"):
        (tmp_path / "bin" / name).write_text(f"#!{sys.executable} -S\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/nonexistent")
    return directory


def told(root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    for part in ("uptime", "memory", "disks"):
        monkeypatch.setattr(onhost, part, lambda _: None)
    onhost.main("edge", root)
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


@pytest.mark.parametrize("damage", KINDS)
def test_status_tells_of_a_damaged_record_and_of_all_else(
    tier: Path, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tier / "state.json"
    path.write_bytes(damages(path.read_bytes())[damage])
    found = told(tmp_path, capsys, monkeypatch)
    assert "edge/state.json is damaged: basec up rebuilds it" in found["failed"]
    assert (found["release"], found["containers"]) == (None, [])
    sign.main("edge", "ana", "90", tmp_path)  # and nothing happens


@pytest.mark.parametrize("damage", KINDS)
def test_a_damaged_name_beside_a_release_is_no_name(
    tier: Path, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told(tmp_path, capsys, monkeypatch)["release"]["by"] == "ana"
    path = tier / "activated_by.json"
    path.write_bytes(damages(path.read_bytes())[damage])
    found = told(tmp_path, capsys, monkeypatch)
    assert (found["release"]["digest"], found["release"]["by"]) == ("0123abcd", None)


def test_a_program_that_is_not_there_is_told_and_hides_no_other_answer(
    tier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tier
    assert os.environ["PATH"].endswith("nonexistent")
    found = told(tmp_path, capsys, monkeypatch)
    assert found["failed"] == ["systemctl: No such file or directory"]
    assert found["failed_units"] == []
    assert found["release"]["digest"] == "0123abcd"
