"""Timed runs of whole commands, and their figures."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

STAGE = re.compile(r"(?P<name>[a-z][a-z ]*) (?P<seconds>\d+\.\d)")


class BenchError(Exception):
    """A measured command failed; a figure of a failed run would be wrong."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured thing: seconds of several runs, or MiB of one."""

    name: str
    samples: tuple[float, ...]
    unit: str = "s"
    promise: float | None = None
    """At most this much, in `unit`; None without a promise."""

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def verdict(self) -> str:
        """`kept`, `MISSED`, or empty without a promise."""
        if self.promise is None:
            return ""
        return "kept" if self.median <= self.promise else "MISSED"


@dataclass(frozen=True)
class Run:
    """One finished command."""

    seconds: float
    output: str

    @property
    def stages(self) -> dict[str, float]:
        """Seconds by stage, as `basec` prints them in its line `took ...`."""
        (line,) = re.findall(r"^took .*$", self.output, re.MULTILINE)[-1:]
        told = {match["name"]: float(match["seconds"]) for match in STAGE.finditer(line.partition(": ")[2])}
        return {**told, "total": float(line.split()[1])}


def run(argv: Sequence[str], *, cwd: Path, environment: Mapping[str, str] | None = None, timeout_s: float = 900) -> Run:
    """Run a command to its end. Raises BenchError when it fails."""
    started = time.monotonic()
    done = subprocess.run(
        argv,
        cwd=cwd,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "160", **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    seconds = time.monotonic() - started
    if done.returncode != 0:
        raise BenchError(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}")
    return Run(seconds, done.stdout)


def in_turn(runs: int, commands: Mapping[str, Callable[[], Run]]) -> dict[str, list[Run]]:
    """Run commands in turn, A B A B ..., after one uncounted round: a slower machine is slower for all."""
    results: dict[str, list[Run]] = {name: [] for name in commands}
    for turn in range(runs + 1):
        for name, command in commands.items():
            done = command()
            if turn > 0:
                results[name].append(done)
    return results


def seconds(runs: Sequence[Run]) -> tuple[float, ...]:
    return tuple(each.seconds for each in runs)


def additions() -> float:
    """Return the seconds that five million additions take in Python: a shared machine's current speed."""
    started = time.perf_counter()
    total = 0
    for number in range(5_000_000):
        total += number
    return time.perf_counter() - started


def stage_figures(name: str, runs: Sequence[Run]) -> list[Figure]:
    """Build a figure of each stage that the runs reported."""
    return [
        Figure(name=f"{name}: {stage}", samples=tuple(each.stages[stage] for each in runs))
        for stage in runs[0].stages
        if stage != "total"
    ]
