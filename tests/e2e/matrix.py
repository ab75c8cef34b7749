"""Who may reach which port, made from the inventory: what every scan is compared with."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.stack import TIERS
from topology.inventory import CLOUDFLARE, SSH_SOURCES, load_inventory

Doors = frozenset[tuple[str, int]]
"""Pairs of droplet and TCP port."""


def doors(root: Path, *sources: str) -> Doors:
    """Return the ports that the rule table opens to any of these sources."""
    rules = load_inventory(root / "inventory.yaml").rules
    return frozenset(
        (rule.droplet, int(port))
        for rule in rules
        if rule.protocol == "tcp" and set(sources) & set(rule.sources)
        for port in rule.ports
    )


def matrix(root: Path) -> dict[str, Doors]:
    """Return, by vantage point, what it may reach: public ones by public addresses, the others by private ones.

    `ssh_sources` is anywhere in a local stack; a neighbour in the VPC is no peer, so nothing is open to it.
    """
    return {
        "public": doors(root, SSH_SOURCES),
        "cloudflare": doors(root, SSH_SOURCES, CLOUDFLARE),
        "neighbour": frozenset(),
        **{tier: doors(root, tier) for tier in TIERS},
    }


def all_ports(root: Path) -> set[int]:
    """Return every port that the rule table names."""
    return {int(port) for rule in load_inventory(root / "inventory.yaml").rules for port in rule.ports}
