"""The rules before every operation: which pack the engine starts, and how its findings are printed.

The pack itself is the room `policy`. basec serves it in its own process; the engine reaches it through
`policy/basecommerce`, and its findings come back as events.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from basec.environments import Environment
from topology.errors import BasecommerceError, ExitCode
from topology.names import ALLOW_VARIABLE, STACK_FILE_VARIABLE
from topology.policy_rules import MANDATORY, RULES

PACK = Path("policy") / "basecommerce"
"""Below the repository's root: the pack reads inventory and settings of the same clone."""
JUDGED = ("preview", "up")
"""Operations that declare resources. In `up` it is the second check: a rule about the whole stack runs at its end."""
PORT_VARIABLE = "BASECOMMERCE_POLICY_PORT"
"""Where this process judges; `policy/basecommerce`, which the engine starts, passes it on."""
PARTS = ("resource", "found", "wanted", "fix")


class PolicyError(BasecommerceError):
    """A preview broke mandatory rules. Nothing was touched."""

    exit_code = ExitCode.REFUSED

    def __init__(self, name: str, violations: Sequence[ReportedViolation]) -> None:
        self.violations = tuple(violations)
        first = min(violation.rule for violation in violations if violation.is_mandatory)
        super().__init__(
            f"basec: {name}: refused by the rules, nothing was touched\n{blocks(violations)}",
            f"do what each `fix` says; more: basec explain {first}",
        )


@dataclass(frozen=True, kw_only=True)
class ReportedViolation:
    """A finding of the pack, as the engine reported it."""

    rule: str
    severity: str
    urn: str
    resource: str
    found: str
    wanted: str
    fix: str

    @classmethod
    def from_event(cls, event: Any) -> ReportedViolation:
        """Read an event of the engine: the rule's title, then a line for each part."""
        lines = dict(line.split(": ", 1) for line in event.message.splitlines() if ": " in line)
        return cls(
            rule=event.policy_name,
            severity=event.enforcement_level,
            urn=event.resource_urn or "",
            **{part: lines.get(part, "") for part in PARTS},
        )

    @property
    def is_mandatory(self) -> bool:
        return self.severity == MANDATORY

    def block(self) -> str:
        """Return the rule and the four lines below it."""
        title = RULES[self.rule].title if self.rule in RULES else ""
        return "\n".join([f"{self.rule} {title}".strip(), *(f"  {part}: {getattr(self, part)}" for part in PARTS)])

    def line(self) -> str:
        """Return it in one line, for advice."""
        return f"{self.rule} {self.resource}: {self.found}; wanted: {self.wanted}"


def blocks(violations: Sequence[ReportedViolation]) -> str:
    """Return all mandatory ones, rule by rule; the engine reports them in the order of its own work."""
    mandatory = [violation for violation in violations if violation.is_mandatory]
    rules = {violation.rule for violation in mandatory}
    head = f"{_count(len(mandatory), 'violation')} of {_count(len(rules), 'rule')}"
    ordered = sorted(mandatory, key=lambda violation: (violation.rule, violation.resource))
    return "\n".join([head, *(violation.block() for violation in ordered)])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def refused(violations: Sequence[ReportedViolation]) -> bool:
    return any(violation.is_mandatory for violation in violations)


def as_json(violations: Sequence[ReportedViolation]) -> list[dict[str, str]]:
    return [asdict(violation) for violation in violations]


def allow(names: Sequence[str]) -> None:
    """Let the resources of `--allow-replace` lose their protection; the pack reads this variable."""
    os.environ[ALLOW_VARIABLE] = " ".join(names)


def variables(environment: Environment) -> Mapping[str, str]:
    """Return what the engine passes to the pack: its interpreter, first on PATH, and the stack's file."""
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
    return {"PATH": path, STACK_FILE_VARIABLE: str(environment.stack_file)}
