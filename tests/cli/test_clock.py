"""Something that takes minutes shows in a terminal how long it has taken already."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from basec.io import console


def shown(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> str:
    written = io.StringIO()
    drawn = Console(file=written, force_terminal=terminal, width=80, color_system=None)
    monkeypatch.setattr(console, "stderr", lambda: drawn)
    with console.clock("CLI and images"):
        console.say("postgres: building")
        time.sleep(1.2)
    return written.getvalue()


def test_a_terminal_shows_the_time_that_has_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    written = shown(monkeypatch, terminal=True)
    assert "CLI and images 0:00:01" in written
    assert "postgres: building\n" in written


def test_a_pipe_gets_the_lines_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, terminal=False).strip() == "postgres: building"
