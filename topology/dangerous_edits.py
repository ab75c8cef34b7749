"""Judge a plan: which of the engine's steps are dangerous, what each would do, and the way out.

Pure: steps and settings in, a verdict out. `docs/dangerous-edits.md` has the same as a table, with the safe procedures.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from topology.errors import BasecommerceError, ExitCode
from topology.names import BUCKET, DROPLET, RESERVED_IP, VOLUME, VPC
from topology.project import Project, settings_file

STATEFUL: Mapping[str, str] = {
    DROPLET: "the machine is destroyed: its tier is down meanwhile, and what its own disk holds is lost",
    VOLUME: "the volume is destroyed with everything on it: the data of PostgreSQL and Redis",
    RESERVED_IP: "the public address goes back to DigitalOcean and cannot be recovered",
    VPC: "the private network is destroyed, and every machine in it",
    BUCKET: "the bucket is destroyed with everything in it",
}
"""Types whose loss a second `up` cannot repair, and what it means. All others can be recreated from the files."""

REPLACE_OPS = ("replace", "create-replacement", "delete-replaced", "discard-replaced", "import-replacement")
DELETE_OPS = ("delete", "discard")
SUFFIXES: Mapping[str, str] = {DROPLET: "-droplet", VOLUME: "-volume", RESERVED_IP: "-reserved-ip"}
MORE = "docs/dangerous-edits.md has the safe way"
OTHER_DEFAULT = "make another VPC of the region the default (doctl vpcs update ID --default=true)"
"""Source: https://docs.digitalocean.com/reference/doctl/reference/vpcs/update/"""
HEADS: Mapping[str, str] = {
    "replace": "{cause} would replace {count} resources",
    "delete": "{count} resources are no longer declared",
    "image": "the image of {count} machines would change",
    "shrink": "{count} volumes would shrink",
    "protect": "{count} resources would lose their protection",
    "gone": "{count} resources are gone",
}
"""The first line of a refusal of several resources."""
IMPOSSIBLE = frozenset({"together", "default"})
"""Rules whose edits the cloud itself refuses, so they cannot be allowed by name."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What the engine would do with one resource, `same` included. Secret inputs are blanked out by the engine."""

    op: str
    urn: str
    old_inputs: Mapping[str, object] = field(default_factory=dict)
    new_inputs: Mapping[str, object] = field(default_factory=dict)
    old_protect: bool = False
    new_protect: bool = False
    causes: tuple[str, ...] = ()
    """The properties that make it a replacement."""
    differs: tuple[str, ...] = ()
    """The properties that differ, by the engine; the only trace of a changed secret."""
    default_vpc: bool = False
    """Whether it is its region's default VPC, by the state: DigitalOcean never changes or deletes that."""

    @property
    def type(self) -> str:
        """The resource's own type, without those of its parents."""
        return self.urn.split("::")[2].rsplit("$", maxsplit=1)[-1]

    @property
    def name(self) -> str:
        return self.urn.rsplit("::", maxsplit=1)[-1]

    @property
    def resource(self) -> str:
        """As a person reads it, e.g. `edge-droplet (Droplet)`."""
        return f"{self.name} ({self.type.rpartition(':')[2]})"

    @property
    def droplet(self) -> str:
        """The inventory's name of the droplet that the resource belongs to; the VPC belongs to none."""
        return self.name.removesuffix(SUFFIXES.get(self.type, ""))

    @property
    def resized(self) -> bool:
        """Whether it stays, with another size."""
        old, new = self.old_inputs.get("size"), self.new_inputs.get("size")
        return self.op == "update" and None not in (old, new) and old != new


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """One dangerous edit."""

    rule: str
    """`replace`, `delete`, `image`, `shrink`, `protect`, `gone`, `together`, `default` or `destroy`."""
    stack: str
    urn: str = ""
    resource: str = ""
    """Its name and type, e.g. `infra-volume (Volume)`."""
    why: str
    """What would happen to it."""
    loss: str
    """What that means."""
    undo: str = ""
    """The edit to undo; empty for what is replaced only because something else is."""
    cause: str = ""
    """What differs, e.g. `region 'nyc3' -> 'fra1'`."""

    @property
    def name(self) -> str:
        return self.urn.rsplit("::", maxsplit=1)[-1]


