"""What an edit of the compose files changes of the whole program, tried in a copy of the tree."""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.program.recording import ROOT, configuration, run

FILES = ("__main__.py", "inventory.yaml", "versions.yaml")
FOLDERS = ("cloud-init", "compose")
TIERS = ("edge", "infra", "vertical")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy what the program reads."""
    root = tmp_path_factory.mktemp("tree")
    for name in FILES:
        shutil.copy(ROOT / name, root)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def registered(root: Path) -> Mapping[str, object]:
    """Run the program of a tree and give what each resource was registered with, by its name."""

    def main() -> None:
        load: Callable[..., dict[str, Any]] = runpy.run_path
        load(str(root / "__main__.py"), run_name="program")["main"]()

    recorder = run(main, stack="staging", config=configuration("staging"))
    return {item.name: (item.type, item.inputs, item.dependencies) for item in recorder.registered}


@pytest.fixture(scope="module")
def before(tree: Path) -> Mapping[str, object]:
    return registered(tree)


def test_nothing_of_the_program_changes_when_no_file_does(tree: Path, before: Mapping[str, object]) -> None:
    assert registered(tree) == before
    assert {f"{tier}-stack-activation" for tier in TIERS} <= set(before)


@pytest.mark.parametrize("tier", TIERS)
def test_an_edit_of_one_tier_changes_the_command_of_that_tier_alone(
    tree: Path, before: Mapping[str, object], tier: str
) -> None:
    """Otherwise an edit of nginx would restart the database."""
    path = tree / "compose" / tier / "compose.yaml"
    text = path.read_text()
    path.write_text(f"{text}# edited\n")
    try:
        after = registered(tree)
    finally:
        path.write_text(text)
    assert set(after) == set(before)
    # What goes with another release on infra: it says who may do what.
    along = ["infra-old-logins-retired"] if tier == "infra" else []
    assert [name for name in before if after[name] != before[name]] == [f"{tier}-stack-activation", *along]
