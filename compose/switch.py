"""The change from one colour of a service to the other: the new one starts, is proven, serves; the old one ends.

What a colour is, and how HAProxy is asked: colours.py. When each step is done: release.py.
Shipped in every bundle and run as root by Debian's own Python: standard library only.
"""

from __future__ import annotations

import http.client
import time
from pathlib import Path

from colours import PROXY, Pair
from containers import HEALTH_DEADLINE, Containers
from programs import LINES_ABOVE, ReleaseError, say
from tier_files import Release

POLL_S = 0.1  # between two questions
PROBE_TIMEOUT = 5  # seconds for one answer
DRAIN_WAIT = 30  # seconds that requests and visitors of the old colour have; as long as its own grace
MEMORY_SHARE = 1.3  # of what the running colour uses must be available for the second one
DIED = ("exited", "dead", "restarting")


class Switch:
    """The colours of one tier."""

    def __init__(self, containers: Containers) -> None:
        """Nothing is asked or started yet."""
        self.containers = containers
        self.tier = containers.tier
        self.programs = containers.programs
        self.choices = containers.choices

    def is_done(self, release: Release) -> bool:
        """Return whether HAProxy serves the colours that the release has."""
        serving = self.choices.read()
        return all(serving.get(pair.service) == pair.colour for pair in self.containers.pairs(release))

    def prepare(self, release: Release) -> None:
        """Write what HAProxy needs to start."""
        self.choices.complete(self.containers.pairs(release))

    def check_memory(self, release: Release) -> None:
        """Refuse a release whose second colour would not find its memory beside the first, with ReleaseError."""
        serving = self.choices.read()
        for pair in self.containers.pairs(release):
            used = self.containers.memory_mib(pair.idle) if serving[pair.service] != pair.colour else 0
            available = available_mib()
            if available < MEMORY_SHARE * used:
                raise ReleaseError(
                    f"{self.tier}: memory: {available} MiB available, and a second {pair.service} needs "
                    f"{MEMORY_SHARE * used:.0f}: {MEMORY_SHARE} times what {pair.idle} uses",
                    "look at what uses it: basec status",
                )

    def start(self, release: Release, *, proven: bool) -> None:
        """Start the colours that do not serve yet; each serves when it answers, and has proven itself if it must.

        Raises ReleaseError; then the other colour serves on.
        """
        serving, running = self.choices.read(), self.containers.running()
        for pair in self.containers.pairs(release):
            if serving[pair.service] == pair.colour and pair.container in running:
                continue
            say(f"{self.tier}: starts {pair.container}" + (f"; {pair.idle} serves on" if pair.idle in running else ""))
            self.containers.compose(release, "up", "-d", "--no-deps", pair.container, deadline=120)
            self._probe(pair)
            if proven:
                self.containers.prove(release, pair.container)
            serving[pair.service] = pair.colour
            self.choices.write(serving)
            if PROXY in running:
                self.containers.proxy().serve(pair)
                say(f"{self.tier}: {pair.container} serves")

    def serve(self, release: Release) -> None:
        """Let HAProxy serve the release's colours, whatever it has read since they started. Raises ReleaseError."""
        for pair in self.containers.pairs(release):
            self.containers.proxy().serve(pair)

    def finish(self, release: Release) -> None:
        """Let the other colours end their requests, and stop them; they stay on the droplet, for the way back."""
        running = self.containers.running()
        for pair in (pair for pair in self.containers.pairs(release) if pair.idle in running):
            say(f"{self.tier}: {pair.idle} ends its requests")
            proxy = self.containers.proxy()
            deadline = time.monotonic() + DRAIN_WAIT
            while any(left := proxy.ends(pair)) and time.monotonic() < deadline:
                time.sleep(POLL_S)
            if any(left):
                what = f"{left[0]} requests and {left[1]} visitors"
                say(f"{self.tier}: {pair.idle}: ends after {DRAIN_WAIT} s with {what}")
            proxy.rest(pair)
            self.containers.compose(release, "stop", pair.idle, deadline=60)

    def serving(self, service: str) -> str:
        """Return the compose service that serves under this name: with its colour, where it has two."""
        colour = self.choices.read().get(service)
        return f"{service}-{colour}" if colour else service

    def _probe(self, pair: Pair) -> None:
        """Ask the new container from outside until it answers."""
        host, _, port = pair.addresses[pair.colour].partition(":")
        began = time.monotonic()
        looked = began
        while not answers(host, int(port)):
            now = time.monotonic()
            if now - looked > 1:
                looked = now
                state = self.containers.state(pair.container)
                if state in DIED or now - began > HEALTH_DEADLINE:
                    said = f"{pair.container} is {state}, and has not answered in {now - began:.0f} s"
                    raise ReleaseError(f"{self.tier}: health: {said}", LINES_ABOVE)
            time.sleep(POLL_S)


def answers(host: str, port: int) -> bool:
    """Return whether GET /health is answered with 200."""
    connection = http.client.HTTPConnection(host, port, timeout=PROBE_TIMEOUT)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def available_mib() -> int:
    """Return the droplet's memory that is available, in MiB."""
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    return int(fields["MemAvailable"].split()[0]) // 1024