class RefusedPlanError(BasecommerceError):
    """A plan with dangerous edits that were not allowed; nothing was changed."""

    exit_code: ClassVar[ExitCode] = ExitCode.REFUSED

    def __init__(self, refusals: Collection[Refusal]) -> None:
        self.refusals = tuple(refusals)
        super().__init__("\n".join(_block(group) for group in _by_cause(self.refusals)))


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The result of judging a plan."""

    refusals: tuple[Refusal, ...]
    forced: tuple[str, ...]
    """URNs that were allowed to be replaced, and that the engine would not replace by itself."""


def judge(
    steps: Iterable[Step], project: Project, allowed: Collection[str] = (), gone: Collection[str] = ()
) -> Verdict:
    """Find all dangerous steps of a plan, except those whose name or URN is allowed.

    `gone` are the URNs of what the state has and the cloud does not. A machine may be recreated: that repairs it, and
    its volume is another resource. Anything else that is gone took data or an address with it.
    """
    steps = list(steps)
    found = [refusal for step in _worst(steps) for refusal in _refusals(step, project, gone)]
    found += _together(steps, project)
    on_purpose = [refusal for refusal in found if refusal.rule not in IMPOSSIBLE]
    named = [refusal for refusal in on_purpose if refusal.urn in allowed or refusal.name in allowed]
    return Verdict(
        refusals=tuple(refusal for refusal in found if refusal not in named),
        forced=tuple(dict.fromkeys(refusal.urn for refusal in named if refusal.rule in ("image", "shrink"))),
    )


def powered_off(steps: Iterable[Step]) -> Mapping[str, Step]:
    """Return the droplets that lose power or disk under a plan: by a new size, or by a replacement."""
    cut = (step for step in _worst(steps) if step.type == DROPLET and (step.resized or step.op in REPLACE_OPS))
    return {step.droplet: step for step in cut}


def judge_destroy(stack: str, *, local: bool, allowed: str) -> tuple[Refusal, ...]:
    """Refuse to take a cloud stack down unless it is named; a local one can always go."""
    if local or allowed == stack:
        return ()
    named = f", and --allow-destroy names '{allowed}'" if allowed else ""
    lost = f"every machine, the data volume and the public address would be lost{named}"
    confirm = "To confirm, give the stack's name."
    return (Refusal(rule="destroy", stack=stack, why="destroy", loss=f"{lost}. {confirm}"),)


def template_notes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """Report hosts that run an older template of the user data than new machines get; both are digests by droplet."""
    return tuple(
        f"host {name} runs template {before[name]}, new machines get {digest}"
        for name, digest in after.items()
        if before.get(name, digest) != digest
    )


def _worst(steps: Iterable[Step]) -> Iterator[Step]:
    """Keep one step for each stateful resource: a replacement has up to three."""
    rank = {"replace": 0, "create-replacement": 1}
    chosen: dict[str, Step] = {}
    for step in steps:
        if step.type in STATEFUL:
            other = chosen.get(step.urn)
            if other is None or rank.get(step.op, 2) < rank.get(other.op, 2):
                chosen[step.urn] = step
    yield from chosen.values()


def _by_cause(refusals: Collection[Refusal]) -> Iterator[list[Refusal]]:
    """Group refusals by edit; one that only follows from another replacement belongs to the first replacing edit."""
    replaced = next((each.undo for each in refusals if each.rule == "replace" and each.undo), "")
    groups: dict[tuple[str, str], list[Refusal]] = {}
    for refusal in refusals:
        groups.setdefault((refusal.rule, refusal.undo or replaced), []).append(refusal)
    yield from groups.values()


def _block(group: Sequence[Refusal]) -> str:
    """Render what one edit would do, with ONE way to undo it, the way to allow it, and the rule of docs/policies.md."""
    first = group[0]
    if first.rule == "destroy":
        on_purpose = f"on purpose: basec down --env {first.stack} --allow-destroy {first.stack}"
        return f"BC20 {first.stack}: {first.why}: {first.loss}\nhint: {MORE}; {on_purpose}"
    if len(group) == 1:
        lines = [f"BC07 {first.stack}: {first.resource}: {first.why}: {first.loss}"]
    else:
        cause = next((each.cause for each in group if each.cause), "this edit")
        head = HEADS[first.rule].format(cause=cause, count=len(group))
        lines = [f"BC07 {first.stack}: {head}:", *(f"  {each.resource}: {each.loss}" for each in group)]
    undo = next((each.undo for each in group if each.undo), "undo the last edit")
    refresh = ["--refresh"] if first.rule == "gone" else []
    if first.rule in IMPOSSIBLE:
        return "\n".join([*lines, f"hint: {undo}; {MORE}"])
    flags = " ".join([*refresh, *(f"--allow-replace {each.name}" for each in group)])
    return "\n".join([*lines, f"hint: {undo}; {MORE}; on purpose: basec up --env {first.stack} {flags}"])


def _refusals(step: Step, project: Project, gone: Collection[str]) -> Iterator[Refusal]:
    def refusal(rule: str, why: str, loss: str, undo: str | None = None, cause: str = "") -> Refusal:
        return Refusal(
            rule=rule,
            stack=project.stack,
            urn=step.urn,
            resource=step.resource,
            why=why,
            loss=loss,
            undo=_undo(step, project) if undo is None else undo,
            cause=cause,
        )

    if step.default_vpc and step.op in (*DELETE_OPS, *REPLACE_OPS):
        why = "is the default VPC of its region, and would be deleted"
        loss = "DigitalOcean never deletes that one, and what is in it would be gone by then"
        yield refusal("default", why, loss, f"{_undo(step, project)}, or {OTHER_DEFAULT} and add --refresh")
        return
    if step.op in DELETE_OPS:
        yield refusal("delete", "is no longer declared", _loss(step, project))
        return
    if step.op in REPLACE_OPS:
        cause = _causes(step)
        why = f"would be replaced ({cause or 'with what it depends on'})"
        yield refusal("replace", why, _loss(step, project), None if cause else "", cause)
        return
    if step.op == "create":
        if step.urn in gone and step.type != DROPLET:
            loss = f"a new one would take its place, with nothing of the old: {STATEFUL[step.type]}"
            yield refusal("gone", "is gone, and the state still has it", loss, "find out who removed it, and why")
        return
    if step.type == DROPLET and (image := _image(step, project)):
        why = f"the image would change ('{step.old_inputs['image']}' -> '{image}')"
        yield refusal("image", why, f"only a new machine can have another one; {_loss(step, project)}")
    if step.type == VOLUME and (sizes := _shrunk(step, project)):
        why = f"the volume would shrink ({sizes[0]} -> {sizes[1]} GiB)"
        yield refusal("shrink", why, f"only a new, empty one can be smaller; {STATEFUL[VOLUME]}")
    if step.old_protect and not step.new_protect:
        what = f"the engine would no longer refuse to delete it; then {STATEFUL[step.type]}"
        yield refusal(
            "protect", "would lose its protection", what, f"keep `protect: true` in {settings_file(project.stack)}"
        )


def _together(steps: Iterable[Step], project: Project) -> Iterator[Refusal]:
    """Find volumes that would grow while their machine is switched off or deleted.

    The API refuses that (`Droplet already has a pending event`), and the provider does not try it again.
    """
    off = powered_off(steps)
    for step in steps:
        if step.type == VOLUME and step.resized and step.droplet in off:
            line = f"inventory.yaml (droplets.{step.droplet}.volume)"
            yield Refusal(
                rule="together",
                stack=project.stack,
                urn=step.urn,
                resource=step.resource,
                why=f"would grow while {off[step.droplet].resource} is switched off",
                loss="DigitalOcean refuses one while the other is in progress",
                undo=f"one after the other: undo `size_gib` in {line}, basec up, then write it again",
            )


def _loss(step: Step, project: Project) -> str:
    text = STATEFUL[step.type]
    spec = project.inventory.droplets.get(step.droplet)
    if step.type == DROPLET and spec is not None and spec.volume is not None:
        text += "; its data volume stays, and moves to the new one"
    return text


def _image(step: Step, project: Project) -> str | None:
    """Return the inventory's image if the machine has another. The program ignores that, so no step shows it."""
    spec = project.inventory.droplets.get(step.droplet)
    old = step.old_inputs.get("image")
    return spec.image if spec is not None and old is not None and old != spec.image else None


