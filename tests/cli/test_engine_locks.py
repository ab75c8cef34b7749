"""Locks of a local stack: those of dead processes of this machine are cleared and said, no other one ever is."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from basec import engine
from basec.engine import Engine, EngineError, Lock, locks
from basec.environments import Environment
from tests.cli.conftest import REPOSITORY

HERE = socket.gethostname()


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(name="local", root=tmp_path)


@pytest.fixture
def subject(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Give an engine that opens no stack."""
    monkeypatch.setattr(engine, "EngineCommand", lambda _: None)
    monkeypatch.setattr(engine, "open_stack", lambda *_: None)
    return Engine(environment, REPOSITORY, None)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that is called pulumi."""
    binary = tmp_path / "pulumi"
    binary.write_bytes(Path("/bin/sleep").read_bytes())
    binary.chmod(0o755)
    with subprocess.Popen([str(binary), "60"]) as process:
        name = Path(f"/proc/{process.pid}/comm")
        while name.read_text().strip() != "pulumi":  # the kernel names a process a moment after it has started it
            time.sleep(0.01)
        yield process
        process.kill()


def lock(environment: Environment, pid: int, host: str = HERE) -> Path:
    directory = environment.work_dir / "state/.pulumi/locks/organization/basecommerce/local"
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{pid}.json"
    path.write_text(json.dumps({"pid": pid, "username": "root", "hostname": host, "timestamp": "2026-11-01T00:00:00Z"}))
    path.with_name(f"{path.name}.attrs").write_text("{}")
    return path


def dead_pid() -> int:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


def test_the_lock_of_a_dead_process_is_cleared_and_said(
    subject: Engine, environment: Environment, capfd: pytest.CaptureFixture[str]
) -> None:
    pid = dead_pid()
    path = lock(environment, pid)
    subject.clear_stale_locks()
    assert list(path.parent.iterdir()) == []
    assert capfd.readouterr().err == f"local: cleared the lock of process {pid}, which is gone\n"


def test_a_number_that_now_belongs_to_another_program_is_a_dead_holder(
    subject: Engine, environment: Environment
) -> None:
    path = lock(environment, os.getpid())
    subject.clear_stale_locks()
    assert not path.exists()


def test_a_killed_engine_that_nobody_reaps_is_a_dead_holder(
    environment: Environment, running: subprocess.Popen[bytes]
) -> None:
    lock(environment, running.pid)
    assert not locks(environment)[0].is_dead
    running.kill()
    os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOWAIT)  # it stays a zombie
    assert locks(environment)[0].is_dead


def test_a_live_holder_keeps_its_lock_and_is_named(
    subject: Engine,
    environment: Environment,
    running: subprocess.Popen[bytes],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(engine, "LOCK_WAIT_S", 0.5)
    path = lock(environment, running.pid)
    with pytest.raises(EngineError) as caught:
        subject.clear_stale_locks()
    assert caught.value.render() == (
        f"basec: local: the stack is locked by process {running.pid} on {HERE}\n"
        "hint: wait for it to end, or end it, and run the same command again"
    )
    assert path.exists()
    assert capfd.readouterr().err == f"local: process {running.pid} holds the stack; waiting for it to end\n"


def test_a_live_holder_is_waited_for(
    subject: Engine, environment: Environment, running: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lock(environment, running.pid)
    monkeypatch.setattr("time.sleep", lambda _: path.unlink(missing_ok=True))  # the holder ends and releases
    subject.clear_stale_locks()
    assert not path.exists()


def test_the_lock_of_another_machine_is_never_cleared(subject: Engine, environment: Environment) -> None:
    path = lock(environment, dead_pid(), host="elsewhere")
    with pytest.raises(EngineError, match="on elsewhere"):
        subject.clear_stale_locks()
    assert path.exists()


def test_a_holder_elsewhere_is_not_judged_by_the_processes_here(tmp_path: Path) -> None:
    assert not Lock(path=tmp_path, pid=dead_pid(), host="elsewhere").is_dead


def test_a_lock_that_cannot_be_read_is_left_alone(subject: Engine, environment: Environment) -> None:
    path = lock(environment, 1)
    path.write_text("")
    subject.clear_stale_locks()
    assert path.exists()
