"""The documents are consistent: links lead somewhere, and their lists are the code's."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from topology.errors import MEANINGS, ExitCode

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "reference_apps/**/*.md", "compose/**/*.md", "localcloud/*.md")
    for path in ROOT.glob(pattern)
)
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def _prose(path: Path) -> str:
    return _FENCE.sub("", path.read_text())


def _anchors(path: Path) -> set[str]:
    """List a document's headings as GitHub names them, and the anchors of rows."""
    headings = re.findall(r"^#+ (.+)$", _prose(path), re.MULTILINE)
    named = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return named | set(re.findall(r'<a id="([^"]+)">', _prose(path)))


def _broken(path: Path) -> list[str]:
    broken = []
    for link in _LINK.findall(_prose(path)):
        if "://" in link or link.startswith("mailto:"):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)
    return broken


def _first_column(document: str, start: str) -> list[str]:
    """List the first cells of the first table after `start`, but for its header."""
    table = re.search(r"(^\|.*\n)+", document[document.index(start) :], re.MULTILINE)
    assert table, start
    return [row.split("|")[1].strip() for row in table.group().splitlines()[2:]]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_resolve(path: Path) -> None:
    assert _broken(path) == []


def test_a_broken_link_and_a_broken_anchor_are_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A title\n[a](gone.md) [b](#a-title) [c](#gone) [d](page.md#gone) [e](https://example.com/x)\n")
    assert _broken(page) == ["gone.md", "#gone", "page.md#gone"]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_table_has_its_header(path: Path) -> None:
    """An empty line within a table ends it: what follows is shown as words and bars."""
    tables = re.findall(r"(?:^\|.*\n)+", _prose(path), re.MULTILINE)
    assert [table for table in tables if not re.match(r".*\n\|(?: *:?-+:? *\|)+\n", table)] == []


def test_every_export_is_listed_in_the_topology() -> None:
    program = (ROOT / "__main__.py").read_text()
    exported = re.findall(r'pulumi\.export\(\s*"(\w+)"', program)
    assert exported
    listed = _first_column((ROOT / "docs/topology.md").read_text(), "## Exports of the stack")
    assert [name.strip("`") for name in listed] == exported


def test_exit_codes_are_listed_on_one_page_in_the_words_of_the_code() -> None:
    page = ROOT / "docs/infra-cli.md"
    table = page.read_text().split("## Exit codes")[1]
    found = re.findall(r"^\| (\d+) \| (.+) \|$", table, re.MULTILINE)
    assert {int(code): meaning for code, meaning in found} == {int(code): text for code, text in MEANINGS.items()}
    assert list(MEANINGS) == list(ExitCode)
    assert [path.name for path in DOCUMENTS if "| exit code |" in path.read_text()] == [page.name]


def test_every_decision_is_in_the_index() -> None:
    index = (ROOT / "docs/adr/README.md").read_text()
    decisions = sorted(path.name for path in (ROOT / "docs/adr").glob("[0-9]*.md"))
    assert re.findall(r"\((\d{4}-[a-z-]+\.md)\)", index) == decisions


def test_every_message_names_the_next_command_by_the_same_word() -> None:
    """`hint:`, in the local cloud as well: two words for one thing make people search twice."""
    sources = [path for room in ("localcloud", "basec", "topology") for path in (ROOT / room).rglob("*.py")]
    assert [str(path) for path in sources if re.search(r"\bnext: |[\"`]next:", path.read_text())] == []


def test_every_runbook_is_in_the_index() -> None:
    index = (ROOT / "docs/runbooks/README.md").read_text()
    runbooks = {path.name for path in (ROOT / "docs/runbooks").glob("*.md")} - {"README.md"}
    assert set(re.findall(r"\(([a-z-]+\.md)\)", index)) == runbooks
