"""What holds for every file of the repository."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINES_MAX = 400
LONGER = {
    "topology/schemas/inventory.json": "written by `python -m topology.settings_doc`, for editors; nobody reads it",
    "toolchain/go.sum": "written by Go, two lines for each module; nobody reads it",
    **{
        f"tests/program/golden/{stack}.yaml": "written by `make golden`: all that a stack registers; its diff is read"
        for stack in ("local", "staging", "production")
    },
}
"""Files that may be longer, and why."""


PAGE_LINES_MAX = 200


def test_no_page_is_longer_than_a_person_reads() -> None:
    pages = [ROOT / "README.md", ROOT / "localcloud/README.md", *(ROOT / "docs").rglob("*.md")]
    assert len(pages) > 30
    assert not [str(page) for page in pages if page.read_bytes().count(b"\n") > PAGE_LINES_MAX]


def test_no_file_is_longer_than_a_person_reads_but_the_named_ones() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [ROOT / name for name in listed.split("\0") if name]
    assert len(files) > 100
    lines = {str(path.relative_to(ROOT)): path.read_bytes().count(b"\n") for path in files if path.is_file()}
    assert {name for name, count in lines.items() if count > LINES_MAX} == set(LONGER)


ODD_VERBS = ("Give", "Answer", "Say", "Tell", "Name")
"""What our docstrings began with before CONTRIBUTING.md had its rule: `Return` where something is returned."""


def test_docstrings_of_functions_begin_with_a_plain_verb() -> None:
    """Not those that an image's recipe or a running container has the digest of."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = [name for name in listed.split() if not name.startswith("reference_apps/") and "health.py" not in name]
    assert len(names) > 400
    assert [
        f"{name}:{node.lineno}"
        for name in names
        if (ROOT / name).is_file()
        for node in ast.walk(ast.parse((ROOT / name).read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not {"property", "cached_property"} & {ast.unparse(each) for each in node.decorator_list}
        and (ast.get_docstring(node) or "").partition(" ")[0] in ODD_VERBS
    ] == []
