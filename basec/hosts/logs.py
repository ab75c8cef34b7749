"""Log lines of services on several droplets: merged in time order, or as they come."""

from __future__ import annotations

import json
import queue
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from subprocess import Popen

from basec.hosts import onhost
from basec.hosts.agent import ensure_key
from basec.hosts.facts import HostFacts
from basec.hosts.onhost.logs import ERRORS, UNKNOWN
from basec.hosts.remote import failure, started_program
from basec.session import Session
from topology.errors import RemoteError, UsageError

PROGRAM = (Path(onhost.__file__).parent / "logs.py").read_text()
DEFAULT_TAIL = 100
DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
UNPRINTABLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Colours and other control codes of a terminal: part of a line may come from a stranger."""
BACKLOG = 10_000
"""Lines read ahead for a slow reader, before the droplets must wait."""


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """One line: the shape of `basec logs --json`. `time` is Docker's, UTC in nanoseconds, in a form that sorts as text.

    `level` is one of debug, info, notice, warning, error and critical; None where the format is not known.
    """

    time: str
    host: str
    service: str
    level: str | None
    message: str

    @property
    def is_error(self) -> bool:
        return self.level in ERRORS


@dataclass(frozen=True, kw_only=True)
class Query:
    """The request to each service."""

    tail: int | None
    """The number of last lines; None is all."""
    since: str
    """As `docker logs` takes it; empty: from the start."""
    follow: bool
    checks: bool
    """Whether answered health checks are shown too."""
    errors: bool
    """Only errors and worse."""
    grep: str
    """Only lines that contain this string, in upper or lower case; empty: all."""


def parse_since(text: str, key: str = "--since") -> str:
    """Return a duration (`1h30m`, `2d`) or a time (ISO 8601, UTC without a zone) as `docker logs` takes it.

    Raises UsageError.
    """
    match = DURATION.fullmatch(text)
    if match and any(match.groups()):
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return f"{((days * 24 + hours) * 60 + minutes) * 60 + seconds}s"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        hint = "a duration such as 90s, 10m, 1h30m, 2d, or a time such as 2026-01-31T08:00 (UTC)"
        raise UsageError(f"basec: {key}: {text!r} is neither a duration nor a time", hint) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


class Logs:
    """Lines of all hosts through one queue; hosts that failed are in `errors`. As a context it ends all sessions."""

    def __init__(self, session: Session, wanted: Mapping[HostFacts, Sequence[str]], query: Query) -> None:
        self._session = session
        self._wanted = wanted
        self._query = query
        self._lines: queue.Queue[LogLine | None] = queue.Queue(maxsize=BACKLOG)
        self._sessions = ExitStack()
        self.errors: list[RemoteError] = []

    def __enter__(self) -> Logs:
        ensure_key(self._session)
        with ExitStack() as opening:
            for host, services in self._wanted.items():
                arguments = [host.tier, json.dumps({**asdict(self._query), "services": services})]
                started = started_program(self._session.environment, host.name, PROGRAM, arguments)
                process = opening.enter_context(started)
                threading.Thread(target=self._read, args=(host.name, process), daemon=True).start()
            self._sessions = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._sessions.close()

    def __iter__(self) -> Iterator[LogLine]:
        """Yield lines as they come, otherwise in the order of their times."""
        return self._as_they_come() if self._query.follow else iter(sorted(self._as_they_come(), key=_moment))

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be shown."""
        return self._lines.empty()

    def _as_they_come(self) -> Iterator[LogLine]:
        running = len(self._wanted)
        while running:
            line = self._lines.get()
            if line is None:
                running -= 1
            else:
                yield line

    def _read(self, host: str, process: Popen[bytes]) -> None:
        """Read one host to its end; in a separate thread."""
        if process.stdout is None or process.stderr is None:
            raise ValueError("a program is started with pipes")
        with process.stdout as output, process.stderr as errors:
            for raw in output:
                service, time, level, text = raw.decode(errors="replace").rstrip("\n").split(" ", 3)
                known, message = None if level == UNKNOWN else level, UNPRINTABLE.sub("", text)
                self._lines.put(LogLine(time=time, host=host, service=service, level=known, message=message))
            said = errors.read().decode(errors="replace")
        code = process.wait()
        if code != 0:
            self.errors.append(failure(self._session.environment, host, "docker logs", code, said.strip()))
        self._lines.put(None)


def _moment(line: LogLine) -> tuple[str, str, str]:
    """Return the sort key: the time; lines of one service at one time keep their order."""
    return line.time, line.host, line.service
