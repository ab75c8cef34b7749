"""What `make policy` ends with."""

from __future__ import annotations

from pathlib import Path

import pytest
from pulumi.automation import CommandError, CommandResult

from basec.engine.policy_pack import ReportedViolation
from tests.policy import judge_stacks


class JudgedStack:
    """Stands for a stack under the engine: what its preview finds, and whether the engine ends it."""

    found: tuple[tuple[str, str], ...] = ()
    fails = False

    def __init__(self, _directory: Path, _program: object, name: str) -> None:
        self.violations = [
            ReportedViolation(rule=rule, severity=severity, urn="", resource=name, found="b", wanted="c", fix="d")
            for rule, severity in self.found
        ]

    def judge(self) -> None:
        if self.fails:
            raise CommandError(CommandResult(stdout="", stderr="error: it failed", code=255))


@pytest.mark.parametrize(
    ("found", "fails", "code"),
    [
        ((), False, 0),
        ((("BC04", "advisory"),), False, 0),
        ((("BC05", "mandatory"),), True, 5),
        ((), True, 1),
    ],
)
def test_it_ends_with_5_for_a_broken_rule_and_with_1_for_a_failed_preview(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    found: tuple[tuple[str, str], ...],
    fails: bool,
    code: int,
) -> None:
    monkeypatch.setattr(judge_stacks, "DryStack", type("Judged", (JudgedStack,), {"found": found, "fails": fails}))
    assert judge_stacks.main() == code
    said = capsys.readouterr()
    if code == 5:
        assert said.out.count("BC05") == 3, "each of the three stacks tells it"
    if code == 1:
        assert "local: the preview failed" in said.err
