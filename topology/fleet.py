"""What runs on a droplet, as its compose file says; nobody else keeps a list of services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from topology.files import read_yaml


def services_of(root: Path, tier: str) -> tuple[str, ...]:
    """Name the services of a tier that always run, in the order of its compose file; `migrate` runs when it is asked.

    Raises ConfigurationError for what is no compose file.
    """
    return tuple(name for name, service in _services(root, tier).items() if not service.get("profiles"))


def tiers(root: Path) -> Mapping[str, Sequence[str]]:
    """Give all services of each tier that has a folder below `compose/`, those that run once among them."""
    files = sorted((root / "compose").glob("*/compose.yaml"))
    return {file.parent.name: tuple(_services(root, file.parent.name)) for file in files}


def _services(root: Path, tier: str) -> Mapping[str, Mapping[str, Any]]:
    document = read_yaml(root / "compose" / tier / "compose.yaml")
    services = document.get("services") if isinstance(document, dict) else None
    return services if isinstance(services, dict) and all(isinstance(each, dict) for each in services.values()) else {}
