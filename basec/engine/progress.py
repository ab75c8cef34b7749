"""Turn the engine's events into compact progress: a line for each finished resource, live text for those under way."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.status import Status
from rich.text import Text

from basec.engine.policy_pack import ReportedViolation
from basec.engine.review.releases import Files
from basec.engine.review.sentences import ACCOUNT
from basec.engine.run_log import RunLog
from topology.dangerous_edits import STATEFUL, Step
from topology.names import COMPOSE_STACK, PROJECT, VPC

STAGES = {  # a component's area and type, in its URN: the stage that people know
    "network": "network",
    "firewall:CloudFirewall": "firewall",
    "droplet": "droplets",
    "host": "hosts",
    "images": "images",
    "firewall:UfwFirewall": "firewall",
    "compose": "tiers",
    "dns": "dns",
    "project": "project",
    "monitoring": "alerts",
}
DONE = {
    "create": "created",
    "update": "updated",
    "delete": "deleted",
    "replace": "replaced",
    "create-replacement": "replaced",
    "delete-replaced": "old deleted",
    "import": "imported",
}
COUNTED = {
    "create": ("to create", "created"),
    "update": ("to update", "updated"),
    "replace": ("to replace", "replaced"),
    "delete": ("to delete", "deleted"),
}
"""How operations are counted, before and after; an operation that is not listed keeps the engine's name."""
UNTOLD = (f"{PROJECT}:", "pulumi:")
"""Types that create nothing themselves: components, which are done once declared, the stack, and providers."""
STACK = "pulumi:pulumi:Stack"
"""The type of the stack itself; its outputs are the program's exports."""
QUIET = {"same", "discard", "remove-pending-replace"}
NOISE = re.compile(r"<\{%\w+%\}>")
VIOLATION = re.compile(r"violates plan: (?P<what>[a-z ]+)(?:: [-+~=]{2}(?P<key>\w+))?")
"""How the engine refuses what is not in its plan. It prints the values after it unencrypted, also secret ones."""
UNREACHED = re.compile(r"expected resource operations for \S+ but none were seen")
"""What it reports for each resource of a plan that it did not reach, because another one had failed before."""
REFRESHING = ("read", "refresh")


def kind_of(urn: str) -> str:
    """Return a resource's own type, e.g. `digitalocean:index/droplet:Droplet`."""
    parts = urn.split("::")
    return parts[2].split("$")[-1] if len(parts) > 2 else ""


def name_of(urn: str) -> str:
    """Return `edge-stack-activation (Command)` for a URN."""
    name, kind = urn.rsplit("::", maxsplit=1)[-1], kind_of(urn).split(":")[-1]
    return f"{name} ({kind})" if kind else name


def stage_of(urn: str) -> str:
    """Return the stage that a resource belongs to, e.g. `droplets`."""
    types = urn.split("::")[2] if urn.count("::") >= 2 else ""
    for part in types.split("$"):
        if part.startswith(f"{PROJECT}:"):
            _, area, noun = part.split(":", 2)
            return STAGES.get(area) or STAGES.get(f"{area}:{noun}") or area
    return "stack"