def _shrunk(step: Step, project: Project) -> tuple[int, int] | None:
    """Return the old and the new size of a volume that would shrink."""
    spec = project.inventory.droplets.get(step.droplet)
    old = step.old_inputs.get("size")
    if spec is None or spec.volume is None or not isinstance(old, int | float):
        return None
    return (int(old), spec.volume.size_gib) if spec.volume.size_gib < old else None


def _causes(step: Step) -> str:
    """Return which inputs differ, e.g. `region 'nyc3' -> 'fra1'`."""
    told = []
    for key in step.causes:
        old, new = step.old_inputs.get(key), step.new_inputs.get(key)
        told.append(f"{key} {old!r} -> {new!r}" if old is not None and new is not None and old != new else key)
    return ", ".join(told)


def _undo(step: Step, project: Project) -> str:
    """Return the edit to undo, by the line that causes the step."""
    settings = settings_file(project.stack)
    droplet = f"inventory.yaml (droplets.{step.droplet}"
    if step.op in DELETE_OPS:
        return "undo the edit of inventory.yaml: a droplet or volume under another name is a new one"
    if "region" in step.causes:
        return f"undo the edit of `region` in {settings}"
    if step.type == VPC or "vpcUuid" in step.causes:
        return f"undo the edit of `vpc_ip_range` in {settings}"
    if step.type == VOLUME:
        return f"undo the edit of {droplet}.volume)"
    if step.type == BUCKET:
        return "undo the edit of the bucket"
    return f"undo the edit of {droplet})"
