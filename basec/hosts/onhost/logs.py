"""Prints the log lines of a tier's containers as `<service> <time> <level> <text>`, an unknown level as `-`.
Arguments: the tier, and the request as JSON (`Query` in basec/hosts/logs.py, and `services`).

Lines are chosen here, where reading them costs least: the last hundred of a service may all be
health checks. While it follows, containers that start later are followed as well: a release replaces them. It ends
when nobody holds its standard input open any more.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import os
import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
COLOUR = re.compile("-(blue|green)$")
"""At the end of a compose service's name, where a service has two: both are shown under the service's own name."""
LOOK_BACK = 100
"""Lines that are read for each one shown, without health checks: HAProxy asks each second."""

# What services print. `time` is not shown, since Docker's is; nor is `cut`: the server's own file is no help.

STAMP = r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - )"
REQUEST = r'"(?:[A-Z]+ )?(?P<path>[^ "]*)[^"]*" (?P<status>\d{3})'
FILE = r"(?P<cut> - /\S+:\d+)?"
APPLICATION = (
    STAMP + r"uvicorn\S* - (?P<level>[A-Z]+) - \S* - " + REQUEST + ".*?" + FILE,
    STAMP + r"uvicorn\S* - (?P<level>[A-Z]+) - .*?" + FILE,
    STAMP + r"\S+ - (?P<level>[A-Z]+) - .*",
    r"(?P<level>[A-Z]+): +\S* - " + REQUEST + ".*",  # uvicorn's own, where the application sets no format
    r"(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL): .*",
)
FORMATS = {
    name: tuple(re.compile(each) for each in patterns)
    for name, patterns in {
        "nginx": (
            r"\S+ (?P<time>\[[^]]+\] )" + REQUEST + ".*",
            r"(?P<time>\d{4}/\d\d/\d\d \d\d:\d\d:\d\d )\[(?P<level>[a-z]+)\] .*",
        ),
        "postgres": (
            r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+ )\[\d+\] (?:\S+@\S+ )?(?P<level>[A-Z]+)\d?:  .*",
        ),
        "redis": (r"\d+:[A-Z] (?P<time>\d\d \w{3} \d{4} \d\d:\d\d:\d\d\.\d{3} )(?P<level>[.*#-]) .*",),
        "haproxy": (
            r"\[(?P<level>[A-Z]+)\] +\(\d+\) : .*",
            r"Server \S+ is (?P<level>DOWN)\b.*",
            r"backend \S+ has (?P<level>no server) available!",
        ),
        **dict.fromkeys(("auth", "construction", "relay", "engines"), APPLICATION),
    }.items()
}
SINGLE_LINES = ("nginx", "redis", "haproxy")
"""Services whose lines in unknown formats do not belong to the line before."""
LEVELS = {
    **dict.fromkeys(("debug", "trace", "."), "debug"),
    **dict.fromkeys(("info", "log", "-"), "info"),
    **dict.fromkeys(("notice", "*"), "notice"),
    **dict.fromkeys(("warning", "warn"), "warning"),
    # Redis has no level above `#`: its fatal errors have it too.
    **dict.fromkeys(("error", "#", "down"), "error"),
    **dict.fromkeys(("critical", "crit", "alert", "emerg", "fatal", "panic", "no server"), "critical"),
}
ERRORS = ("error", "critical")
UNKNOWN = "-"
TRACEBACK = "Traceback (most recent call last):"
HEALTH_PAGE = re.compile(r"(/[a-z]+)?/healthz?(\?.*)?|/[^?]*\?health")
"""`?health` is what the containers' own checks add to other pages (`compose/*/*/health.py`)."""


class Line(NamedTuple):
    """A line as it is shown, and what is known about it."""

    level: str
    text: str
    is_check: bool = False
    """Whether it is a health check that passed; a failed one is shown."""


def read_line(service: str, text: str, before: str = UNKNOWN) -> Line:
    """Return what a line is; `before` is the level of the line before it, which a traceback's lines share."""
    for pattern in FORMATS[service]:
        if match := pattern.fullmatch(text):
            found = {"level": "info", "path": "", "status": "", **match.groupdict()}
            level = "error" if found["status"].startswith("5") else LEVELS.get(found["level"].lower(), before)
            for start, end in sorted((match.span(name) for name in ("time", "cut") if found.get(name)), reverse=True):
                text = text[:start] + text[end:]
            is_check = found["status"].startswith("2") and HEALTH_PAGE.fullmatch(found["path"]) is not None
            return Line(level, text, is_check)
    if text == TRACEBACK:
        return Line("error", text)
    return Line(UNKNOWN if service in SINGLE_LINES else before, text)


