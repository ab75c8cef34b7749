"""What runs on a droplet: its tier, read from `compose/<tier>/compose.yaml`; there is no other list of services.

A tier's scripts on the droplet get it as `tier.json` of their bundle (`description`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, kw_only=True)
class Tier:
    """What one droplet runs."""

    name: str
    services: Mapping[str, Service]

    @property
    def description(self) -> str:
        """Return what its scripts on the droplet need to know: the text of `tier.json`."""
        document = {
            "tier": self.name,
            "mount": DATA_MOUNT,
            "data": {name: service.owner for service in self.services.values() for name in service.data},
            "watchdog": {name: each.watchdog for name, each in self.services.items() if each.watchdog != "restart"},
        }
        return json.dumps(document, indent=2, sort_keys=True) + "\n"


def read_tier(name: str, document: Any) -> Tier:
    """Read a tier from its compose project. Raises ConfigurationError for an unknown `x-watchdog`."""
    return Tier(name=name, services={key: _service(name, key, each) for key, each in _services(document).items()})


def load_tier(root: Path, name: str) -> Tier:
    """Read a tier from its folder. Raises ConfigurationError for invalid YAML."""
    return read_tier(name, read_yaml(root / "compose" / name / "compose.yaml"))


def services_of(root: Path, tier: str) -> tuple[str, ...]:
    """Return the services of a tier that always run, in the order of its compose file. Raises ConfigurationError."""
    return tuple(name for name, service in load_tier(root, tier).services.items() if service.is_lasting)


def tiers(root: Path) -> Mapping[str, Sequence[str]]:
    """Return all services of each tier that has a folder below `compose/`, including those that run once."""
    files = sorted((root / "compose").glob("*/compose.yaml"))
    return {file.parent.name: tuple(load_tier(root, file.parent.name).services) for file in files}


def _services(document: Any) -> Mapping[str, Mapping[str, Any]]:
    services = document.get("services") if isinstance(document, dict) else None
    found = services.items() if isinstance(services, dict) else ()
    return {name: service for name, service in found if isinstance(service, dict)}


def _service(tier: str, name: str, service: Mapping[str, Any]) -> Service:
    user = re.fullmatch(r"(\d+):\d+", str(service.get("user")))
    policy = service.get(WATCHDOG, "restart")
    if not isinstance(policy, str) or policy not in POLICIES:
        file, path = f"compose/{tier}/compose.yaml", f"services.{name}.{WATCHDOG}"
        hint = "use one of: " + ", ".join(POLICIES)
        raise ConfigurationError([Problem(file=file, path=path, message=f"{policy!r} is not a policy", hint=hint)])
    found = [
        re.fullmatch(rf"(?:\$\{{{DATA_DIR}(?::?\?[^}}]*)?\}}|{DATA_MOUNT})/([a-z][\w-]*)", mount.source)
        for mount in mounts(service)
    ]
    return Service(
        owner=int(user[1]) if user else 0,
        is_lasting=not service.get("profiles"),
        data=tuple(match[1] for match in found if match),
        watchdog=policy,
    )
