"""Two containers for one service, of which HAProxy serves one: a new version serves before the old one ends.

A *colour* is one of the two: `construction-blue` and `construction-green` in the compose file, at fixed addresses. Each
HAProxy backend whose name begins with the service's has a server for each colour. Which one serves stands in
`colours.cfg` of HAProxy's live directory as well, so that a restart or a reload keeps it.

Nobody records which colour a release has: it is the one whose container was made of the release's definition, and for a
new definition the one that does not serve. When each is started, switched, drained and stopped: switch.py.
Shipped in every bundle and run as root by Debian's own Python: standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atomic_files import write
from programs import LINES_ABOVE, Programs, ReleaseError

BLUE, GREEN = NAMES = ("blue", "green")
CHOICES = "colours.cfg"
PROXY = "haproxy"  # the service that chooses
LINE = "    setenv {} {}\n"
ASK = 'exec 3<>/dev/tcp/127.0.0.1/9999; printf "%s\\n" "$0" >&3; cat <&3'
"""The images have no socat, but bash speaks TCP; HAProxy closes after one command."""


@dataclass(frozen=True)
class Pair:
    """The two containers of a service, and the colour that a release has."""

    service: str
    colour: str
    addresses: Mapping[str, str]  # host and port, by colour

    @property
    def container(self) -> str:
        """The compose service that the release runs."""
        return f"{self.service}-{self.colour}"

    @property
    def idle(self) -> str:
        """The compose service that it does not run."""
        return f"{self.service}-{other(self.colour)}"


def other(colour: str) -> str:
    """Return the other one of the two."""
    return GREEN if colour == BLUE else BLUE


def service_of(container: str) -> str:
    """Return the name that operators use for a compose service: without its colour."""
    name, _, colour = container.rpartition("-")
    return name if colour in NAMES else container


def choose(
    services: Mapping[str, Mapping[str, Any]],
    hashes: Mapping[str, str],
    made: Mapping[str, str],
    serving: Mapping[str, str],
) -> list[Pair]:
    """Return the pairs of a release, by name.

    `services` are compose's; `hashes` are those of their definitions, and `made` those that the existing containers
    were made of, both by compose service; `serving` is the colour that HAProxy serves now, by service.
    """
    pairs = []
    for service in sorted({service_of(name) for name in services} - services.keys()):
        now = serving.get(service)
        order = [now, other(now)] if now else [BLUE, GREEN]
        fit = [colour for colour in order if made.get(f"{service}-{colour}") == hashes[f"{service}-{colour}"]]
        colour = fit[0] if fit else order[f"{service}-{order[0]}" in made]
        addresses = {each: _address(services[f"{service}-{each}"]) for each in NAMES}
        pairs.append(Pair(service, colour, addresses))
    return pairs


def _address(definition: Mapping[str, Any]) -> str:
    (network,) = definition["networks"].values()
    return f"{network['ipv4_address']}:{definition['expose'][0]}"


class Choices:
    """Which colour HAProxy serves when it starts or reads its configuration again, by service."""

    def __init__(self, path: Path) -> None:
        """Nothing is read or written yet; `path` is the file `colours.cfg`."""
        self.path = path

    def read(self) -> dict[str, str]:
        """Return the colours; none before the first release with colours."""
        try:
            found = re.findall(r"^    setenv (\w+)_(BLUE|GREEN) enabled$", self.path.read_text(), re.MULTILINE)
        except OSError:
            return {}
        return {name.lower().replace("_", "-"): colour.lower() for name, colour in found}

    def write(self, choices: Mapping[str, str]) -> None:
        """Replace the file at once. HAProxy knows each server as `enabled` or `disabled`."""
        lines = [
            LINE.format(f"{name}_{colour}".upper().replace("-", "_"), "enabled" if colour == chosen else "disabled")
            for name, chosen in sorted(choices.items())
            for colour in NAMES
        ]
        write(self.path, "".join(["# Written by release.py.\n", "global\n", *lines]).encode())

    def complete(self, pairs: list[Pair]) -> None:
        """Add those that are not there: without them HAProxy does not start."""
        if pairs:
            self.write({pair.service: pair.colour for pair in pairs} | self.read())


class Proxy:
    """One running HAProxy, asked at its runtime socket."""

    def __init__(self, container: str, programs: Programs) -> None:
        """Nothing is asked yet; `container` is an id or a name."""
        self.container = container
        self.programs = programs

    def ask(self, command: str) -> str:
        """Return what HAProxy answers to a command, or to several with `;` between them."""
        return self.programs.run(["docker", "exec", self.container, "bash", "-c", ASK, command], 10)

    def servers(self, service: str) -> list[dict[str, str]]:
        """Return the rows of `show stat` for both colours in each backend of the service, by HAProxy's own names."""
        header, *lines = [line for line in self.ask("show stat").splitlines() if line]
        columns = header.removeprefix("# ").split(",")
        rows = [dict(zip(columns, line.split(","), strict=False)) for line in lines]
        backends = re.compile(rf"{re.escape(service)}(_\w+)?")
        return [row for row in rows if row["svname"] in NAMES and backends.fullmatch(row["pxname"])]

    def serve(self, pair: Pair) -> None:
        """Let the pair's colour take requests, and the other one only end what it has. Raises ReleaseError.

        The colour was probed before, so HAProxy is told that it is well and need not find out.
        """
        rows = self.servers(pair.service)
        new, old = ([row for row in rows if row["svname"] == colour] for colour in (pair.colour, other(pair.colour)))
        checked = [row for row in new if row["pxname"] == pair.service]  # the other backends follow its checks
        self._set([(checked, "health up"), (new, "state ready"), (old, "state drain")])

    def ends(self, pair: Pair) -> tuple[int, int]:
        """Return how many requests the other colour works at, and how many visitors it is kept for."""
        rows = [row for row in self.servers(pair.service) if row["svname"] == other(pair.colour)]
        tables = [f"show table {pair.service}_kept data.server_id eq {sid}" for sid in {row["sid"] for row in rows}]
        kept = self.ask("; ".join(tables)).count("server_id=") if tables else 0
        return sum(int(row["scur"] or 0) for row in rows), kept

    def rest(self, pair: Pair) -> None:
        """Let the other colour take nothing at all, and check it no more."""
        self._set([([row for row in self.servers(pair.service) if row["svname"] == other(pair.colour)], "state maint")])

    def _set(self, changes: Sequence[tuple[Sequence[Mapping[str, str]], str]]) -> None:
        commands = [f"set server {row['pxname']}/{row['svname']} {what}" for rows, what in changes for row in rows]
        said = " ".join(self.ask("; ".join(commands)).split()) if commands else ""
        if said:
            raise ReleaseError(f"{self.container}: {'; '.join(commands)}: {said}", LINES_ABOVE)
