"""Each room of the package imports only from those below it, and no stand-in knows another."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1]
STAND_INS = ("command", "cloudflare", "digitalocean")
FLOORS = (
    *("naming", "errors", "remedies", "backend", "config", "account", "allocate"),
    *("machine", "images", "findings", "distribution", "doctor", "provider", "dry"),
    *STAND_INS,
    *("lifecycle", "plugin", "__main__"),
)
"""The rooms, modules and folders, the lowest first."""
FILES = {"backend", "dry", "real", "resources", "rules"}


def imported_rooms(path: Path) -> set[str]:
    """List the rooms that a file imports from, inside functions as well."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {name.split(".")[1] for name in names if name.startswith("localcloud.")}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


SOURCES = [path for path in sorted(PACKAGE.rglob("*.py")) if room_of(path) not in ("tests", "__init__")]


def test_every_room_has_a_floor() -> None:
    assert {room_of(path) for path in SOURCES if "images/droplet" not in str(path)} == set(FLOORS)


@pytest.mark.parametrize("room", FLOORS)
def test_a_room_imports_only_from_below(room: str) -> None:
    allowed = {*FLOORS[: FLOORS.index(room)], room} - (set(STAND_INS) - {room} if room in STAND_INS else set())
    files = [path for path in SOURCES if room_of(path) == room]
    assert {str(path): found for path in files if (found := imported_rooms(path) - allowed)} == {}


@pytest.mark.parametrize("stand_in", STAND_INS)
def test_who_knows_one_stand_in_knows_all(stand_in: str) -> None:
    there = {path.name.removesuffix(".py") for path in (PACKAGE / stand_in).iterdir()}
    assert there >= FILES


@pytest.mark.parametrize("stand_in", STAND_INS)
def test_types_and_rules_do_not_know_what_stands_behind_them(stand_in: str) -> None:
    above = {"resources", "rules"}
    files = [path for path in SOURCES if room_of(path) == stand_in and above & set(path.with_suffix("").parts)]
    assert len(files) >= 2
    for path in files:
        text = path.read_text()
        assert f"localcloud.{stand_in}.real" not in text, path
        assert f"localcloud.{stand_in}.dry" not in text, path
        assert "localcloud.machine" not in text, path
