"""Figures as a table for people, and as the generated part of `docs/benchmarks.md`."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.measure import BenchError, Figure

COLUMNS = ("what", "median", "min", "max", "runs", "at most", "")
PROMISES = re.compile(r"(<!-- promises -->\n).*?(<!-- end -->)", re.DOTALL)
GENERATED = re.compile(r"(<!-- figures: (?P<group>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def row(figure: Figure) -> tuple[str, ...]:
    digits = 2 if figure.unit != "MiB" and figure.median < 10 else 0 if figure.unit == "MiB" else 1
    low, high = min(figure.samples), max(figure.samples)
    promise = "" if figure.promise is None else f"{figure.promise:g} {figure.unit}"
    values = (f"{value:.{digits}f}" for value in (figure.median, low, high))
    return (figure.name, *values, str(len(figure.samples)), promise, figure.verdict)


def missed(groups: Mapping[str, Sequence[Figure]]) -> list[str]:
    """Return a line for each promise that was missed."""
    return [
        f"bench: {name}: {figure.name}: MISSED: {figure.median:.2f} {figure.unit}, promised {figure.promise:g}"
        for name, figures in groups.items()
        for figure in figures
        if figure.verdict == "MISSED"
    ]


def machine(root: Path, speeds: Sequence[float]) -> str:
    """Describe where and when the figures were measured: what another person needs to check or repeat them.

    `speeds` are seconds of `additions`, before each group and at the end.
    """
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    docker = _says("docker", "version", "--format", "{{.Server.Version}}")
    cgroup = "v2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "v1"
    commit = _says("git", "-C", str(root), "rev-parse", "--short", "HEAD")
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, commit {commit}: {os.cpu_count()} cores, {memory:.0f} GiB, {system}, "
        f"kernel {platform.release()}, cgroup {cgroup}, Docker {docker}, Python {platform.python_version()}. "
        f"Five million additions in Python took {min(speeds):.2f} to {max(speeds):.2f} s meanwhile."
    )


def markdown(figures: Sequence[Figure], where: str) -> str:
    lines = ["| " + " | ".join(COLUMNS) + " |", "| --- | --: | --: | --: | --: | --: | --- |"]
    lines += ["| " + " | ".join(row(figure)) + " |" for figure in figures]
    return f"{where}\n\n" + "\n".join(lines) + "\n"


def write(page: Path, groups: Mapping[str, Sequence[Figure]], where: str) -> None:
    """Replace the measured groups' tables in the page, and its list of all promises.

    Raises BenchError for a group without a place there.
    """
    text = page.read_text()
    places = {match["group"] for match in GENERATED.finditer(text)}
    if missing := set(groups) - places:
        raise BenchError(f"{page}: no place for {', '.join(sorted(missing))}")

    def fill(match: re.Match[str]) -> str:
        figures = groups.get(match["group"])
        return match[0] if figures is None else f"{match[1]}{markdown(figures, where)}{match[3]}"

    text = GENERATED.sub(fill, text)
    page.write_text(PROMISES.sub(lambda place: f"{place[1]}{promises(text)}{place[2]}", text))


def promises(text: str) -> str:
    """List what the page's tables promise but for memory, with the medians there."""
    cells = [line.strip("| ").split(" | ") for match in GENERATED.finditer(text) for line in match[0].splitlines()]
    rows = [
        f"| {each[0]} | {each[-2]} | {each[1]} | {each[-1]} |\n"
        for each in cells
        if len(each) == len(COLUMNS) and each[-2].endswith((" s", " times"))
    ]
    return "| promise | at most | measured |  |\n| --- | --: | --: | --- |\n" + "".join(rows)


def _says(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
