"""One model of a preview, made from the engine's events: what changes, where, in which order, and who is affected.

Two modules render it: `screen.py` for a terminal, `document.py` for scripts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from basec.engine.review import effects
from basec.engine.review.effects import Effect
from basec.engine.review.releases import Files, ReleaseChange, compare_releases
from basec.engine.review.values import PropertyChange, compare
from topology.dangerous_edits import DELETE_OPS, REPLACE_OPS, Step
from topology.inventory import droplet_of

ACTIVATION = "-activation"
"""The name of that component's one command, after the component's name."""
DIGEST = re.compile(r"^# activate [\w-]+ (\w+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Change:
    """One resource that `up` would change."""

    order: int
    """1 for the first in the engine's order."""
    step: Step
    host: str
    """The droplet that it belongs to; empty if it belongs to the account or the zone."""
    properties: tuple[PropertyChange, ...] = ()
    release: ReleaseChange | None = None
    digests: tuple[str, str] | None = None
    """Of the releases, where the resource activates one."""
    effect: Effect = effects.NONE

    @property
    def sign(self) -> str:
        """`+`, `-`, `+-` or `~`."""
        if self.step.op in REPLACE_OPS:
            return "+-"
        return {"create": "+", "import": "+", **dict.fromkeys(DELETE_OPS, "-")}.get(self.step.op, "~")


@dataclass(frozen=True, kw_only=True)
class Review:
    """A preview as a person reads it."""

    changes: tuple[Change, ...]
    hosts: tuple[str, ...]
    """The droplets in the order of `up`."""


def review(steps: Iterable[Step], releases: Mapping[str, tuple[Files, Files]], hosts: Collection[str]) -> Review:
    """Build the model from the steps that change something, as the engine reported them.

    `releases` are the files before and after by the URN of their component, `hosts` the droplets in order.
    """
    chosen: dict[str, Step] = {}
    for step in steps:  # a replacement has up to three steps; the one with both old and new values shows most
        if step.urn not in chosen or (step.old_inputs and step.new_inputs):
            chosen[step.urn] = step
    changes = tuple(_change(order, step, releases, hosts) for order, step in enumerate(chosen.values(), start=1))
    return Review(changes=changes, hosts=tuple(hosts))


def _change(order: int, step: Step, releases: Mapping[str, tuple[Files, Files]], hosts: Collection[str]) -> Change:
    host = droplet_of(step.name, hosts)
    if step.op == "create" or step.op in DELETE_OPS:
        return Change(order=order, step=step, host=host, effect=effects.of_resource(step.type, step.op, ()))
    properties = tuple(compare(step.old_inputs, step.new_inputs, step.differs))
    release, digests = None, None
    effect = effects.of_resource(step.type, step.op, [change.path for change in properties])
    if step.name.endswith(ACTIVATION):
        digests = _digest(step.old_inputs), _digest(step.new_inputs)
        component = f"::{step.name.removesuffix(ACTIVATION)}"
        files = next((both for urn, both in releases.items() if urn.endswith(component)), None)
        if files is not None:
            release = compare_releases(*files)
            felt = [effects.of_services(release.services), effects.of_switches(release.switches)]
            effect = effects.worst([effect, *felt, effects.of_reloads(release.reloads)])
        if digests[0] == digests[1]:
            effect = effects.worst([effect, effects.OF_SECRETS])
    return Change(
        order=order, step=step, host=host, properties=properties, release=release, digests=digests, effect=effect
    )


def _digest(inputs: Mapping[str, object]) -> str:
    found = DIGEST.search(str(inputs.get("create", "")))
    return found[1][:6] if found else ""
