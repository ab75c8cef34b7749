"""What runs on a droplet: its tier, read from `compose/<tier>/compose.yaml`; there is no other list of services.

A tier's scripts on the droplet get it as `tier.json` of their bundle (`description`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from topology.errors import ConfigurationError, Problem
from topology.files import read_yaml
from topology.mounts import mounts

DATA_DIR = "DATA_DIR"
DATA_MOUNT = "/mnt/data"
"""Where a droplet's volume is mounted. Letters alone, so that the name of its systemd mount unit needs no escapes.
Compose files call it DATA_DIR."""
WATCHDOG = "x-watchdog"
POLICIES = {
    "restart": "restarted when it stays unhealthy; the default",
    "report": "reported in the journal, and not restarted",
    "front": "left alone while another container of the tier starts or failed its last check",
}
"""What the watchdog does with a service, by the value of its `x-watchdog`."""
PROXY = "haproxy"
"""The service that chooses between colours."""
COLOURS = ("blue", "green")
"""A service with two containers, of which one serves, is two of the compose file: `auth-blue` and `auth-green`."""
LIVE = "x-live"
SIGNALS = ("HUP", "USR2")
"""Those at which a server reads its configuration again and goes on serving: nginx's, and that of HAProxy's master."""


@dataclass(frozen=True, kw_only=True)
class Live:
    """What a running service reads again at a signal, so that a change of it recreates no container (`x-live`)."""

    folder: str
    """Its directory of the bundle."""
    secrets: tuple[str, ...]
    """Its secret files, below `secrets/` of what it reads."""
    signal: str
    """One of SIGNALS."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """One service of a tier."""

    owner: int
    """Its user and group on the droplet, and that of its data; 0 where `user` is not two numbers (rule BC18)."""
    is_lasting: bool
    """Whether it always runs; `migrate` runs only on demand."""
    data: tuple[str, ...]
    """Its directories on the data volume."""
    watchdog: str
    """One of POLICIES."""
    live: Live | None
    """None: a changed file recreates its container."""


@dataclass(frozen=True, kw_only=True)
class Tier:
    """What one droplet runs."""

    name: str
    services: Mapping[str, Service]

    def description(self, watch_s: int) -> str:
        """Return what its scripts on the droplet need to know: the text of `tier.json`. `watch_s` is a setting."""
        document = {
            "tier": self.name,
            "mount": DATA_MOUNT,
            "data": {name: service.owner for service in self.services.values() for name in service.data},
            "watchdog": {name: each.watchdog for name, each in self.services.items() if each.watchdog != "restart"},
            "live": {name: asdict(each) for name, each in self.live.items()},
            "watch_s": watch_s,
        }
        return json.dumps(document, indent=2, sort_keys=True) + "\n"

    @property
    def live(self) -> Mapping[str, Live]:
        """What services read again, by service."""
        return {name: each.live for name, each in self.services.items() if each.live}


def service_of(container: str) -> str:
    """Return the name that operators use for a service of a compose file: without its colour."""
    name, _, colour = container.rpartition("-")
    return name if colour in COLOURS else container


def read_tier(name: str, document: Any) -> Tier:
    """Read a tier from its compose project. Raises ConfigurationError for a wrong `x-watchdog`, `x-live` or colour."""
    if problems := list(_colour_problems(name, _services(document))):
        raise ConfigurationError(problems)
    return Tier(name=name, services={key: _service(name, key, each) for key, each in _services(document).items()})


def load_tier(root: Path, name: str) -> Tier:
    """Read a tier from its folder. Raises ConfigurationError for invalid YAML."""
    return read_tier(name, read_yaml(root / "compose" / name / "compose.yaml"))


def services_of(root: Path, tier: str) -> tuple[str, ...]:
    """Return the services of a tier that always run, in the order of its compose file. Raises ConfigurationError.

    They have the names that operators use: a service with two colours is one.
    """
    lasting = (name for name, service in load_tier(root, tier).services.items() if service.is_lasting)
    return tuple(dict.fromkeys(map(service_of, lasting)))


def tiers(root: Path) -> Mapping[str, Sequence[str]]:
    """Return all services of each tier that has a folder below `compose/`, including those that run once.

    They have the names that operators use: a service with two colours is one.
    """
    names = [file.parent.name for file in sorted((root / "compose").glob("*/compose.yaml"))]
    return {name: tuple(dict.fromkeys(map(service_of, load_tier(root, name).services))) for name in names}


def _services(document: Any) -> Mapping[str, Mapping[str, Any]]:
    services = document.get("services") if isinstance(document, dict) else None
    found = services.items() if isinstance(services, dict) else ()
    return {name: service for name, service in found if isinstance(service, dict)}


def _colour_problems(tier: str, services: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    """Yield a problem for each colour without its other one, with another definition, or without HAProxy before it."""
    for name, service in services.items():
        plain = service_of(name)
        if plain == name:
            continue
        twin = next(f"{plain}-{colour}" for colour in COLOURS if f"{plain}-{colour}" != name)
        message = hint = ""
        if twin not in services:
            message, hint = f"there is no {twin}", f"write {twin}: start from an anchor at {name}"
        elif _but_address(service) != _but_address(services[twin]):
            message, hint = f"differs from {twin} in more than its address", "let one start from the other's anchor"
        elif not (service.get("expose") and "ipv4_address" in json.dumps(service.get("networks"))):
            message, hint = (
                "has no `expose`, or no `ipv4_address`",
                "write its port and a fixed address: HAProxy has both",
            )
        elif PROXY not in services:
            message, hint = f"{tier} has no {PROXY}, which chooses the colour", "write it as compose/vertical has it"
        if message:
            yield Problem(file=f"compose/{tier}/compose.yaml", path=f"services.{name}", message=message, hint=hint)


def _but_address(service: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: sorted(value) if key == "networks" else value for key, value in service.items()}


def _service(tier: str, name: str, service: Mapping[str, Any]) -> Service:
    user = re.fullmatch(r"(\d+):\d+", str(service.get("user")))
    file, path = f"compose/{tier}/compose.yaml", f"services.{name}"
    policy = service.get(WATCHDOG, "restart")
    if not isinstance(policy, str) or policy not in POLICIES:
        message, hint = f"{policy!r} is not a policy", "use one of: " + ", ".join(POLICIES)
        raise ConfigurationError([Problem(file=file, path=f"{path}.{WATCHDOG}", message=message, hint=hint)])
    try:
        live = _live(service[LIVE]) if LIVE in service else None
    except (TypeError, KeyError, ValueError):
        hint = f"write `{LIVE}: {{folder: nginx, secrets: [origin.pem], signal: HUP}}`; signals: {', '.join(SIGNALS)}"
        message = f"{service[LIVE]!r} is not what a service reads again"
        raise ConfigurationError([Problem(file=file, path=f"{path}.{LIVE}", message=message, hint=hint)]) from None
    found = [
        re.fullmatch(rf"(?:\$\{{{DATA_DIR}(?::?\?[^}}]*)?\}}|{DATA_MOUNT})/([a-z][\w-]*)", mount.source)
        for mount in mounts(service)
    ]
    return Service(
        owner=int(user[1]) if user else 0,
        is_lasting=not service.get("profiles"),
        data=tuple(match[1] for match in found if match),
        watchdog=policy,
        live=live,
    )


def _live(value: Any) -> Live:
    """Read an `x-live`. Raises TypeError, KeyError or ValueError."""
    live = Live(folder=value["folder"], secrets=tuple(value.get("secrets", ())), signal=value["signal"])
    names = (live.folder, *live.secrets)
    if set(value) - {"folder", "secrets", "signal"} or live.signal not in SIGNALS:
        raise ValueError
    if not all(re.fullmatch(r"[a-z][\w.-]*", name) for name in names):
        raise ValueError
    return live
