"""Runs one part to its end and writes its result."""

from __future__ import annotations

import fcntl
import importlib
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bench.measure import additions
from bench.report import machine
from tests import local_cloud  # noqa: F401 - the local cloud is told namespace and cache
from tests.nightly import results
from tests.nightly.notes import Notes
from tests.nightly.parts import Part
from tests.nightly.results import Result

if TYPE_CHECKING:
    from tests.e2e.stack import LocalStack

WORK = Path("/var/tmp/basecommerce-nightly")
"""A fixed place, so that the next run heals one that was killed."""
STACK = "local-nightly"
REASON_CHARACTERS = 200
LANE = "3"
"""Ports 8082 and 8445: those of the lane after `make test`'s own two, so that both may run."""


class NightlyError(Exception):
    """A part cannot be run here and now, which says nothing about what it judges."""


@dataclass
class Run:
    """What a part is given."""

    stack: LocalStack
    """Not up yet; it is taken down by the runner."""
    notes: Notes
    say: Callable[[str], None]
    """Tell people how far the part is."""


def run(part: Part, *, again: bool = False) -> Result:
    """Run a part, write its result and give it. A failure of the part is a result; whatever else is raised is none."""
    judged = results.digests(results.ROOT, part.judges)
    notes = Notes.open(WORK / "progress" / f"{part.name}.json", judged, again=again)
    speeds, reason = [additions()], ""

    def say(text: str) -> None:
        typer.echo(f"   {notes.seconds:6.0f} s  {text}", err=True)

    if notes.figures:
        say(f"goes on after an earlier run: {notes.figures}")
    try:
        execute(part, notes, say)
    except AssertionError as error:
        traceback.print_exc()
        # The first line only: the rest may be the output of `up`, with a password, and the file is for everybody.
        reason = str(error).partition("\n")[0][:REASON_CHARACTERS] or f"an assertion in {_place(error)}"
    result = Result(
        part=part.name,
        date=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        commit=_commit(),
        machine=machine(results.ROOT, [*speeds, additions()]),
        outcome="failed" if reason else "passed",
        reason=reason,
        seconds=round(notes.seconds, 1),
        figures=notes.figures,
        judged=judged,
    )
    results.write(result)
    notes.forget()
    return result


def execute(part: Part, notes: Notes, say: Callable[[str], None]) -> None:
    """Call the part's function with a stack of its own."""
    # The support modules of tests/e2e read name and lane of their stack once, when they are imported.
    os.environ.update(BASECOMMERCE_E2E_STACK=STACK, BASECOMMERCE_E2E_LANE=LANE)
    stack = importlib.import_module("tests.nightly.stack")
    module, name = part.function.split(":")
    function = getattr(importlib.import_module(module), name)
    with stack.own_stack(WORK) as own:
        function(Run(own, notes, say))


def require_host() -> None:
    """Raises NightlyError with the checks' words if this machine can have no stack."""
    done = subprocess.run(
        [sys.executable, "-m", "localcloud", "doctor", "--http-port", "0"],
        cwd=results.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise NightlyError(f"nightly: this machine can have no stack:\n{done.stdout}{done.stderr}")


@contextmanager
def alone() -> Iterator[None]:
    """Hold the one stack of this machine. Raises NightlyError when another run has it."""
    WORK.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (WORK / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NightlyError(
                f"nightly: another run is under way ({WORK}/lock)\nhint: wait, or see whose: fuser -v {WORK}/lock"
            ) from None
        yield


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
    return subprocess.run(command, cwd=results.ROOT, capture_output=True, text=True, check=True).stdout.strip()


def _place(error: AssertionError) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"
