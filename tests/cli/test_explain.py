"""Each known issue has an id that stays, messages name it, and `basec explain` shows it."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import pytest

from basec.command_list import INSTEAD
from basec.hosts.status import MetricsAgent
from basec.io import known_issues
from basec.io.known_issues import MESSAGES, pointer, rows, with_pointers
from tests.cli.conftest import Run
from topology.policy_rules import RULES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / known_issues.PAGE).read_text()
ROWS = rows()
ROOMS = ("basec", "components", "compose", "localcloud", "policy", "topology")
ID = re.compile(r"BC-E\d{3}")
OF_APIS = {
    *("NO_PUBKEY", "cannot find an unused loop device", "locked by process", "Can not delete default VPC"),
    *("81053", "81054", "already in use on your account", "Invalid value for zone setting"),
}
"""Words of others' programs, and those that ours put together from parts."""


@cache
def sources() -> dict[Path, str]:
    """Read what our programs print from: their own files, not their tests."""
    files = (path for room in ROOMS for path in (ROOT / room).rglob("*") if path.suffix in {".py", ".sh"})
    return {path: path.read_text() for path in files if "tests" not in path.relative_to(ROOT).parts}


def test_every_row_of_the_page_has_an_id_and_an_anchor_of_the_same_name() -> None:
    tables = [line for line in PAGE.splitlines() if line.startswith("|")]
    headers = [line for line in tables if line.startswith(("| id |", "| ---"))]
    assert len(headers) % 2 == 0
    assert len(tables) - len(headers) == len(ROWS) > 90
    assert [row.page for row in ROWS.values()] == [f"docs/known-issues.md#{name.lower()}" for name in ROWS]


def test_no_id_is_given_twice_and_none_is_given_again() -> None:
    given = re.findall(r"</a>(BC-E\d{3})", PAGE)
    after = re.search(r"^Next id: (BC-E\d{3})\. Removed: (.+)\.$", PAGE, re.MULTILINE)
    assert after
    removed = ID.findall(after[2])
    assert sorted([*given, *removed]) == [f"BC-E{number:03d}" for number in range(1, int(after[1][4:]))]


def test_every_id_that_the_code_names_is_on_the_page() -> None:
    named = {(path, found) for path, text in sources().items() for found in ID.findall(text)}
    assert named
    assert {found for _, found in named} <= set(ROWS)


@pytest.mark.parametrize(("row", "words"), MESSAGES)
def test_the_row_of_a_message_shows_its_words_and_a_program_prints_them(row: str, words: str) -> None:
    assert words.lower() in " ".join(ROWS[row].fields.values()).lower()
    table = ROOT / "basec/io/known_issues.py"
    printed = any(words in text for path, text in sources().items() if path != table)
    assert printed or words in OF_APIS or any(words in problem for problem in agent_problems())


def agent_problems() -> list[str]:
    return [MetricsAgent(running=running, let_out=False).problem for running in (False, True)]


@pytest.mark.parametrize(("row", "words"), MESSAGES)
def test_no_row_hides_another(row: str, words: str) -> None:
    assert pointer(f"infra: {words} (more)") == f"basec explain {row}"


def test_an_error_names_its_row_in_its_one_hint() -> None:
    assert with_pointers("edge: wrong host key: who\nhint: find out") == (
        "edge: wrong host key: who\nhint: find out; more: basec explain BC-E064"
    )
    assert with_pointers("edge: login refused: no") == "edge: login refused: no\nhint: basec explain BC-E065"
    assert with_pointers("something else\nhint: wrong host key") == "something else\nhint: wrong host key"


def test_each_hint_of_several_gets_the_row_of_its_own_message() -> None:
    shown = with_pointers("a: is rootless\nhint: one\nb: fine\nhint: two\nc: invalid email\nd: login refused\nhint: 3")
    assert [line for line in shown.splitlines() if line.startswith("hint: ")] == [
        "hint: one; more: basec explain BC-E032",
        "hint: two",
        "hint: 3; more: basec explain BC-E083",
    ]


def test_a_hint_that_names_a_row_by_itself_is_left_alone() -> None:
    text = "a: wrong host key\nhint: basec explain BC-E001"
    assert with_pointers(text) == text


