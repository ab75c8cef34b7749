"""`basec up` with the real engine and dry plugins: what it does when there is nothing to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from localcloud.allocate import allocate
from localcloud.config import Mode
from tests.cli.conftest import REPOSITORY

pytestmark = pytest.mark.engine

NAME = "local-dry"
ROOMS = ("basec", "components", "localcloud", "topology", "toolchain")

Command = Callable[[str], str]


@pytest.fixture
def dry(clone: Path) -> Command:
    """Run a command of basec on a stack without machines, in a clone that holds the program and all rooms."""
    if not (binary := os.environ.get("BASECOMMERCE_PULUMI")):
        pytest.skip("no Pulumi CLI: set BASECOMMERCE_PULUMI to what `python -m toolchain` prints")
    for room in ROOMS:
        shutil.copytree(REPOSITORY / room, clone / room)
    shutil.copy2(REPOSITORY / "__main__.py", clone)
    allocate(directory=clone / ".local" / NAME, name=NAME, mode=Mode.DRY, cache=clone / "cache", http_port=None)

    def run(command: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "basec", command, "--env", NAME],
            cwd=clone,
            env={**os.environ, "BASECOMMERCE_PULUMI": binary, "PYTHONPATH": str(clone), "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    run("init")
    return run


def test_up_applies_what_preview_found_and_nothing_else(dry: Command, clone: Path) -> None:
    assert "up: 61 changes (61 create)" in dry("up")
    state = clone / ".local" / NAME / "state/.pulumi/stacks/basecommerce" / f"{NAME}.json"
    before = state.stat().st_mtime_ns
    again = dry("up")
    assert "preview: 0 changes (61 same)\nup: nothing to do\n" in again
    assert state.stat().st_mtime_ns == before, "the engine was not asked to apply nothing"

    program = clone / "__main__.py"
    program.write_text(
        program.read_text().replace('pulumi.export("domain"', 'pulumi.export("more", 1)\n    pulumi.export("domain"')
    )
    assert "up: 0 changes" in dry("up"), "an export is no resource, and must be brought up to date all the same"
    assert "up: nothing to do" in dry("up")
