"""All commands of basec as data: for tests that hold for each of them."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from unittest.mock import patch

import typer.main
from typer.core import TyperCommand, TyperGroup

from basec.environments import ENVIRONMENT_VARIABLE
from basec.main import app


@dataclass(frozen=True)
class Command:
    """One command with the words that reach it, such as `firewall status`."""

    words: str
    definition: TyperCommand


def _walk(group: TyperGroup, words: tuple[str, ...] = ()) -> Iterator[Command]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _walk(command, (*words, name))
        else:
            assert isinstance(command, TyperCommand)
            yield Command(" ".join((*words, name)), command)


def root() -> TyperGroup:
    """Return basec itself."""
    command = typer.main.get_command(app)
    assert isinstance(command, TyperGroup)
    return command


def all_commands() -> list[Command]:
    """List every command, those of groups by their full words."""
    return list(_walk(root()))


def examples_of(text: str) -> list[str]:
    """Find the command lines of a help's `Examples:` line."""
    found = re.search(r"Examples: (.+)", text)
    return [line.strip() for line in found[1].split("; ")] if found else []


def check(line: str) -> None:
    """Parse a `basec ...` line without running it. Raises KeyError for an unknown command, else what typer raises."""
    words = shlex.split(line.split(" | ", maxsplit=1)[0])[1:]
    group = root()
    while isinstance(command := group.commands[words.pop(0)], TyperGroup):
        group = command
    # Without `--env` it means the environment that the reader's own clone knows.
    with patch.dict(os.environ, {ENVIRONMENT_VARIABLE: "local"}):
        command.make_context(command.name, words)