class Reader:
    """Reads containers' logs and prints the requested lines."""

    def __init__(self, query: dict[str, Any]) -> None:
        self.query = query
        self.last: dict[str, str] = {}  # time of the last line read, by container
        self.levels: dict[str, str] = {}  # level of that line
        self.threads: dict[str, threading.Thread] = {}
        self.children: list[subprocess.Popen[bytes]] = []
        self.starting = threading.Lock()
        self.writing = threading.Lock()

    def is_wanted(self, line: Line) -> bool:
        """Whether it is to be shown."""
        query = self.query
        return (
            (query["checks"] or not line.is_check)
            and (not query["errors"] or line.level in ERRORS)
            and query["grep"].lower() in line.text.lower()
        )

    def depth(self, service: str, tail: int | None) -> str:
        """Return how many lines to read to show so many; at least one, to know where to follow from."""
        if tail is None or self.query["errors"] or self.query["grep"]:
            return "all"
        answers = any("path" in pattern.groupindex for pattern in FORMATS[service])
        return str(max(tail, 1) * (LOOK_BACK if answers and not self.query["checks"] else 1))

    def docker(self, *arguments: str, stderr: int | None = None) -> subprocess.Popen[bytes]:
        """Start a program of Docker, which `end` kills: otherwise a log would be followed until its next line."""
        with self.starting:
            process = subprocess.Popen(
                ["docker", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
            self.children.append(process)
        return process

    def lines(self, container: str, service: str, *options: str) -> Iterator[str]:
        """Yield the requested lines of one container, as they are printed, until `docker logs` ends."""
        seen = self.last.get(container, "")
        process = self.docker("logs", "--timestamps", *options, container, stderr=subprocess.STDOUT)
        for raw in process.stdout or ():
            stamp, _, text = raw.decode(errors="replace").rstrip("\n").partition(" ")
            if seen and stamp <= seen:  # --since includes its own time
                continue
            line = read_line(service, text, self.levels.get(container, UNKNOWN))
            self.last[container], self.levels[container] = stamp, line.level
            if self.is_wanted(line):
                yield f"{service} {stamp} {line.level} {line.text}\n"
        process.wait()

    def read(self, service: str, containers: list[str]) -> None:
        """Print the existing lines of a service in order of time, and if requested let each container be followed."""
        tail, since = self.query["tail"], self.query["since"]
        options = ["--tail", self.depth(service, tail), *(["--since", since] if since else [])]
        lines = heapq.merge(*(self.lines(each, service, *options) for each in containers), key=moment_of)
        self.write(lines if tail is None else deque(lines, maxlen=tail))
        if self.query["follow"]:
            for each in containers:
                self.start(each, service, since)

    def follow(self, container: str, service: str, since: str) -> None:
        """Print the new lines of one container until it ends."""
        moment = self.last.get(container, since)
        self.write(self.lines(container, service, "--follow", *(["--since", moment] if moment else [])))

    def run(self, service: str, read: Callable[[], None]) -> threading.Thread:
        """Read in a thread; an error ends everything, since nobody would notice that its lines are missing."""

        def work() -> None:
            try:
                read()
            except Exception as error:
                self.end(1, f"{service}: its log cannot be read: {type(error).__name__}: {error}\n")

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread

    def write(self, lines: Iterable[str]) -> None:
        """Print lines as they come; several containers do this at once."""
        for line in lines:
            with self.writing:
                sys.stdout.buffer.write(line.encode())
                sys.stdout.buffer.flush()

    def start(self, container: str, service: str, since: str = "") -> None:
        """Follow a container from its start, or from where reading stopped."""
        thread = self.threads.get(container)
        if service not in self.query["services"]:
            return
        if thread is not None:
            thread.join(1)  # `docker logs` ends soon after its container
            if thread.is_alive():
                return
        self.threads[container] = self.run(service, partial(self.follow, container, service, since))

    def end(self, code: int, said: str = "") -> None:
        """End every started program, and this one, whatever its other threads do."""
        sys.stderr.write(said)
        sys.stderr.flush()
        with self.starting:  # and kept: nothing is started between the last kill and the end
            for child in self.children:
                child.kill()
            os._exit(code)


def moment_of(line: str) -> str:
    """Return the time of a line that is to be printed."""
    return line.split(" ", 2)[1]


def main(tier: str, request: str) -> None:
    """Print the existing lines; then, to follow, the new ones."""
    query = json.loads(request)
    reader = Reader(query)
    chosen = ("--filter", f"label={PROJECT}={tier}")
    events = None
    if query["follow"]:
        threading.Thread(target=end_with_input, args=(reader,), daemon=True).start()
        shown = f'{{{{.ID}}}} {{{{index .Actor.Attributes "{SERVICE}"}}}}'
        # Before the list, so that no container starts unseen between the two.
        only = ("--filter", "type=container", "--filter", "event=start")
        events = reader.docker("events", *chosen, *only, "--format", shown)
    listed = subprocess.run(
        ["docker", "ps", "--all", "--no-trunc", *chosen, "--format", f'{{{{.ID}}}} {{{{.Label "{SERVICE}"}}}}'],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        sys.exit(listed.stderr.strip())
    found: dict[str, list[str]] = {}
    for container, name in (line.split() for line in listed.stdout.splitlines()):
        found.setdefault(COLOUR.sub("", name), []).append(container)
    wanted = {service: containers for service, containers in found.items() if service in query["services"]}
    if query["follow"]:
        for thread in [reader.run(service, partial(reader.read, service, each)) for service, each in wanted.items()]:
            thread.join()  # before the events: a container that starts meanwhile is followed from its last line
    else:
        for service, containers in wanted.items():
            reader.read(service, containers)
    for line in events.stdout or () if events else ():
        container, name = line.decode().split()
        reader.start(container, COLOUR.sub("", name))  # everything of a new one
    if events:
        reader.end(1, "docker events ended\n")


def end_with_input(reader: Reader) -> None:
    """Wait for the end of standard input; then end all."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    reader.end(0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
