"""The pictures of the documentation are what a command really shows in a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/screenshot.py"
SHOW = "import os, sys; print(f'\\x1b[31m{os.get_terminal_size().columns} columns\\x1b[0m', sys.stdout.isatty())"


def draw(file: Path, program: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    command = [sys.executable, str(SCRIPT), str(file), sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_a_command_is_drawn_as_a_terminal_of_100_columns_shows_it(tmp_path: Path) -> None:
    assert draw(tmp_path / "images/one.svg", SHOW).returncode == 0
    drawing = (tmp_path / "images/one.svg").read_text()
    assert "100&#160;columns" in drawing
    assert "True" in drawing
    assert "url(" not in drawing.replace("url(#", ""), "no font of a server far away"


def test_a_command_that_fails_draws_nothing(tmp_path: Path) -> None:
    assert draw(tmp_path / "one.svg", "raise SystemExit(3)").returncode != 0
    assert not (tmp_path / "one.svg").exists()
