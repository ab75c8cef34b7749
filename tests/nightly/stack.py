"""The stack of a nightly part: made from a copy of the work tree, as the end-to-end tests make theirs."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.conftest import copy_tree
from tests.e2e.stack import STACK, LocalStack


@contextmanager
def own_stack(work: Path) -> Iterator[LocalStack]:
    """Yield a stack that is not up yet; take everything down in the end. Heals a run that was killed."""
    stack = LocalStack(work / "tree", work / "logs")
    stack.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
    if stack.root.exists():
        remove(stack)
    copy_tree(stack.root)
    try:
        yield stack
    finally:
        remove(stack)


def remove(stack: LocalStack) -> None:
    """Take a stack down and its copy of the tree away. Its logs stay."""
    end_processes(stack.root)
    if (stack.root / ".local" / STACK).exists():
        stack.basec("down", "--env", STACK)
    shutil.rmtree(stack.root)


def end_processes(root: Path) -> None:
    """Kill what still runs in a copy of the tree. `basec` has a session of its own, so Ctrl-C did not reach it."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            if (process / "cwd").readlink().is_relative_to(root):
                os.kill(int(process.name), signal.SIGKILL)


def bring_up(stack: LocalStack) -> None:
    """Bring a stack up from nothing."""
    stack.init()
    stack.outputs["first up"] = stack.up()
