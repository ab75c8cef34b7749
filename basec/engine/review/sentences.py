"""Write a review in plain sentences, host by host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from basec.engine.review import effects
from basec.engine.review.changes import Change, Review
from basec.engine.review.effects import Effect
from basec.engine.review.values import PropertyChange
from topology.dangerous_edits import DELETE_OPS, REPLACE_OPS

ACCOUNT = "account"
"""The place of changes to no droplet: the network, the zone, the monitoring."""
SHORT = 60
"""Characters of two values that a sentence may hold."""
DOORS = {"inboundRules": ("admits", "no longer admits"), "outboundRules": ("lets out", "no longer lets out")}
"""What a rule of the cloud firewall does when it is added, and when it is removed."""
COUNTED = {"create": "made", **dict.fromkeys(DELETE_OPS, "removed")}
"""Operations that a host has many of; they are counted, and named only if there is one."""


@dataclass(frozen=True, kw_only=True)
class HostChange:
    """All that happens to one host, in sentences, and the worst effect."""

    host: str
    sentences: tuple[str, ...]
    effect: Effect


def by_host(review: Review) -> list[HostChange]:
    """Return the hosts that change, in the order of the work; what belongs to no droplet is last."""
    found = []
    for host in (*review.hosts, ""):
        own = [change for change in review.changes if change.host == host]
        if own:
            effect = effects.worst([change.effect for change in own])
            found.append(HostChange(host=host or ACCOUNT, sentences=tuple(_sentences(own)), effect=effect))
    return found


def _sentences(changes: Sequence[Change]) -> Iterator[str]:
    for word in dict.fromkeys(COUNTED.values()):
        found = [change for change in changes if COUNTED.get(change.step.op) == word]
        if len(found) == 1:
            yield f"{found[0].step.name} is {word}"
        elif found:
            yield f"{len(found)} resources are {word}"
    yield from (sentence(change) for change in changes if change.step.op not in COUNTED)


def sentence(change: Change) -> str:
    """Return one edit in a line, e.g. `release 8b40c6 to 1f22ad: nginx/nginx.conf +1 -0`."""
    if change.step.op in REPLACE_OPS:
        return f"{change.step.name} is replaced: {_paths(change)}"
    if change.step.op not in effects.KNOWN_OPS:
        return f"{change.step.name}: {change.step.op}"
    if change.digests is None:
        return f"{change.step.name}: {_paths(change)}"
    old, new = change.digests
    if not new:  # as the command is not known before the machine is
        return f"release {old} is activated again"
    if old == new:
        return f"release {old} again, with changed secrets or addresses"
    return f"release {old} to {new}: {_release(change)}"


def _release(change: Change) -> str:
    if change.release is None:
        return "its previous files are not known"
    told = [f"{image.service} {image.old} to {image.new}" for image in change.release.images]
    told += [f"{file.name} +{file.added} -{file.removed}" for file in change.release.files if file.name != ".env"]
    return ", ".join(told) or "no file differs"


def _paths(change: Change) -> str:
    return ", ".join(_short(each) for each in change.properties) or "nothing that the engine reports"


def _short(change: PropertyChange) -> str:
    """Return one property, with its values if they are short."""
    if change.secret:
        return f"{change.path} (secret)"
    if change.diff:
        added, removed = (sum(line.startswith(sign) for line in change.diff) for sign in "+-")
        return f"{change.path} +{added} -{removed}"
    if door := _door(change):
        return door
    if len(f"{change.old}{change.new}") > SHORT:
        return change.path
    values = {"added": f"+ {change.new}", "removed": f"- {change.old}", "changed": f"{change.old} to {change.new}"}
    return f"{change.path} {values[change.kind]}"


def _door(change: PropertyChange) -> str:
    """Return a rule of the cloud firewall, e.g. `admits tcp 6380 from basecommerce-staging-vertical`."""
    rule = change.new if change.kind == "added" else change.old
    if change.path not in DOORS or change.kind == "changed" or not isinstance(rule, Mapping):
        return ""
    verb = DOORS[change.path][change.kind == "removed"]
    peers = [str(peer) for key, told in rule.items() if key.endswith(("Tags", "Addresses")) for peer in told or ()]
    port = " ".join(str(rule[key]) for key in ("protocol", "portRange") if rule.get(key))
    return f"{verb} {port} {'from' if change.path == 'inboundRules' else 'to'} {', '.join(peers)}"
