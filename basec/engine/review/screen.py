"""Draw a review in a terminal: first sentences about each host, then each resource with its changes."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from basec.engine.review.changes import Review
from basec.engine.review.effects import Effect
from basec.engine.review.sentences import by_host
from basec.engine.review.values import PropertyChange

COLOURS = {"+": "green", "-": "red", "~": "yellow", "+-": "magenta"}
EFFECT_COLOURS = {"none": "dim", "reload": "green", "restart": "yellow"}
"""Worse ones are red."""
DIFF_LINES = 40
"""Of one text; the rest is only counted, `--json` has all of it."""
VALUE = 300
"""Characters of one value."""
INDENT = Text("     ")


def hosts(review: Review) -> Table:
    """Draw what happens to each host and who is affected."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("host", "what changes", "effect"):
        table.add_column(column, overflow="fold")
    for each in by_host(review):
        table.add_row(Text(each.host), Text("\n".join(each.sentences)), _effect(each.effect))
    return table


def resources(review: Review) -> Iterator[Text]:
    """Draw each resource in the order of the work; for created or deleted ones only the name."""
    for change in review.changes:
        sign = Text(f"{change.sign:>2} ", style=COLOURS[change.sign])
        yield sign.append(f"{change.order:>2}. {change.step.resource}", style="bold")
        files = change.release.files if change.release else ()
        for each in change.properties:
            if not (files and each.path in ("create", "stdin")):  # the files below show it better
                yield _indented(_property(each))
        for file in files:
            yield _indented(_diff(f"{file.name} ({file.kind})", file.diff))


def _indented(text: Text) -> Text:
    return Text("\n").join(INDENT + line for line in text.split("\n"))


def _effect(value: Effect) -> Text:
    text = Text(value.kind, style=EFFECT_COLOURS.get(value.kind, "bold red"))
    return text.append(f": {value.text}", style="not bold default") if value.text else text


def _property(change: PropertyChange) -> Text:
    if change.diff:
        return _diff(change.path, change.diff)
    text = Text(f"{change.path}: ")
    if change.secret:
        return text.append("[secret], changed")
    if change.kind == "added":
        return text.append(f"+ {_value(change.new)}", style="green")
    if change.kind == "removed":
        return text.append(f"- {_value(change.old)}", style="red")
    return text.append(_value(change.old), style="red").append(" to ").append(_value(change.new), style="green")


def _diff(title: str, lines: tuple[str, ...]) -> Text:
    text = Text(title)
    for line in lines[:DIFF_LINES]:
        text.append(f"\n  {line}", style={"+": "green", "-": "red"}.get(line[:1], "dim"))
    if len(lines) > DIFF_LINES:
        text.append(f"\n  ({len(lines) - DIFF_LINES} lines more: --json)", style="dim")
    return text


def _value(value: object) -> str:
    if isinstance(value, dict):
        text = ", ".join(f"{key} {_value(one)}" for key, one in value.items() if one not in (None, "", []))
    elif isinstance(value, list):
        text = " ".join(map(_value, value))
    else:
        text = str(value)
    return text if len(text) <= VALUE else f"{text[:VALUE]}... ({len(text)} characters)"
