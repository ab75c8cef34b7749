"""Locks of a stack: those of dead processes of this machine are cleared and said, no other one ever is."""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from basec.engine import locks
from basec.engine.locks import Lock, LockedError, clear_stale_locks, locks_in, turn
from basec.environments import Environment
from tests.cli.conftest import REPOSITORY

HERE = socket.gethostname()
SINCE = "2026-11-01 00:00:00 UTC"


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(name="local", root=tmp_path)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that is called pulumi."""
    binary = tmp_path / "pulumi"
    binary.write_bytes(Path("/bin/sleep").read_bytes())
    binary.chmod(0o755)
    with subprocess.Popen([str(binary), "60"], env={locks.RUN_VARIABLE: str(os.getpid())}) as process:
        name = Path(f"/proc/{process.pid}/comm")
        while name.read_text().strip() != "pulumi":  # the kernel names a process a moment after it has started it
            time.sleep(0.01)
        yield process
        process.kill()


def lock(environment: Environment, pid: int, host: str = HERE) -> Path:
    directory = environment.work_dir / "state/.pulumi/locks/organization/basecommerce/local"
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{pid}.json"
    path.write_text(json.dumps({"pid": pid, "username": "ana", "hostname": host, "timestamp": "2026-11-01T00:00:00Z"}))
    path.with_name(f"{path.name}.attrs").write_text("{}")
    return path


def dead_pid() -> int:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


def test_the_lock_of_a_dead_process_is_cleared_and_said(
    environment: Environment, capfd: pytest.CaptureFixture[str]
) -> None:
    pid = dead_pid()
    path = lock(environment, pid)
    clear_stale_locks(environment)
    assert list(path.parent.iterdir()) == []
    assert capfd.readouterr().err == (
        f"local: cleared the lock of process {pid} of ana on {HERE}, since {SINCE}, which is gone\n"
    )


def test_a_number_that_now_belongs_to_another_program_is_a_dead_holder(environment: Environment) -> None:
    path = lock(environment, os.getpid())
    clear_stale_locks(environment)
    assert not path.exists()


def test_a_killed_engine_that_nobody_reaps_is_a_dead_holder(
    environment: Environment, running: subprocess.Popen[bytes]
) -> None:
    lock(environment, running.pid)
    assert not locks.locks(environment)[0].is_dead
    running.kill()
    os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOWAIT)  # it stays a zombie
    assert locks.locks(environment)[0].is_dead


def test_a_live_holder_keeps_its_lock_and_is_named_at_once(
    environment: Environment, running: subprocess.Popen[bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    path = lock(environment, running.pid)
    start = time.monotonic()
    with pytest.raises(LockedError) as caught:
        clear_stale_locks(environment)
    assert time.monotonic() - start < 1
    assert caught.value.render() == (
        f"basec: local: locked by process {running.pid} of ana on {HERE}, since {SINCE}\n"
        "hint: wait for it to end, and run the same command again"
    )
    assert path.exists()
    assert capfd.readouterr().err == ""


@pytest.fixture
def orphan(running: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> subprocess.Popen[bytes]:
    """Return an engine whose starter is gone: here it only looks so, by the parent that the kernel names."""
    status = Lock._status
    monkeypatch.setattr(Lock, "_status", lambda self: {**status(self), "PPid": "\t1"})
    return running


def test_an_engine_that_lost_its_basec_is_waited_for(
    environment: Environment,
    orphan: subprocess.Popen[bytes],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = lock(environment, orphan.pid)
    monkeypatch.setattr("time.sleep", lambda _: path.unlink(missing_ok=True))  # the holder ends and releases
    clear_stale_locks(environment)
    said = f"local: process {orphan.pid} of ana on {HERE}, since {SINCE} is stopping; waiting for it to end\n"
    assert capfd.readouterr().err == said


def test_an_engine_that_never_stops_is_waited_for_only_so_long(
    environment: Environment, orphan: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "ORPHAN_WAIT_S", 0.5)
    path = lock(environment, orphan.pid)
    with pytest.raises(LockedError, match=f"locked by process {orphan.pid} "):
        clear_stale_locks(environment)
    assert path.exists()


def test_an_engine_that_somebody_started_by_hand_is_no_orphan(
    environment: Environment, orphan: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "RUN_VARIABLE", "A_VARIABLE_THAT_IT_DOES_NOT_HAVE")
    lock(environment, orphan.pid)
    with pytest.raises(LockedError):
        clear_stale_locks(environment)


def test_the_lock_of_another_machine_is_never_cleared(environment: Environment) -> None:
    path = lock(environment, dead_pid(), host="elsewhere")
    with pytest.raises(LockedError, match="is that machine gone for good") as caught:
        clear_stale_locks(environment)
    assert " on elsewhere, since " in caught.value.message
    assert path.exists()


def test_a_holder_elsewhere_is_not_judged_by_the_processes_here() -> None:
    assert not Lock(pid=dead_pid(), host="elsewhere", user="ana", since="").is_dead


def test_a_lock_that_cannot_be_read_is_left_alone(environment: Environment) -> None:
    path = lock(environment, 1)
    path.write_text("")
    clear_stale_locks(environment)
    assert path.exists()


WORDS = (
    "error: the stack is currently locked by {count} lock(s). Either wait for the other process(es) to end or delete "
    "the lock file with `pulumi cancel`.\n"
    "  s3://states/.pulumi/locks/a.json: created by Ana Lima@one (pid 7) at 2026-11-01T10:00:00+01:00\n"
    "  s3://states/.pulumi/locks/b.json: created by ci@two (pid 8) at 2026-11-01T10:00:01+01:00"
)


def test_holders_are_read_from_the_engines_words() -> None:
    first, second = locks_in("\n".join([WORDS.format(count=2)] * 2))
    assert str(first) == "process 7 of Ana Lima on one, since 2026-11-01 09:00:00 UTC"
    assert (second.pid, second.user, second.host) == (8, "ci", "two")


def test_holders_that_are_not_all_named_are_none_since_a_cancel_would_free_them_all() -> None:
    assert locks_in(WORDS.format(count=3)) == []


def test_the_second_turn_is_refused_and_the_first_leaves_nothing(environment: Environment) -> None:
    with turn(environment):
        code = (
            "from pathlib import Path; from basec.environments import Environment\n"
            "from basec.engine.locks import turn\n"
            f"with turn(Environment(name='local', root=Path({str(environment.root)!r}))): print('had it')"
        )
        second = subprocess.run(
            [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        holder = rf"LockedError: basec: local: locked by process {os.getpid()} of \S+ on {HERE}, since 20\S+ \S+ UTC"
        assert re.search(holder, second.stderr)
        assert second.stdout == ""
    assert not (environment.root / ".basec").exists()


def test_a_turn_is_over_when_its_holder_was_killed(environment: Environment) -> None:
    left = environment.root / ".basec/local.turn"
    left.parent.mkdir()
    left.write_text('{"pid": 1, "host": "x", "user": "x", "since": "x"}')
    with turn(environment):
        pass


def test_a_turn_is_not_taken_on_a_file_that_its_holder_has_removed(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = environment.root / ".basec/local.turn"
    taken: list[int] = []
    flock = fcntl.flock

    def removed_meanwhile(descriptor: int, operation: int) -> None:
        if not taken:
            path.unlink()
        taken.append(descriptor)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", removed_meanwhile)
    with turn(environment):
        assert path.exists(), "it holds a lock that nobody else can see"
    assert len(taken) == 2
