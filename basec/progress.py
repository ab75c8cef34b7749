"""Turn the engine's events into compact progress: a line for each finished resource, live text for those under way."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.status import Status

STAGES = {  # a component's area and type, in its URN: the stage a person knows it by
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
    "refresh": "read",
    "read": "read",
    "import": "imported",
}
UNTOLD = ("basecommerce:", "pulumi:")
"""Types that make nothing themselves: components, which are done once declared, the stack, and providers."""
STACK = "pulumi:pulumi:Stack"
"""The type of the stack itself; its outputs are the program's exports."""
QUIET = {"same", "discard", "remove-pending-replace"}
NOISE = re.compile(r"<\{%\w+%\}>")


@dataclass
class Failure:
    """What the engine said about one resource that failed."""

    resource: str
    messages: list[str] = field(default_factory=list)


def kind_of(urn: str) -> str:
    """Answer a resource's own type, e.g. `digitalocean:index/droplet:Droplet`."""
    parts = urn.split("::")
    return parts[2].split("$")[-1] if len(parts) > 2 else ""


def name_of(urn: str) -> str:
    """Answer `edge-stack-activation (Command)` for a URN."""
    name, kind = urn.rsplit("::", maxsplit=1)[-1], kind_of(urn).split(":")[-1]
    return f"{name} ({kind})" if kind else name


def stage_of(urn: str) -> str:
    """Answer the stage that a resource belongs to, e.g. `droplets`."""
    types = urn.split("::")[2] if urn.count("::") >= 2 else ""
    for part in types.split("$"):
        if part.startswith("basecommerce:"):
            _, area, noun = part.split(":", 2)
            return STAGES.get(area) or STAGES.get(f"{area}:{noun}") or area
    return "stack"


class ProgressView:
    """Shows one operation; also remembers what failed and how many resources changed."""

    def __init__(self, console: Console, *, preview: bool = False) -> None:
        self._console = console
        self._preview = preview
        self._started: dict[str, float] = {}
        self._live: dict[str, str] = {}
        self._status: Status | None = console.status("starting the engine") if console.is_terminal else None
        self.failures: dict[str, Failure] = {}
        self.changes: Counter[str] = Counter()
        self.steps: list[dict[str, str]] = []
        self.exports_changed = False

    def __enter__(self) -> ProgressView:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def on_event(self, event: Any) -> None:
        """Take one event of the Automation API; called from its own thread."""
        if event.resource_pre_event is not None:
            self._begin(event.resource_pre_event.metadata)
        elif event.res_outputs_event is not None:
            self._end(event.res_outputs_event.metadata)
        elif event.res_op_failed_event is not None:
            self._fail(event.res_op_failed_event.metadata)
        elif event.diagnostic_event is not None:
            self._diagnose(event.diagnostic_event)
        elif event.summary_event is not None:
            self.changes.update(
                {str(getattr(op, "value", op)): n for op, n in event.summary_event.resource_changes.items()}
            )
        self._refresh()

    @property
    def changed(self) -> int:
        """How many resources the operation changes or changed."""
        return sum(count for op, count in self.changes.items() if op not in QUIET and op not in ("read", "refresh"))

    def _begin(self, metadata: Any) -> None:
        op = _op(metadata)
        if op in QUIET:
            return
        self._started[metadata.urn] = time.monotonic()
        self._live[metadata.urn] = ""
        if self._preview and not kind_of(metadata.urn).startswith(UNTOLD) and op not in ("read", "refresh"):
            self.steps.append(
                {"op": op, "resource": name_of(metadata.urn), "stage": stage_of(metadata.urn), "urn": metadata.urn}
            )

    def _end(self, metadata: Any) -> None:
        op = _op(metadata)
        if kind_of(metadata.urn) == STACK:
            # Told twice: when the stack is declared, as it was, and when its exports are known.
            self.exports_changed = metadata.old is None or metadata.old.outputs != metadata.new.outputs
        start = self._started.pop(metadata.urn, None)
        self._live.pop(metadata.urn, None)
        # A component is done as soon as it is declared; its children are what takes time.
        if self._preview or op in QUIET or start is None or kind_of(metadata.urn).startswith(UNTOLD):
            return
        seconds = time.monotonic() - start
        self._print(f"  {stage_of(metadata.urn):<9} {DONE.get(op, op):<9} {name_of(metadata.urn):<48} {seconds:6.1f} s")

    def _fail(self, metadata: Any) -> None:
        start = self._started.pop(metadata.urn, None)
        self._live.pop(metadata.urn, None)
        seconds = time.monotonic() - start if start is not None else 0.0
        self.failures.setdefault(metadata.urn, Failure(name_of(metadata.urn)))
        self._print(f"  {stage_of(metadata.urn):<9} {'FAILED':<9} {name_of(metadata.urn):<48} {seconds:6.1f} s")

    def _diagnose(self, event: Any) -> None:
        text = NOISE.sub("", event.message).strip()
        if not text:
            return
        urn = event.urn or ""
        if event.ephemeral:
            if urn in self._live:
                self._live[urn] = text.splitlines()[-1]
        elif event.severity == "error":
            failure = self.failures.setdefault(urn, Failure(name_of(urn) if urn else "engine"))
            if text not in failure.messages:
                failure.messages.append(text)
        elif event.severity == "warning":
            self._print(f"  warning: {text}")

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)

    def _refresh(self) -> None:
        if self._status is None:
            return
        shown = [
            f"{name_of(urn).split(' ')[0]}{': ' + text if text else ''}" for urn, text in list(self._live.items())[-3:]
        ]
        self._status.update(", ".join(shown)[: self._console.width - 4] or "working")


def _op(metadata: Any) -> str:
    return str(getattr(metadata.op, "value", metadata.op))
