"""Rooms import only what the design lets them; this reads the sources, so an unused module counts as well."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = {
    *("basec", "bench", "components", "compose", "localcloud"),
    *("policy", "reference_apps", "scripts", "tests", "toolchain", "topology"),
}
ALLOWED = {
    "topology": set[str](),
    "components": {"topology"},
    "basec": {"topology", "policy"},
    "localcloud": set[str](),
    "policy": {"topology"},
    "reference_apps": set[str](),
    "scripts": set[str](),
    "toolchain": set[str](),
    "compose": set[str](),
    "bench": {"topology"},
}
SDKS = {"pulumi_digitalocean", "pulumi_cloudflare", "pulumi_command"}
ROOMS_OF_BASEC = (
    *("environments", "io", "secrets", "local", "session", "hosts", "engine", "commands"),
    *("command_list", "main"),
)
"""Each may use those before it; a name is a directory, or a module at the top."""
DROPLETS_AND_ROLES = {"edge", "infra", "vertical"}
"""Words of the inventory: which droplet is meant, or what for, is asked by its role, in `topology/`."""
AT_THE_TOP = 6
"""Modules directly in `basec/`: whoever opens it should see the rooms."""


def sources(room: str) -> list[Path]:
    """List the files of a room that run for an operator: not the tests that some have inside."""
    return [path for path in sorted((ROOT / room).rglob("*.py")) if path.relative_to(ROOT).parts[1] != "tests"]


def imported_names(path: Path) -> set[str]:
    """List what a file imports, inside functions as well: modules, and each name with its module before it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.update((node.module, *(f"{node.module}.{alias.name}" for alias in node.names)))
    return names


def imported_packages(path: Path) -> set[str]:
    """List the packages that a file imports from, inside functions as well."""
    return {name.split(".")[0] for name in imported_names(path)}


def compared_words(source: str) -> set[str]:
    """List the texts that a source compares with, by `==`, `in` and the like, or by `match`."""
    operands: list[ast.AST] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            operands += [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            operands.append(node.value)
        elif isinstance(node, ast.MatchMapping):
            operands += node.keys
    inner = (each for operand in operands for each in ast.walk(operand))
    return {each.value for each in inner if isinstance(each, ast.Constant) and isinstance(each.value, str)}


def modules_of_basec() -> dict[str, Path]:
    """Find the modules of `basec` by their dotted names; packages only hold them together."""
    files = (path for path in (ROOT / "basec").rglob("*.py") if not path.stem.startswith("__"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in files}


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_a_room_imports_only_what_it_may(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    wrong = {
        str(path.relative_to(ROOT)): sorted(found)
        for path in files
        if (found := (imported_packages(path) & ROOMS) - ALLOWED[room] - {room})
    }
    assert wrong == {}


def test_every_room_with_python_is_known() -> None:
    found = {path.parts[len(ROOT.parts)] for path in ROOT.glob("[a-z]*/**/*.py")}
    assert found - {"docs"} <= ROOMS
    assert ROOMS - {"tests"} == set(ALLOWED)


def test_the_local_cloud_names_nothing_of_ours() -> None:
    """Its callers pass their names to it, and its tests run without them."""
    command = ["git", "grep", "-Iil", "basecommerce", "--", "localcloud"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout == ""


def test_topology_never_imports_pulumi() -> None:
    for path in sorted((ROOT / "topology").rglob("*.py")):
        assert "import pulumi" not in path.read_text(), path


def test_the_words_that_rooms_share_import_nothing() -> None:
    nodes = ast.walk(ast.parse((ROOT / "topology/names.py").read_text()))
    assert [ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)] == []


def test_only_topology_knows_droplets_and_roles_by_their_names() -> None:
    """Comments, messages and JSON may have the words; a comparison would pass by a droplet of another name."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    files = [name for name in listed if not name.startswith("topology/") and "tests/" not in name]
    assert {"__main__.py", "basec/main.py"} <= set(files)
    found = {name: words for name in files if (words := compared_words((ROOT / name).read_text()) & DROPLETS_AND_ROLES)}
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        'name == "edge"',
        '"edge" != name',
        'name in ("infra", "edge")',
        '"edge" in names',
        'f(name) if role not in {"edge"} else g(name)',
        'match name:\n    case "infra" | "edge":\n        pass',
        'match document:\n    case {"edge": True}:\n        pass',
    ],
)
def test_a_comparison_with_a_droplets_name_is_seen(source: str) -> None:
    assert "edge" in compared_words(source)


def test_in_basec_a_room_uses_only_the_rooms_before_it() -> None:
    modules = modules_of_basec()
    place = {name: ROOMS_OF_BASEC.index(name.split(".")[1]) for name in modules}
    climbing = {
        name: sorted(above)
        for name, path in modules.items()
        if (above := {used for used in imported_names(path) & set(modules) if place[used] > place[name]})
    }
    assert climbing == {}


def test_in_basec_no_modules_import_each_other_in_a_circle() -> None:
    modules = modules_of_basec()
    TopologicalSorter({name: imported_names(path) & set(modules) for name, path in modules.items()}).prepare()


def test_no_command_of_basec_imports_a_command() -> None:
    """What two of them need is in a room below; only the arguments that they share are beside them."""
    commands = {name: path for name, path in modules_of_basec().items() if name.startswith("basec.commands.")}
    shared = {"basec.commands.arguments"}
    found = {name: imported_names(path) & set(commands) - shared for name, path in commands.items()}
    assert {name: others for name, others in found.items() if others} == {}


def test_basec_shows_its_rooms_and_few_modules_beside_them() -> None:
    assert len(list((ROOT / "basec").glob("*.py"))) <= AT_THE_TOP
    assert {path.name for path in (ROOT / "basec").iterdir() if path.is_dir()} - {"__pycache__"} <= set(ROOMS_OF_BASEC)


@pytest.mark.parametrize("room", sorted(set(ALLOWED) - {"components"}))
def test_a_room_without_components_imports_no_providers_sdk(room: str) -> None:
    """They take seconds; the policy pack is part of every preview, and `basec` loads the program by its file."""
    assert {path.name for path in sources(room) if imported_packages(path) & SDKS} == set()


def test_pulumi_is_imported_by_three_files_of_basec_only() -> None:
    """Everything else must stay out of its way: the SDKs take seconds to import."""
    using = [path.name for path in sorted((ROOT / "basec").rglob("*.py")) if "from pulumi" in path.read_text()]
    assert using == ["operations.py", "program_loading.py", "workspace.py"]


@pytest.mark.parametrize("room", ["basec", "components", "localcloud", "policy", "toolchain", "topology"])
def test_what_operators_run_imports_only_what_their_environment_has(room: str) -> None:
    """`make up` installs requirements.txt alone: what only requirements-dev.txt brings is there in tests, not there."""
    pinned = re.findall(r"^([\w.-]+)(?:\[[\w,]+\])?==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    installed = {_normal(name) for name in pinned}
    owners = importlib.metadata.packages_distributions()
    missing = {
        f"{path.relative_to(ROOT)}: {package}"
        for path in sources(room)
        for package in imported_packages(path) - ROOMS - set(sys.stdlib_module_names)
        if not {_normal(name) for name in owners.get(package, ())} & installed
    }
    assert missing == set()


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
