"""Who holds a stack: the engine's locks, and our own turn, which spans preview and up.

The engine locks a stack only while it changes it. A command that changes something takes our turn at its start: of
two commands on one state directory, or in one clone if the state is elsewhere, the second ends at once, before it
starts anything. The turn's lock is the kernel's: it ends with its holder.
"""

from __future__ import annotations

import datetime
import fcntl
import getpass
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from basec.engine import backend
from basec.environments import Environment
from basec.io.console import say
from basec.io.files import NO_DOCUMENT
from topology.errors import BasecommerceError

RUN_VARIABLE = "BASECOMMERCE_RUN"
"""In an engine's environment: the process number of the basec that started it."""
ORPHAN_WAIT_S = 60
"""How long to wait for an engine whose basec was killed: it got a signal, and finishes its current steps first."""
POLL_S = 0.3
CLONES_OWN = ".basec"
RUNBOOK = "docs/runbooks/stuck-lock.md"
LOCKED_BY = re.compile(r"the stack is currently locked by (\d+) lock")
CREATED_BY = re.compile(r"created by (?P<user>.+?)@(?P<host>\S+) \(pid (?P<pid>\d+)\) at (?P<since>\S+)")
"""The engine's words. Source: pulumi/pkg/backend/diy/lock.go, v3.259.0."""


class LockedError(BasecommerceError):
    """Another run works on the stack; nothing was changed."""


@dataclass(frozen=True, kw_only=True)
class Lock:
    """One run that holds a stack."""

    pid: int
    host: str
    user: str
    since: str
    path: Path | None = None

    @property
    def is_ours(self) -> bool:
        """Whether it runs, or ran, on this machine."""
        return self.host == socket.gethostname()

    @property
    def is_dead(self) -> bool:
        """Whether the holder ran on this machine and is gone, or its process number now belongs to another program."""
        if not self.is_ours:
            return False
        fields = self._status()
        # A killed engine stays as a zombie where process 1 of a container does not reap, and holds nothing any more.
        return not fields or "pulumi" not in fields["Name"] or fields["State"].split()[0] in {"Z", "X"}

    @property
    def is_orphan(self) -> bool:
        """Whether it was started by a basec that is gone: the kernel has then sent it a signal, and it ends soon."""
        try:
            variables = Path(f"/proc/{self.pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return False
        starter = next(
            (one.partition(b"=")[2] for one in variables if one.startswith(f"{RUN_VARIABLE}=".encode())), b""
        )
        return bool(starter) and self._status().get("PPid", "").strip() != starter.decode()

    def _status(self) -> dict[str, str]:
        try:
            text = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return {}
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def __str__(self) -> str:
        return f"process {self.pid} of {self.user} on {self.host}, since {_readable(self.since)}"


def _readable(since: str) -> str:
    try:
        moment = datetime.datetime.fromisoformat(since)
    except ValueError:
        return since
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def locks(environment: Environment) -> list[Lock]:
    """Return the engine's locks of a stack in a `file://` back-end, which can be read without the engine."""
    directory = backend.lock_directory(environment)
    found: list[Lock] = []
    for path in sorted(directory.glob("*.json")) if directory else ():
        try:
            document = json.loads(path.read_text())
            lock = Lock(
                path=path,
                pid=int(document["pid"]),
                host=str(document["hostname"]),
                user=str(document["username"]),
                since=str(document["timestamp"]),
            )
        except (OSError, *NO_DOCUMENT):
            continue  # released between listing and reading, or damaged: the engine judges it
        found.append(lock)
    return found


def locks_in(words: str) -> list[Lock]:
    """Return the locks in the engine's message about a back-end that only it can read; all of them, or none."""
    found = [
        Lock(pid=int(one["pid"]), host=one["host"], user=one["user"], since=one["since"])
        for one in CREATED_BY.finditer(words)
    ]
    distinct = list(dict.fromkeys(found))  # the engine may print them twice
    counted = LOCKED_BY.search(words)
    return distinct if counted and int(counted[1]) == len(distinct) else []


def clear_stale_locks(environment: Environment) -> None:
    """Clear locks of dead processes of this machine and wait for engines that are stopping.

    Raises LockedError at once for a run that goes on, here or on another machine.
    """
    deadline = time.monotonic() + ORPHAN_WAIT_S
    said = False
    while held := locks(environment):
        for lock in held:
            if lock.is_dead:
                say(f"{environment.name}: cleared the lock of {lock}, which is gone")
                if lock.path is not None:
                    lock.path.unlink(missing_ok=True)
                    lock.path.with_name(f"{lock.path.name}.attrs").unlink(missing_ok=True)
            elif not (lock.is_ours and lock.is_orphan) or time.monotonic() > deadline:
                raise refusal(environment, lock)
            elif not said:
                said = True
                say(f"{environment.name}: {lock} is stopping; waiting for it to end")
        time.sleep(POLL_S)


def refusal(environment: Environment, lock: Lock) -> LockedError:
    """Build the error that names who holds the stack and what to do."""
    hint = "wait for it to end, and run the same command again"
    if not lock.is_ours:
        hint += f"; is that machine gone for good? {RUNBOOK}"
    return LockedError(f"basec: {environment.name}: locked by {lock}", hint)


def turn_file(environment: Environment) -> Path:
    """Return the file of the turn: beside the state if clones share it, otherwise in the clone."""
    shared = None if environment.is_contained else backend.writable_directory_of(environment)
    return (shared or environment.root / CLONES_OWN) / f"{environment.name}.turn"


@contextmanager
def turn(environment: Environment) -> Iterator[None]:
    """Keep every other basec of this account, or clone, from changing the environment. Raises LockedError at once."""
    path = turn_file(environment)
    path.parent.mkdir(exist_ok=True)
    descriptor = _take(environment, path)
    try:
        me = {"pid": os.getpid(), "host": socket.gethostname(), "user": getpass.getuser(), "since": _now()}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(me).encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)  # first, while nobody else can hold it
        os.close(descriptor)
        if path.parent.name == CLONES_OWN and path.parent.exists() and not any(path.parent.iterdir()):
            path.parent.rmdir()


def _take(environment: Environment, path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.pread(descriptor, 1000, 0)
            os.close(descriptor)
            raise refusal(environment, _holder(text)) from None
        try:
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)  # the previous holder removed this file after we had opened it


def _holder(text: bytes) -> Lock:
    try:
        document = json.loads(text)
        return Lock(
            pid=int(document["pid"]),
            host=str(document["host"]),
            user=str(document["user"]),
            since=str(document["since"]),
        )
    except NO_DOCUMENT:  # it has the lock but has not written its name yet
        return Lock(pid=0, host=socket.gethostname(), user=getpass.getuser(), since=_now())


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
