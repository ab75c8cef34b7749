"""Two may load the machine at once; one that needs quiet has it alone."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests import turns


class Runner(threading.Thread):
    """Holds a turn until it is asked to leave."""

    def __init__(self, turn: AbstractContextManager[None]) -> None:
        super().__init__(daemon=True)
        self._turn = turn
        self.inside, self.leave = threading.Event(), threading.Event()
        self.start()

    def run(self) -> None:
        with self._turn:
            self.inside.set()
            self.leave.wait(10)

    def waits(self) -> bool:
        """Whether it is still outside after a moment."""
        return not self.inside.wait(0.2)

    def entered(self) -> bool:
        return self.inside.wait(5)


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "DIRECTORY", str(tmp_path))


def test_two_are_busy_at_once_and_the_third_waits_for_one_of_them() -> None:
    first, second = Runner(turns.busy()), Runner(turns.busy())
    assert first.entered()
    assert second.entered()
    third = Runner(turns.busy())
    assert third.waits()
    second.leave.set()
    assert third.entered()


def test_who_needs_the_quiet_waits_for_all_and_is_overtaken_by_none() -> None:
    first = Runner(turns.busy())
    assert first.entered()
    alone = Runner(turns.quiet())
    assert alone.waits()
    later = Runner(turns.busy())
    assert later.waits(), "one place is free, but somebody waits for both"
    first.leave.set()
    assert alone.entered()
    assert later.waits()
    alone.leave.set()
    assert later.entered()


def test_busy_within_a_turn_waits_for_nobody() -> None:
    for outer in (turns.busy, turns.quiet):
        with outer(), turns.busy():
            pass
    with turns.busy(), pytest.raises(RuntimeError), turns.quiet():
        pass


def test_nothing_waits_where_no_directory_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "DIRECTORY", None)
    started = time.monotonic()
    runners = [Runner(turns.busy()), Runner(turns.quiet()), Runner(turns.quiet())]
    assert all(runner.entered() for runner in runners)
    assert time.monotonic() - started < 5