def test_a_message_of_the_command_line_names_its_row(basec: Run, clone: Path) -> None:
    settings = clone / "Pulumi.staging.yaml"
    settings.write_text(settings.read_text().replace("domain: ", "domain: deep.", 1))
    outcome = basec("cost", "--env", "staging")
    assert outcome.code == 2
    problem, hint = outcome.stderr.splitlines()
    assert "is deeper than the universal certificate" in problem
    assert re.fullmatch("hint: .+; more: basec explain BC-E026", hint)


@pytest.mark.parametrize("typed", ["BC-E064", "bc-e064", "e64", "bc-e64"])
def test_an_id_shows_its_row_as_plain_lines(basec: Run, typed: str) -> None:
    outcome = basec("explain", typed)
    assert outcome.code == 0
    head, symptom, cause, fix, page = outcome.stdout.splitlines()
    assert head == "BC-E064: Hosts and events"
    assert symptom.startswith("symptom  `wrong host key`")
    assert cause.startswith("cause    Somebody is in between")
    assert "another host key (docs/runbooks/lost-ssh-access.md#2-another-host-key)" in fix
    assert page == "page     docs/known-issues.md#bc-e064"


def test_an_id_of_a_rule_shows_the_rule(basec: Run) -> None:
    outcome = basec("explain", "BC17")
    assert outcome.stdout.startswith(f"BC17: rule, mandatory\nrule    {RULES['BC17'].title}\n")
    assert outcome.stdout.endswith("page    docs/policies.md#bc17\n")


def test_without_words_every_row_and_rule_is_a_line(basec: Run) -> None:
    lines = basec("explain").stdout.splitlines()
    assert lines[0] == "known issues and rules"
    assert [line.split()[0] for line in lines[2:-1]] == [*ROWS, *RULES]


def test_a_pasted_message_finds_its_row_though_a_name_in_it_differs(basec: Run) -> None:
    outcome = basec("explain", "doctor: port: 127.0.0.1:8081 is taken by another program")
    assert outcome.stdout.startswith("BC-E035: ")


def test_words_find_the_rows_that_have_them_all(basec: Run) -> None:
    lines = basec("explain", "Redis", "outbox").stdout.splitlines()
    found = {line.split()[0] for line in lines[2:-1]}
    assert {"BC-E071", "BC-E074"} <= found < {*ROWS, *RULES}
    assert basec("explain", "526").stdout.count("BC-E") >= 2, "a number alone is no id"


def test_json_has_the_rows_by_their_columns(basec: Run) -> None:
    document = json.loads(basec("explain", "BC-E035", "--json").stdout)
    assert list(document) == ["rows"]
    assert {name: document["rows"][0][name] for name in ("id", "subject", "symptom")} == {
        "id": "BC-E035",
        "subject": "Starting",
        "symptom": "`127.0.0.1:80 is taken by another program`",
    }


@pytest.mark.parametrize(
    ("typed", "near"), [("BC-E999", "BC-E099|BC-E09\\d"), ("BC99", "BC\\d9"), ("unheard-of words", "fewer words")]
)
def test_what_is_not_there_ends_with_2_and_one_hint(basec: Run, typed: str, near: str) -> None:
    outcome = basec("explain", *typed.split())
    assert (outcome.code, outcome.stdout) == (2, "")
    problem, hint = outcome.stderr.splitlines()
    assert problem.startswith("basec: explain: no entry has ")
    assert re.match(f"hint: .*({near})", hint)


def test_a_link_of_the_page_is_written_from_the_root() -> None:
    assert known_issues.plain("**a** [b](state.md#c) [d](../x/README.md) [e](#tls) [f](https://g.h/i)") == (
        "a b (docs/state.md#c) d (x/README.md) e (docs/known-issues.md#tls) f (https://g.h/i)"
    )


def test_what_is_not_built_is_not_answered_with_a_page_alone() -> None:
    assert all("by hand: " in INSTEAD[word] for word in ("backup", "restore"))


@pytest.mark.parametrize(
    "printed", ["hint: fix the cause, then basec up; more: basec explain BC-E035", "BC-E035:", "(BC-E035)"]
)
def test_an_id_is_found_in_what_was_printed(basec: Run, printed: str) -> None:
    outcome = basec("explain", printed)
    assert outcome.code == 0
    assert outcome.stdout.startswith("BC-E035")
