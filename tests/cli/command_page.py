"""Write docs/commands.md from the command line itself: `python -m tests.cli.command_page`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from basec.command_list import GROUPS
from tests.cli.commands import Command, all_commands

PAGE = Path(__file__).resolve().parents[2] / "docs/commands.md"
HEAD = """\
# Every command

<!-- Made by `python -m tests.cli.command_page` from the command line; edits are lost. -->

`basec COMMAND --help` has the same, with each option's meaning and examples. [The operators' commands](infra-cli.md)
says what holds for all of them. All but `explain` take `--env NAME` (`-e`), which is left out below.
"""


def page() -> str:
    """Render the page: a table for each group of `basec --help`."""
    commands = all_commands()
    return HEAD + "".join(
        _group(title, [c for c in commands if c.words.split()[0] in GROUPS[title]]) for title in GROUPS
    )


def _group(title: str, commands: list[Command]) -> str:
    rows = "".join(
        f"| `basec {_usage(each)}` | {_cell(each.definition.help or '')} | {_options(each)} |\n" for each in commands
    )
    return f"\n## {title}\n\n| command | does | options |\n| --- | --- | --- |\n{rows}"


def _usage(command: Command) -> str:
    context = command.definition.make_context(command.words, [], resilient_parsing=True)
    pieces = command.definition.collect_usage_pieces(context)
    words = " ".join((command.words, *(piece for piece in pieces if piece != "[OPTIONS]")))
    # `{HOST}` is typer's sign for what must be there, and the dots are ours already.
    return _cell(re.sub(r"[{}]", "", words).replace("......", "...").replace("...]...", "...]"))


def _options(command: Command) -> str:
    return ", ".join(f"`{name}`" for name in _names(command)) or "-"


def _names(command: Command) -> Iterator[str]:
    for each in command.definition.params:
        if each.param_type_name == "option" and not {"--env", "--help"} & set(each.opts):
            yield "/".join((*each.opts, *each.secondary_opts))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"{PAGE}\n")
