"""One model of a preview, made from the engine's events: what changes, where, in which order, and who feels it.

Renderers take it from here: `screen.py` for a terminal, `document.py` for scripts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from basec.review import effects
from basec.review.effects import Effect
from basec.review.releases import Files, ReleaseChange, compare_releases
from basec.review.values import PropertyChange, compare
from topology.plan import DELETE_OPS, REPLACE_OPS

COMPOSE_STACK = "basecommerce:compose:ComposeStack"
"""The component that tells the files of its release."""
ACTIVATION = "-activation"
"""How the one command of that component is called, behind the component's name."""
DIGEST = re.compile(r"^# activate \w+ (\w+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the engine told of one step, in its own words."""

    op: str
    urn: str
    old: Mapping[str, object]
    new: Mapping[str, object]
    differs: tuple[str, ...] = ()
    """Properties that it says differ; the only trace of a secret that changes."""

    @classmethod
    def of(cls, metadata: Any, op: str) -> Told:
        """Read a step's metadata."""
        detailed = list(metadata.detailed_diff or ())
        return cls(
            op=op,
            urn=metadata.urn,
            old=(metadata.old.inputs if metadata.old else None) or {},
            new=(metadata.new.inputs if metadata.new else None) or {},
            differs=tuple(detailed or metadata.diffs or ()),
        )


@dataclass(frozen=True, kw_only=True)
class Change:
    """One resource that `up` would change."""

    order: int
    """1 for the first that the engine comes to."""
    op: str
    urn: str
    host: str
    """The droplet that it belongs to, or an empty text for what belongs to the account or the zone."""
    properties: tuple[PropertyChange, ...] = ()
    release: ReleaseChange | None = None
    digests: tuple[str, str] | None = None
    """Of the releases, where the resource activates one."""
    effect: Effect = effects.NONE

    @property
    def name(self) -> str:
        return self.urn.rsplit("::", maxsplit=1)[-1]

    @property
    def type(self) -> str:
        """The resource's own type, e.g. `digitalocean:index/droplet:Droplet`."""
        return self.urn.split("::")[2].rsplit("$", maxsplit=1)[-1]

    @property
    def resource(self) -> str:
        """As a person reads it, e.g. `edge-droplet (Droplet)`."""
        return f"{self.name} ({self.type.rsplit(':', maxsplit=1)[-1]})"

    @property
    def sign(self) -> str:
        """`+`, `-`, `+-` or `~`."""
        if self.op in REPLACE_OPS:
            return "+-"
        return {"create": "+", "import": "+", **dict.fromkeys(DELETE_OPS, "-")}.get(self.op, "~")


@dataclass(frozen=True, kw_only=True)
class Review:
    """A preview as a person reads it."""

    changes: tuple[Change, ...]
    hosts: tuple[str, ...]
    """The droplets in the order in which `up` comes to them."""


def review(told: Iterable[Told], releases: Mapping[str, tuple[Files, Files]], hosts: Collection[str]) -> Review:
    """Build the model. `releases` are the files before and after by the URN of their component."""
    chosen: dict[str, Told] = {}
    for step in told:  # a replacement is told in up to three steps; the one that is both old and new says most
        if step.urn not in chosen or (step.old and step.new):
            chosen[step.urn] = step
    changes = tuple(_change(order, step, releases, hosts) for order, step in enumerate(chosen.values(), start=1))
    return Review(changes=changes, hosts=tuple(hosts))


def _change(order: int, step: Told, releases: Mapping[str, tuple[Files, Files]], hosts: Collection[str]) -> Change:
    name, kind = step.urn.rsplit("::", maxsplit=1)[-1], step.urn.split("::")[2].rsplit("$", maxsplit=1)[-1]
    host = next((host for host in hosts if re.search(rf"(^|-){re.escape(host)}(-|$)", name)), "")
    if step.op == "create" or step.op in DELETE_OPS:
        return Change(order=order, op=step.op, urn=step.urn, host=host, effect=effects.of_resource(kind, step.op, ()))
    properties = tuple(compare(step.old, step.new, step.differs))
    release, digests = None, None
    effect = effects.of_resource(kind, step.op, [change.path for change in properties])
    if name.endswith(ACTIVATION):
        digests = _digest(step.old), _digest(step.new)
        files = next(
            (both for urn, both in releases.items() if urn.endswith(f"::{name.removesuffix(ACTIVATION)}")), None
        )
        if files is not None:
            release = compare_releases(*files)
            effect = effects.worst([effect, effects.of_services(release.services)])
    return Change(
        order=order,
        op=step.op,
        urn=step.urn,
        host=host,
        properties=properties,
        release=release,
        digests=digests,
        effect=effect,
    )


def _digest(inputs: Mapping[str, object]) -> str:
    found = DIGEST.search(str(inputs.get("create", "")))
    return found[1][:6] if found else ""
