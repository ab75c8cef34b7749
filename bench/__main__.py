"""`make bench`: measure on real droplets, show the figures, and write them into `docs/benchmarks.md` if asked."""

from __future__ import annotations

import sys

import typer
from rich.console import Console
from rich.table import Table

from bench import report
from bench.groups import DEFAULT, GROUPS
from bench.measure import BenchError, Figure, additions
from bench.stack import ROOT, measured_stack

NAMES = ", ".join(GROUPS)


def main(
    groups: list[str] = typer.Argument(None, metavar="[GROUP]...", help=f"Of {NAMES}; default: all but cold."),
    write: bool = typer.Option(False, "--write", help="Write the figures into docs/benchmarks.md."),
) -> None:
    """Bring up a separate stack from the last commit, measure, and take it down.

    Ends with 1 if a promise is MISSED. `cold` removes the caches of this machine (CLI, images) first and takes minutes
    to make them again.
    """
    chosen = tuple(groups or DEFAULT)
    if unknown := set(chosen) - set(GROUPS):
        sys.exit(f"bench: unknown group {', '.join(sorted(unknown))}\nhint: one of {NAMES}")
    results: dict[str, list[Figure]] = {}
    speeds = [additions()]
    try:
        with measured_stack() as stack:
            if not {"cold", "warm"}.intersection(chosen) and set(chosen) != {"scale"}:
                stack.up()
            for name in (name for name in GROUPS if name in chosen):
                print(f"== {name}: {(GROUPS[name].__doc__ or '').splitlines()[0]}", file=sys.stderr, flush=True)
                results[name] = GROUPS[name](stack)
                speeds.append(additions())
                show(name, results[name])
            where = report.machine(stack.root, speeds)
        print(where)
        if write:
            report.write(ROOT / "docs/benchmarks.md", results, where)
    except BenchError as error:
        sys.exit(f"{error}")
    if broken := report.missed(results):
        sys.exit("\n".join(broken))


def show(name: str, figures: list[Figure]) -> None:
    table = Table(*report.COLUMNS, title=name, title_justify="left")
    for figure in figures:
        table.add_row(*report.row(figure))
    Console(width=None if sys.stdout.isatty() else 120).print(table)


if __name__ == "__main__":
    typer.run(main)
