"""What a change does to the users of the shop, from nothing to lost data. Defined by tables, not by branches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from topology.dangerous_edits import DELETE_OPS, REPLACE_OPS, STATEFUL
from topology.names import BUCKET, DROPLET, RESERVED_IP, VOLUME, VPC

KINDS = ("none", "reload", "switch", "restart", "reboot", "power cut", "replaced", "data lost", "unknown")
"""From the least to the worst; what is unknown counts as the worst."""
KNOWN_OPS = frozenset({"create", "update", "import", *DELETE_OPS, *REPLACE_OPS, "remove-pending-replace"})


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One of KINDS, in words."""

    kind: str = "none"
    text: str = ""

    @property
    def rank(self) -> int:
        """0 for nothing; the higher, the worse."""
        return KINDS.index(self.kind)


NONE = Effect()
LOST = {
    DROPLET: Effect(kind="replaced", text=STATEFUL[DROPLET]),
    VOLUME: Effect(kind="data lost", text=STATEFUL[VOLUME]),
    BUCKET: Effect(kind="data lost", text=STATEFUL[BUCKET]),
    RESERVED_IP: Effect(kind="replaced", text=STATEFUL[RESERVED_IP]),
    VPC: Effect(kind="replaced", text=STATEFUL[VPC]),
}
"""The effect of deleting a resource, by type."""
EDITED = {
    (DROPLET, "size"): Effect(
        kind="power cut", text="DigitalOcean switches the machine off to resize it: its tier is down for minutes"
    ),
}
"""The effect of an edit in place, by type and property; all other edits affect nobody."""
GAPS = {
    "nginx": ("visitors get errors", 2),
    "haproxy": ("the shop shows errors, or nobody can log in", 2),
    "postgres": ("the shop shows errors and nobody can log in", 2),
    "redis": ("events wait", 2),
    "relay": ("events wait", 3),
    "engines": ("events wait", 5),
}
"""The effect of a new container of a service, and for about how many seconds: from the end of the old one until the new
one is healthy, the longest of three on a local stack (docs/preview.md)."""
KEPT = {"construction": ", and a quote that is being written has 30 s left"}
"""What a process holds in its memory: `DRAIN_WAIT` of compose/switch.py."""
OF_SECRETS = Effect(
    kind="restart",
    text="the services that read what changed get a new container; those without two colours are unavailable meanwhile",
)
"""The effect of changed secrets or addresses on a release whose files stay: which ones differ is secret as a whole."""


def of_resource(type_: str, op: str, properties: Sequence[str]) -> Effect:
    """Return the effect of an operation on a resource; `properties` are the paths that differ."""
    if op not in KNOWN_OPS:
        return Effect(kind="unknown", text=f"this version of basec does not know the operation '{op}'")
    if op in DELETE_OPS or op in REPLACE_OPS:
        return LOST.get(type_, NONE)
    if op == "update":
        found = [EDITED[type_, path] for path in properties if (type_, path) in EDITED]
        return max(found, key=lambda effect: effect.rank, default=NONE)
    return NONE


def of_services(services: Sequence[str]) -> Effect:
    """Return the effect of new containers."""
    if not services:
        return NONE
    return Effect(kind="restart", text="; ".join(map(_gap, services)))


def of_switches(services: Sequence[str]) -> Effect:
    """Return the effect of services whose other colour takes over."""
    if not services:
        return NONE
    text = "the new one starts beside the old one and takes over"
    return Effect(kind="switch", text="; ".join(f"{name}: {text}{KEPT.get(name, '')}" for name in services))


def of_reloads(services: Sequence[str]) -> Effect:
    """Return the effect of servers that read their files again."""
    if not services:
        return NONE
    return Effect(kind="reload", text="; ".join(f"{name}: serves on, and reads its files again" for name in services))


def _gap(service: str) -> str:
    if service not in GAPS:
        return f"{service}: unavailable until it is back"
    felt, seconds = GAPS[service]
    return f"{service}: {felt} for about {seconds} s"


def worst(effects: Sequence[Effect]) -> Effect:
    """Return the worst effect."""
    return max(effects, key=lambda effect: effect.rank, default=NONE)
