"""`basec explain`: what the id in a message means. Needs no environment."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Mapping

import typer

from basec.commands.arguments import AS_JSON
from basec.io import known_issues
from basec.io.console import answer, print_json, show, table
from basec.io.known_issues import Row
from topology.errors import UsageError
from topology.policy_rules import RULES, RuleSpec

RULES_PAGE = "docs/policies.md"
ISSUE = re.compile(r"(?:BC-?)?E(\d+)", re.IGNORECASE)
PRINTED = re.compile(r"\bBC-E(\d+)\b", re.IGNORECASE)
"""An id in a message that was pasted as it was printed."""
RULE = re.compile(r"BC-?(\d+)", re.IGNORECASE)
WORDS = typer.Argument(
    None, metavar="ID | WORDS...", help="An id such as BC-E035 or BC17, or words of a message; default: all ids."
)


def register(app: typer.Typer) -> None:
    app.command("explain", epilog="Examples: basec explain BC-E035; basec explain wrong host key --json")(explain)


def explain(words: list[str] = WORDS, as_json: bool = AS_JSON) -> None:
    """Show what a message's id means and what to do. Also finds entries by their words, and rules by their ids."""
    known = {**known_issues.rows(), **{rule.id: _of_rule(rule) for rule in RULES.values()}}
    found = _found(known, " ".join(words or []))
    if as_json:
        print_json(None, {"rows": [{"id": row.id, "subject": row.subject, **row.fields} for row in found]})
        return
    # In a pipe each row is a line, however long: programs look for words in it.
    whole = not sys.stdout.isatty()
    if len(found) == 1:
        first, *others = found[0].fields.items()
        show(table(f"{found[0].id}: {found[0].subject}", first, [*others, ("page", found[0].page)]), whole=whole)
        return
    show(table("known issues and rules", ("id", "what you see"), [(row.id, row.symptom) for row in found]), whole=whole)
    answer(f"{known_issues.COMMAND} ID shows one")


def _of_rule(rule: RuleSpec) -> Row:
    fields = {"rule": rule.title, "why": rule.why, "advice only": rule.advice, "fix": rule.fix, "source": rule.source}
    return Row(
        id=rule.id,
        subject=f"rule, {rule.severity}",
        fields={name: text for name, text in fields.items() if text},
        page=f"{RULES_PAGE}#{rule.id.lower()}",
    )


def _found(known: Mapping[str, Row], text: str) -> list[Row]:
    """Look for an id, then for a message, then for words. Raises UsageError where there is nothing."""
    if not text:
        return list(known.values())
    if name := _identifier(text):
        if name in known:
            return [known[name]]
        near = ", ".join(difflib.get_close_matches(name, known, cutoff=0))
        raise UsageError(
            f"basec: explain: no entry has the id {name}", f"nearest: {near}; {known_issues.COMMAND} lists all"
        )
    if message := known_issues.id_of(text):
        return [known[message]]
    if found := [row for row in known.values() if _has(row, text)]:
        return found
    raise UsageError(
        f"basec: explain: no entry has all of the words {text!r}",
        f"use fewer words; {known_issues.COMMAND} lists all entries",
    )


def _identifier(text: str) -> str:
    """Read an id as people type it, `e35` too, or return an empty string. A number alone is a status, such as 526."""
    if issue := ISSUE.fullmatch(text) or PRINTED.search(text):
        return f"BC-E{int(issue[1]):03d}"
    rule = RULE.fullmatch(text)
    return f"BC{int(rule[1]):02d}" if rule else ""


def _has(row: Row, text: str) -> bool:
    content = f"{row.subject} {' '.join(row.fields.values())}".lower()
    return all(word in content for word in text.lower().split())
