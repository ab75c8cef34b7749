"""Every command teaches: what it does, two examples that are right, and its place on the page of commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.core import TyperGroup

from basec.command_list import GROUPS, INSTEAD, LINES, SHORT
from tests.cli.command_page import PAGE, page
from tests.cli.commands import Command, all_commands, check, examples_of, root
from tests.cli.conftest import Run
from topology.errors import MEANINGS, ExitCode

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("docs/infra-cli.md", "docs/looking.md", "docs/services.md", "docs/runbooks/README.md")
WITHOUT_ENVIRONMENT = {"explain"}
COMMANDS = all_commands()
SUBGROUPS = [name for name, command in root().commands.items() if isinstance(command, TyperGroup)]


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
    assert ({"--env", "-e"} <= options) != (command.words in WITHOUT_ENVIRONMENT)


def test_the_page_of_commands_is_the_command_lines_own() -> None:
    assert PAGE.read_text() == page(), "run: python -m tests.cli.command_page"
    assert all(f"| `basec {command.words}" in page() for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS, ids=words_of)
def test_a_commands_line_in_a_list_is_whole(command: Command) -> None:
    line = command.definition.get_short_help_str(1000)
    assert len(line) <= SHORT, line


@pytest.mark.parametrize(
    "group", ["", *(name for name, each in root().commands.items() if isinstance(each, TyperGroup))]
)
def test_at_80_columns_no_list_of_commands_is_cut(basec: Run, monkeypatch: pytest.MonkeyPatch, group: str) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = basec(*group.split(), "-h").stdout.splitlines()
    assert [line for line in lines if line.endswith("...") and "Usage:" not in line] == []
    assert max(map(len, lines)) <= 80


def test_each_command_is_in_one_group_of_the_list() -> None:
    listed = [name for lines in GROUPS.values() for name in lines]
    modules = {path.stem for path in (ROOT / "basec/commands").glob("*.py")} - {"__init__", "arguments"}
    assert sorted(listed) == sorted(modules)


@pytest.mark.parametrize("name", LINES)
def test_the_list_has_the_first_sentence_of_each_commands_own_help(name: str) -> None:
    assert root().commands[name].get_short_help_str(1000) == LINES[name]


def test_the_list_of_commands_has_its_groups_and_names_the_docs(basec: Run) -> None:
    lines = basec("-h").stdout.splitlines()
    assert [line for line in lines if line.rstrip(":") in GROUPS] == [f"{title}:" for title in GROUPS]
    assert "  Docs: docs/infra-cli.md (commands), docs/runbooks/ (what to do when)." in lines


@pytest.mark.parametrize("name", PAGES)
def test_every_command_line_of_the_operators_pages_parses(name: str) -> None:
    lines = re.findall(r"^\$ (?:\.venv/bin/)?(basec .+)$", (ROOT / name).read_text(), re.MULTILINE)
    assert len(lines) > 5
    for line in lines:
        check(re.split(" [<>] ", line)[0].replace("HOST", "edge").replace("NAME", "local"))


def test_every_command_of_the_runbook_index_parses() -> None:
    commands = re.findall(r"`(basec [^`]+)`", (ROOT / "docs/runbooks/README.md").read_text())
    whole = [words for words in commands if "--env" in words or words.startswith("basec explain")]
    assert len(whole) > 8
    assert {words.split()[1] for words in commands} <= {*LINES, *INSTEAD}
    for words in whole:
        check(words.replace("HOST", "edge").replace("NAME", "local"))


def test_a_command_line_that_is_wrong_does_not_parse() -> None:
    with pytest.raises(Exception, match="No such option"):
        check("basec smoke --no-such-option")
    with pytest.raises(KeyError):
        check("basec nothing")


def test_help_lists_every_exit_code_with_its_meaning() -> None:
    epilog = root().epilog or ""
    for code in ExitCode:
        assert f"{int(code)} {MEANINGS[code]}." in epilog