class ProgressView:
    """The display of one operation; also keeps what failed and how many resources changed."""

    def __init__(self, console: Console, *, preview: bool = False, hosts: Mapping[str, str] | None = None) -> None:
        """`hosts` has the host of each resource that the operation changes, by URN, as its preview found it."""
        self._console = console
        self._preview = preview
        self._hosts = hosts or {}
        self._began = time.monotonic()
        self._done = 0
        self._started: dict[str, float] = {}
        self._live: dict[str, str] = {}
        self._refreshed: set[str] = set()
        self._status: Status | None = console.status(_Now(self)) if console.is_terminal else None
        self.failures: dict[str, list[str]] = {}
        """The messages about each resource that failed, by URN; an empty URN if a message is about none."""
        self.unreached: set[str] = set()
        """What is in the plan, but the operation did not reach."""
        self.gone: list[Step] = []
        """What a refresh no longer found."""
        self.log = RunLog()
        self.changes: Counter[str] = Counter()
        self.steps: list[Step] = []
        """What a preview would do, without resources that create nothing or do not change."""
        self.releases: dict[str, tuple[Files, Files]] = {}
        """The files of each tier's release before and after, by the URN of its component."""
        self.violations: list[ReportedViolation] = []
        """What broke a rule of the policy pack."""
        self.stateful: list[Step] = []
        """The steps of what holds data or addresses, unchanged ones too: `topology/dangerous_edits.py` checks them."""
        self.exports_before: Mapping[str, Any] = {}
        self.exports_after: Mapping[str, Any] = {}
        self.plan_mismatch = ""
        """What violated the plan of the operation."""

    def __enter__(self) -> ProgressView:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def on_event(self, event: Any) -> None:
        """Handle one event of the Automation API; called from its own thread."""
        if event.resource_pre_event is not None:
            self._begin(event.resource_pre_event.metadata)
        elif event.res_outputs_event is not None:
            self._end(event.res_outputs_event.metadata)
        elif event.res_op_failed_event is not None:
            self._fail(event.res_op_failed_event.metadata)
        elif event.diagnostic_event is not None:
            self._diagnose(event.diagnostic_event)
        elif event.policy_event is not None:
            self._note_violation(ReportedViolation.from_event(event.policy_event))
        elif event.summary_event is not None:
            self.changes.update(
                {str(getattr(op, "value", op)): n for op, n in event.summary_event.resource_changes.items()}
            )

    @property
    def failed(self) -> bool:
        """Whether a resource failed; messages about the stack, or about no resource, only repeat that."""
        return any(urn and kind_of(urn) != STACK for urn in self.failures)

    @property
    def changed(self) -> int:
        """How many resources the operation changes or changed."""
        return sum(count for op, count in self.changes.items() if op not in (*QUIET, *REFRESHING))

    @property
    def summary(self) -> str:
        """Return what an operation changes, e.g. `3 to create, 1 to update, 40 unchanged`; then `3 created, ...`."""
        told = [
            f"{self.changes[op]} {COUNTED[op][not self._preview] if op in COUNTED else op}"
            for op in (*COUNTED, *sorted(set(self.changes) - set(COUNTED) - {"same"}))
            if self.changes[op]
        ]
        nothing = "nothing to change" if self._preview else "nothing changed"
        return ", ".join([*(told or [nothing]), f"{self.changes['same']} unchanged"])

    @property
    def exports_changed(self) -> bool:
        return self.exports_before != self.exports_after

    @property
    def protection_changed(self) -> bool:
        """Whether something gets or loses its protection, which the engine counts as `same`."""
        return any(step.old_protect != step.new_protect for step in self.stateful if step.op == "same")

    def _begin(self, metadata: Any) -> None:
        op = _op(metadata)
        self.log.step("begins", metadata)
        if self._preview and kind_of(metadata.urn) in STATEFUL and op not in REFRESHING:
            self.stateful.append(_step(metadata, op))
        if op in QUIET:
            return
        self._started[metadata.urn] = time.monotonic()
        self._live[metadata.urn] = ""
        (self._refreshed.add if op == "refresh" else self._refreshed.discard)(metadata.urn)
        if self._preview and not kind_of(metadata.urn).startswith(UNTOLD) and op not in REFRESHING:
            self.steps.append(_step(metadata, op))

    def _end(self, metadata: Any) -> None:
        op = _op(metadata)
        self.log.step("done", metadata)
        if metadata.urn in self._refreshed and metadata.new is None and not kind_of(metadata.urn).startswith(UNTOLD):
            self.gone.append(_step(metadata, op))
        if kind_of(metadata.urn) == STACK:
            # Reported twice: when the stack is declared, as it was, and when its exports are known.
            self.exports_before = (metadata.old.outputs if metadata.old else None) or {}
            self.exports_after = (metadata.new.outputs if metadata.new else None) or {}
        if kind_of(metadata.urn) == COMPOSE_STACK and metadata.old and metadata.new:
            old, new = ((each.outputs or {}).get("files") for each in (metadata.old, metadata.new))
            if isinstance(old, Mapping) and isinstance(new, Mapping):
                self.releases[metadata.urn] = (old, new)
        start = self._started.pop(metadata.urn, None)
        self._live.pop(metadata.urn, None)
        self._done += metadata.urn in self._hosts
        # A component is done as soon as it is declared; its children are what takes time.
        if self._preview or op in (*QUIET, *REFRESHING) or start is None or kind_of(metadata.urn).startswith(UNTOLD):
            return
        seconds = time.monotonic() - start
        self._print(f"  {stage_of(metadata.urn):<9} {DONE.get(op, op):<9} {name_of(metadata.urn):<48} {seconds:6.1f} s")

    def _fail(self, metadata: Any) -> None:
        start = self._started.pop(metadata.urn, None)
        self._live.pop(metadata.urn, None)
        seconds = time.monotonic() - start if start is not None else 0.0
        self.log.step("FAILED", metadata)
        self.failures.setdefault(metadata.urn, [])
        self._print(f"  {stage_of(metadata.urn):<9} {'FAILED':<9} {name_of(metadata.urn):<48} {seconds:6.1f} s")

    def _diagnose(self, event: Any) -> None:
        text = NOISE.sub("", event.message).strip()
        if not text:
            return
        urn = event.urn or ""
        if violation := VIOLATION.search(text):
            key = f" ({violation['key']})" if violation["key"] else ""
            said = f"{_violated(text, urn)}: {violation['what'].strip()}{key}"
            self.log.add(f"violates the plan: {said}")
            if not self.failed:  # after a failure the rest of the plan can no longer fit
                self.plan_mismatch = self.plan_mismatch or said
            return
        self.log.add(f"{event.severity} {urn}: {text}")
        if event.ephemeral:
            if urn in self._live:
                self._live[urn] = text.splitlines()[-1]
        elif UNREACHED.match(text):
            self.unreached.add(urn)
        elif event.severity == "error":
            messages = self.failures.setdefault(urn, [])
            if text not in messages:
                messages.append(text)
        elif event.severity == "warning":
            self._print(f"  warning: {text}")

    def _note_violation(self, violation: ReportedViolation) -> None:
        self.log.add(violation.line())
        self.violations.append(violation)
        if self._preview and not violation.is_mandatory:  # the others end the operation, and its message holds them
            self._print(f"  advice: {violation.line()}")

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)

    def now(self) -> list[str]:
        """Build the live text: how much is done, and for each host its last message."""
        seconds = f"{time.monotonic() - self._began:.0f} s"
        head = f"[{self._done}/{len(self._hosts)}] {seconds}" if self._hosts else seconds
        busy: dict[str, str] = {}
        for urn, text in self._live.copy().items():
            if not kind_of(urn).startswith(UNTOLD):
                host = self._hosts.get(urn, stage_of(urn))
                busy[host or ACCOUNT] = f"{name_of(urn).split(' ')[0]}{': ' + text if text else ''}"
        width = self._console.width - 4
        return [head, *(f"  {host}: {text}"[:width] for host, text in busy.items())]


class _Now:
    """The live text, drawn each time that the terminal is refreshed, so that seconds count between events."""

    def __init__(self, view: ProgressView) -> None:
        self._view = view

    def __rich__(self) -> Text:
        return Text("\n".join(self._view.now()))


def _violated(text: str, urn: str) -> str:
    """Return the name of the resource that violates its plan; the engine has it in the text or beside it."""
    named = re.search(r"urn:pulumi:\S+", text.partition("violates plan")[0])
    return name_of(named[0].strip("\"':") if named else urn) if named or urn else "the stack"


def _step(metadata: Any, op: str) -> Step:
    old, new = metadata.old, metadata.new
    return Step(
        op=op,
        urn=metadata.urn,
        old_inputs=(old.inputs if old else None) or {},
        new_inputs=(new.inputs if new else None) or {},
        old_protect=bool(old and old.protect),
        new_protect=bool(new and new.protect),
        causes=tuple(metadata.keys or ()),
        differs=tuple(metadata.detailed_diff or metadata.diffs or ()),
        default_vpc=kind_of(metadata.urn) == VPC and bool(((old.outputs if old else None) or {}).get("default")),
    )


def _op(metadata: Any) -> str:
    return str(getattr(metadata.op, "value", metadata.op))
