"""`up` waits for containers that were just started; a stack that stays broken is still reported as such."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from basec.hosts import smoke
from basec.hosts.smoke_checks import Result


def result(problem: str) -> Result:
    return Result(name="dashboard", host="vertical", milliseconds=1, problem=problem)


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(smoke, "time", clock)
    return clock


def rounds(*problems: str) -> Callable[[], list[Result]]:
    """Make checks whose rounds find one of `problems` after the other, and the last one for ever."""
    left = list(problems)
    return lambda: [result(left.pop(0) if len(left) > 1 else left[0])]


def test_checks_are_repeated_until_they_pass_and_the_wait_is_said_once(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    assert smoke.until_settled(rounds("got 503", "got 503", "")) == [result("")]
    assert clock.now == 2 * smoke.SETTLE_PAUSE_S
    assert capsys.readouterr().err == "waiting for: dashboard (vertical)\n"


def test_a_stack_that_stays_broken_is_told_after_the_longest_start(clock: Clock) -> None:
    assert smoke.until_settled(rounds("got 503")) == [result("got 503")]
    assert smoke.SETTLE_S <= clock.now <= smoke.SETTLE_S + 2 * smoke.SETTLE_PAUSE_S
