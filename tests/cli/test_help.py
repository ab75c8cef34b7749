"""Every command teaches: what it does, two examples that are right, and its place on the operators' page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.commands import Command, all_commands, check, examples_of, root
from topology.errors import MEANINGS, ExitCode

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/infra-cli.md").read_text()
COMMANDS = all_commands()


def words_of(command: Command) -> str:
    return command.words


@pytest.mark.parametrize("command", COMMANDS, ids=words_of)
def test_help_says_what_it_does_and_has_two_examples_that_parse(command: Command) -> None:
    assert command.definition.help
    examples = examples_of(command.definition.epilog or "")
    assert len(examples) >= 2, command.definition.epilog
    for example in examples:
        assert example.startswith(f"basec {command.words}")
        check(example)


@pytest.mark.parametrize("command", COMMANDS, ids=words_of)
def test_every_command_names_its_environment_the_same_way(command: Command) -> None:
    options = {option for parameter in command.definition.params for option in parameter.opts}
    assert {"--env", "-e"} <= options


@pytest.mark.parametrize("command", COMMANDS, ids=words_of)
def test_every_command_is_on_the_operators_page(command: Command) -> None:
    assert f"basec {command.words}" in PAGE


def test_every_command_line_of_the_operators_page_parses() -> None:
    lines = re.findall(r"^\$ (?:\.venv/bin/)?(basec .+)$", PAGE, re.MULTILINE)
    assert len(lines) > 10
    for line in lines:
        check(line)


def test_a_command_line_that_is_wrong_does_not_parse() -> None:
    with pytest.raises(Exception, match="No such option"):
        check("basec smoke --no-such-option")
    with pytest.raises(KeyError):
        check("basec nothing")


def test_help_lists_every_exit_code_with_its_meaning() -> None:
    epilog = root().epilog or ""
    for code in ExitCode:
        assert f"{int(code)} {MEANINGS[code]}." in epilog
