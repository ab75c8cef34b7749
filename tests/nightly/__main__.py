"""`make nightly`: run what takes too long for `make test`, and write what it found into tests/nightly/results/."""

from __future__ import annotations

import sys

import typer
from rich.console import Console
from rich.table import Table

from tests.nightly import results
from tests.nightly.parts import PARTS
from tests.nightly.results import State

EXAMPLES = 'Examples: make nightly; make nightly PARTS="reboots full-scans"; python -m tests.nightly --list'
NAMED = typer.Argument(
    None, metavar="[PART]...", help=f"Of {', '.join(PARTS)}; all that are not current if none is named."
)
INTERRUPTED = 130

app = typer.Typer(add_completion=False)


@app.command(epilog=EXAMPLES)
def main(
    parts: list[str] = NAMED,
    again: bool = typer.Option(False, "--again", help="Run current parts as well, and go on with no interrupted one."),
    listed: bool = typer.Option(False, "--list", help="Show each part, what its result is worth today, and end."),
    outdated: bool = typer.Option(
        False, "--outdated", help="Name each part without a good result for today's content, and end with 0."
    ),
) -> None:
    """Run the parts whose result is missing, failed, or older than what they judge; a part that is named runs anyway.

    Each part brings up a stack of its own (local-nightly, ports 8082 and 8445) from a copy of the work tree, and takes
    it down. Its result is a file in tests/nightly/results/: commit it. The same command goes on with a run that was
    interrupted, within a part after the last step that it finished.

    Ends with 0 if all is well, 1 if a part failed or could not run, 2 for an unknown part, 130 after Ctrl-C.
    """
    chosen = tuple(dict.fromkeys(parts or PARTS))
    if unknown := [name for name in chosen if name not in PARTS]:
        typer.echo(f"nightly: unknown part {', '.join(unknown)}\nhint: one of {', '.join(PARTS)}", err=True)
        raise typer.Exit(2)
    if listed:
        show(chosen)
    elif outdated:
        for line in results.outdated({name: PARTS[name] for name in chosen}):
            typer.echo(line)
    else:
        raise typer.Exit(run(chosen, named=bool(parts), again=again))


def show(chosen: tuple[str, ...]) -> None:
    """Print a table of parts."""
    table = Table("part", "about", "result", "what it proves", title="nightly", title_justify="left")
    for name in chosen:
        part = PARTS[name]
        table.add_row(name, f"{part.minutes} min", results.judge(part)[1], part.proves)
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def run(chosen: tuple[str, ...], *, named: bool, again: bool) -> int:
    """Run parts one after the other and give the exit code."""
    from tests.nightly import runner  # noqa: PLC0415 - the other answers need none of it

    todo = [name for name in chosen if named or again or results.judge(PARTS[name])[0] is not State.CURRENT]
    for name in chosen:
        if name not in todo:
            typer.echo(f"== {name}: {results.judge(PARTS[name])[1]}, and nothing it judges has changed since", err=True)
    failed = []
    try:
        with runner.alone():
            if todo:
                runner.require_host()
            for name in todo:
                part = PARTS[name]
                typer.echo(f"== {name}: {part.proves}; about {part.minutes} minutes", err=True)
                result = runner.run(part, again=again)
                typer.echo(f"== {name}: {result.outcome} in {result.seconds:.0f} s {result.reason}".rstrip(), err=True)
                failed += [name] if result.outcome != "passed" else []
    except KeyboardInterrupt:
        typer.echo("nightly: interrupted; the same command goes on", err=True)
        return INTERRUPTED
    except runner.NightlyError as error:
        typer.echo(str(error), err=True)
        return 1
    show(chosen)
    return 1 if failed else 0


if __name__ == "__main__":
    app()
