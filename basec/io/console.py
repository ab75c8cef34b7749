"""Output to the terminal: results on standard output, progress and errors on standard error."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache

from rich.cells import cell_len
from rich.console import Console
from rich.panel import Panel
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

PIPE_COLUMNS = 160
"""Without a terminal nothing is folded at 80 columns: programs read lines."""
UNLIMITED_COLUMNS = 10_000
GAP = 2
"""Columns between two cells."""


@cache
def stderr() -> Console:
    """Return the terminal for progress; live text and lines must go through the same object."""
    # Without emoji: `:droplet:` in a URN would become a picture, and the line could not be copied.
    return Console(stderr=True, highlight=False, emoji=False)


def say(text: str) -> None:
    """Print one line of progress as it is, without markup and without wrapping."""
    stderr().print(text, markup=False, soft_wrap=True)


def complain(text: str) -> None:
    """Print an error, line by line: in a terminal the error is red, and the hint stands out."""
    for line in text.splitlines():
        stderr().print(Text(line, style="cyan" if line.startswith("hint: ") else "red"), soft_wrap=True)


def coloured(word: str, *, good: bool) -> Text:
    """Return a word for a table: green if good, otherwise red."""
    return Text(word, style="green" if good else "bold red")


def answer(text: str) -> None:
    """Print one line of the result on standard output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def show(*drawn: Table | Text | Panel, progress: bool = False, whole: bool = False) -> None:
    """Print tables or texts: results on standard output, progress on standard error. In a pipe no line is padded.

    `whole` gives a table all the columns that it needs, whatever the terminal's width.
    """
    console = stderr() if progress else _stdout()
    if whole:
        console.width = max(console.width, *(_needed(console, each) for each in drawn))
    for each in drawn:
        if console.is_terminal:
            console.print(each, soft_wrap=whole or isinstance(each, Text))
            continue
        if isinstance(each, Text):
            plain = each.plain
        else:
            with console.capture() as captured:
                console.print(each)
            plain = captured.get()
        console.file.write("".join(f"{line.rstrip()}\n" for line in plain.splitlines() or [""]))
        console.file.flush()


def _needed(console: Console, drawn: Table | Text | Panel) -> int:
    """Return the columns of the longest line."""
    return console.measure(drawn, options=console.options.update(max_width=UNLIMITED_COLUMNS)).maximum


def _stdout() -> Console:
    folded = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(highlight=False, emoji=False, width=None if folded else PIPE_COLUMNS)


def table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str | Text]],
    right: Sequence[str] = (),
    optional: Sequence[str] | None = None,
) -> Table:
    """Build the one kind of table that all commands print; columns named in `right` hold numbers.

    With `optional` a row is one line: if the terminal is too narrow, these columns are left out, in this order,
    and then the widest is cut. Without it long cells are folded.
    """
    widths = [max(cell_len(str(cell)) for cell in cells) for cells in zip(columns, *rows, strict=True)]
    kept = list(range(len(columns)))
    room = _stdout().width

    def excess() -> int:
        return sum(widths[index] for index in kept) + GAP * (len(kept) - 1) - room

    for name in optional or ():
        if excess() > 0:
            kept.remove(columns.index(name))
    if optional is not None and excess() > 0:
        widths[max(kept, key=widths.__getitem__)] -= excess()
    result = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for index in kept:
        result.add_column(
            columns[index],
            justify="right" if columns[index] in right else "left",
            overflow="fold" if optional is None else "ellipsis",
            no_wrap=optional is not None,
            max_width=None if optional is None else widths[index],
        )
    for row in rows:
        # As Text: in a plain string `[work]` would be taken for a colour, and `[/x]` for an error.
        result.add_row(*(Text(cell) if isinstance(cell := row[index], str) else cell for index in kept))
    return result


def print_json(environment: str | None, document: Mapping[str, object]) -> None:
    """Print a document for a script: always one object, with the name of its environment, if any."""
    named = {} if environment is None else {"environment": environment}
    sys.stdout.write(json.dumps({**document, **named}, indent=2, sort_keys=True) + "\n")


@contextmanager
def clock(what: str) -> Iterator[None]:
    """Show in a terminal what is running and for how long; lines printed meanwhile appear above it."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=stderr(), transient=True, disable=not stderr().is_terminal) as live:
        live.add_task(what, total=None)
        yield


class Stages:
    """The stages of a long command, with their times."""

    def __init__(self) -> None:
        self.times: list[tuple[str, float]] = []
        self.began: dict[str, float] = {}
        """By the monotonic clock."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage; a failed one is listed as well."""
        say(f"== {name}")
        self.began[name] = start = time.monotonic()
        try:
            yield
        finally:
            self.times.append((name, time.monotonic() - start))

    @property
    def line(self) -> str:
        """Return the times by stage, e.g. `took 63.0 s: doctor 0.3, up 54.4`; `bench/measure.py` reads it."""
        total = sum(seconds for _, seconds in self.times)
        return f"took {total:.1f} s: {', '.join(f'{name} {seconds:.1f}' for name, seconds in self.times)}"
