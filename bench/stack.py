"""The stack that is measured: a clone of the last commit, with three droplets of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.measure import BenchError, Run, run

ENVIRONMENT = "local-bench"
WORK = Path("/var/tmp/basecommerce-bench")  # noqa: S108 - a fixed place, so that the next run heals one that was killed
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Stack:
    """The clone, and `basec` in it."""

    root: Path

    def argv(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "basec", *arguments]

    def basec(self, command: str, *arguments: str, timeout_s: float = 900) -> Run:
        """Run one of basec's commands on the measured stack."""
        # Not at the end: what stands behind `--` is a remote command.
        return run(self.argv(command, "--env", ENVIRONMENT, *arguments), cwd=self.root, timeout_s=timeout_s)

    def up(self) -> Run:
        return self.basec("up")

    def down(self) -> None:
        self.basec("down")

    def remake(self) -> None:
        """Take everything down, and make settings, keys and passwords anew: the next `up` starts from nothing."""
        self.down()
        self.basec("init")


@contextmanager
def measured_stack() -> Iterator[Stack]:
    """Clone the last commit and give its stack, which is not up yet; take everything down in the end."""
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True)
    if changed.stdout:
        raise BenchError("bench: the work tree has changes that are not committed; a figure must name its commit")
    stack = Stack(WORK / "clone")
    if stack.root.exists():
        remove(stack)
    WORK.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "clone", "--quiet", ROOT, stack.root], check=True)
    try:
        stack.basec("init")
        yield stack
    finally:
        remove(stack)


def remove(stack: Stack) -> None:
    if (stack.root / ".local" / ENVIRONMENT / "cloud.json").exists():
        stack.down()
    shutil.rmtree(stack.root)
