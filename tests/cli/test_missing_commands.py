"""A command that is not there is answered with the way that is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from basec.command_list import INSTEAD
from tests.cli.commands import check, root
from tests.cli.conftest import Run

ROOT = Path(__file__).resolve().parents[2]
EXPECTED = ("deploy", "rollback", "plan", "version", "backup", "restore", "tenants", "users")


@pytest.mark.parametrize("word", [*EXPECTED, *INSTEAD])
@pytest.mark.parametrize("arguments", [(), ("--env", "production"), ("edge", "-h")])
def test_an_expected_command_is_answered_with_one_hint(basec: Run, word: str, arguments: tuple[str, ...]) -> None:
    outcome = basec(word, *arguments)
    assert (outcome.code, outcome.stdout) == (2, "")
    assert outcome.stderr == f"basec: No such command '{word}'.\nhint: {INSTEAD[word]}\n"


@pytest.mark.parametrize("hint", INSTEAD.values())
def test_each_hint_leads_to_a_command_that_parses_or_to_a_heading_that_is_there(hint: str) -> None:
    lines = [line for line in re.findall(r"basec [^;]+", hint) if line != "basec --version"]
    for line in lines:
        check(line.replace("NAME", "local").replace("HOST", "edge"))
    pages = re.findall(r"(\S+\.md)#(\S+)", hint)
    for name, anchor in pages:
        headings = re.findall(r"^#+ (.+)$", (ROOT / name).read_text(), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}
    assert "basec " in hint or pages or "no command needed" in hint


def test_the_table_has_no_command_that_is_there() -> None:
    assert set(INSTEAD) & set(root().commands) == set()


def test_every_command_of_the_scripts_before_these_is_there_or_is_answered() -> None:
    page = (ROOT / "docs/coming-from-envs.md").read_text()
    old = {
        word for row in re.findall(r"^\|([^|]+)", page, re.MULTILINE) for word in re.findall(r"`basec ([a-z]+)", row)
    }
    assert len(old) > 10
    assert old - set(root().commands) - set(INSTEAD) == set()


def test_a_misspelt_command_is_answered_with_the_nearest_one(basec: Run) -> None:
    assert "No such command 'statuss'. Did you mean 'status'?" in basec("statuss").stderr
    assert "No such command 'lst'. Did you mean 'list'?" in basec("secrets", "lst").stderr
