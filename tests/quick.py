"""The checks, and the tests of what changed against `main`, in seconds: `make quick`. `make unit` is the proof.

A test file is chosen when it changed or has the name of a changed module, and when it, or a file beside tests that it
uses, imports a changed module or names a changed file. Imports among modules are not followed, else nearly every test
would be chosen each time; but where no test knows a module, those of its users do. The modules that name a changed data
file count as changed. The nearest tests run first.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[1]
BRANCH = "main"
ROOMS = ("tests/unit/", "tests/program/", "tests/policy/", "tests/cli/", "localcloud/tests/")
TESTS = ("tests/", "localcloud/tests/")
MARKERS = "not engine and not real and not linters"
OTHER_LAYER = re.compile(r"^pytestmark = pytest\.mark\.(engine|real|linters)$", re.MULTILINE)
LIMIT_S, LEAST_S = 9, 4
"""No test begins later, so all takes less than 15 seconds with `make`; a busy machine gives tests their least, too."""

FIXTURE = re.compile(r"^@pytest\.fixture.*\n(?:async )?def (\w+)", re.MULTILINE)
SHELL = re.compile(rb"#!(/bin/|/usr/bin/env )(ba)?sh\b")
TEXT = re.compile(r'(ROOT / |__file__\)(?:\.resolve\(\))?\.parent / |/ )?f?"([^"\s]+)"')
JOINED = re.compile(r'"\s*/\s*f?"')
JOINED_BY_NAME = re.compile(r'"\s*/\s*[\w.]+\s*/\s*f?"')
PATTERN = re.compile(r"[\w-]{3}|\*\.\w+$")
"""How patterns of file names begin; a text with a star in it may be anything else."""


@dataclass(frozen=True)
class Source:
    """What one Python file says of other files; `roots` are the directories that imports start from."""

    path: str
    text: str
    roots: Sequence[str] = ("",)

    @cached_property
    def imports(self) -> frozenset[str]:
        """The paths that its imports may mean, whether there is such a file or not: a deleted module is a change."""
        names: set[str] = set()
        try:
            nodes = list(ast.walk(ast.parse(self.text)))
        except SyntaxError:  # the linter, which runs beside, says where
            return frozenset()
        for node in nodes:
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                package = PurePosixPath(self.path).parts[: -node.level] if node.level else ()
                module = ".".join((*package, *([node.module] if node.module else [])))
                names.update((module, *(f"{module}.{alias.name}" for alias in node.names)))
        modules = [root + name.replace(".", "/") for root in self.roots for name in names]
        return frozenset(path for module in modules for path in (f"{module}.py", f"{module}/__init__.py"))

    @cached_property
    def words(self) -> frozenset[str]:
        """All words of the text: the fixtures that a test asks for are among them."""
        return frozenset(re.findall(r"\w+", self.text))

    @cached_property
    def fixtures(self) -> frozenset[str]:
        """The names of the fixtures that it makes."""
        return frozenset(FIXTURE.findall(self.text))

    @cached_property
    def _texts(self) -> list[tuple[str, str]]:
        joined = JOINED_BY_NAME.sub("/*/", JOINED.sub("/", self.text))
        found = [(before, re.sub(r"\{[^}]*\}", "*", text)) for before, text in TEXT.findall(joined)]
        folder = PurePosixPath(self.path).parent
        return [("ROOT / ", str(folder / text)) if "__file__" in before else (before, text) for before, text in found]

    def names(self, path: str) -> bool:
        """Whether one of its texts is the file's path, the end of it, a pattern of it or one of its directories."""
        return any(_means(before, text, path) for before, text in self._texts)


def _means(before: str, text: str, path: str) -> bool:
    if "*" in text:
        # A bare pattern is of a file's name, and `*.md` of files at the root: whoever looks deeper names a directory.
        bare, deep = "/" not in text, not text.startswith("*")
        name = PurePosixPath(path).name if bare and deep else path
        return bool(PATTERN.match(text)) and (deep or "/" not in path) and fnmatchcase(name, text.replace("**/", "*"))
    if path == text or ((before or "/" in text) and path.startswith(f"{text}/")):
        return True
    return before != "ROOT / " and path.endswith(f"/{text}") and ("." in text or "/" in text)


def read(root: Path) -> dict[str, Source]:
    """Read the Python files of the repository, by their paths."""
    settings = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["mypy"]["mypy_path"]
    roots = [f"{entry}/".removeprefix("$MYPY_CONFIG_FILE_DIR/") for entry in settings]
    names = [name for name in _git(root, "ls-files", "-co", "--exclude-standard", "*.py") if (root / name).is_file()]
    return {name: Source(name, (root / name).read_text(), roots) for name in names}


def quick_tests(sources: Mapping[str, Source]) -> list[str]:
    """List the test files of the quick layer: those that need neither engine, servers nor Docker."""
    found = [name for name in sources if name.startswith(ROOMS) and PurePosixPath(name).name.startswith("test_")]
    return [name for name in found if not OTHER_LAYER.search(sources[name].text)]


def choose(sources: Mapping[str, Source], changed: set[str]) -> list[str]:
    """Return the test files for these changes, the nearest first."""
    near: dict[str, int] = {}
    for name in changed:
        for test, distance in _near(sources, name).items():
            near[test] = min(distance, near.get(test, distance))
    stems = [PurePosixPath(name).stem for name in changed]
    return sorted(
        near, key=lambda test: (near[test], not any(stem in PurePosixPath(test).stem for stem in stems), test)
    )


def _near(sources: Mapping[str, Source], changed: str) -> Mapping[str, int]:
    """Return the test files for a change by distance. The users of a module that no test knows stand for it."""
    modules = {changed}
    if not changed.endswith(".py"):
        modules |= {name for name in sources if not name.startswith(TESTS) and sources[name].names(changed)}
    while True:
        tests = quick_tests(sources)
        distances = {test: _distance(sources, test, changed, modules) for test in tests}
        folder = PurePosixPath(changed).parts[0].replace("-", "_")
        if len(own := [test for test in tests if f"_{folder}." in test or f"_{folder}_" in test]) == 1:
            distances[own[0]] = 1  # the one test of a folder, such as `cloud-init`, is the nearest to its files
        if found := {test: distance for test, distance in distances.items() if distance}:
            return found
        users = {name for name in sources if not name.startswith(TESTS) and sources[name].imports & modules}
        if users <= modules:
            return {}
        modules |= users


def _distance(sources: Mapping[str, Source], test: str, changed: str, modules: set[str]) -> int:
    """Return how many files beside tests there are from a test to a change, 0 if there is no way."""
    module = changed.endswith(".py") and f"_{PurePosixPath(changed).stem}_" in f"{PurePosixPath(test).stem}_"
    if test == changed or module:
        return 1
    waiting, seen = [(test, 2)], set[str]()
    for folder in PurePosixPath(test).parents:
        fixtures = sources.get(f"{folder}/conftest.py")
        if fixtures and ("autouse=True" in fixtures.text or fixtures.fixtures & sources[test].words):
            waiting.append((fixtures.path, 3))
    for name, distance in waiting:
        if name in seen or name not in sources:
            continue
        seen.add(name)
        source = sources[name]
        if name == changed or source.imports & modules or source.names(changed):
            return distance
        waiting += [(path, distance + 1) for path in source.imports if path.startswith(TESTS)]
    return 0


def changed_files(root: Path) -> set[str]:
    """List what differs from `main`: commits, work tree and new files; on a clean `main` its last commit."""
    base = _git(root, "merge-base", BRANCH, "HEAD")[0]
    found = {*_git(root, "diff", "--name-only", base), *_git(root, "ls-files", "-o", "--exclude-standard")}
    return found or set(_git(root, "show", "--format=", "--name-only", "--first-parent", "-m", "HEAD"))


def _git(root: Path, *arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=root, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()


class Budget:
    """Runs tests, but begins none after `end` (of the monotonic clock) or their least; a plugin of pytest."""

    def __init__(self, end: float, least_s: float = LEAST_S) -> None:
        self._end, self._least_s = end, least_s
        self.left = 0

    def run(self, tests: Sequence[str]) -> bool:
        """Return whether all that ran have passed."""
        code = pytest.main(["-q", "-m", MARKERS, *tests], plugins=[self])
        return code in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED) or self._stopped(code)

    def _stopped(self, code: int) -> bool:
        return code == pytest.ExitCode.INTERRUPTED and self.left > 0 and self._session.testsfailed == 0

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._session, self.left = session, len(session.items)
        self._end = max(self._end, time.monotonic() + self._least_s)

    def pytest_runtest_logfinish(self) -> None:
        self.left -= 1
        if self.left and time.monotonic() > self._end:
            self._session.shouldstop = "the time is over"


def start_checks(root: Path, changed: set[str]) -> dict[str, subprocess.Popen[str]]:
    """Start the static checks beside one another; those of the shell are of changed files only."""
    files = [path for name in sorted(changed) if (path := root / name).is_file()]
    scripts = [str(path) for path in files if path.suffix == ".sh" or SHELL.match(path.read_bytes()[:32])]
    commands = {
        "ruff format": ["ruff", "format", "--check", "."],
        "ruff check": ["ruff", "check", "."],
        "mypy": ["mypy", "--strict", "."],
        **({"shellcheck": ["shellcheck", *scripts]} if scripts else {}),
    }
    return {
        name: subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for name, command in commands.items()
    }


def main() -> int:
    """Run the checks and the chosen tests. Ends with 1 if one of them fails."""
    begun = time.monotonic()
    changed = changed_files(ROOT)
    checks = start_checks(ROOT, changed)
    sources = read(ROOT)
    chosen, there = choose(sources, changed), len(quick_tests(sources))
    print(
        f"quick: {len(changed)} changed files, {len(chosen)} of {there} test files; the others: make unit", flush=True
    )
    for test in chosen:
        print(f"  {test}", flush=True)
    budget = Budget(begun + LIMIT_S)
    failed = [] if not chosen or budget.run(chosen) else ["tests"]
    for name, process in checks.items():
        output, _ = process.communicate()
        if process.returncode != 0:
            print(f"== {name}\n{output}", flush=True)
            failed.append(name)
    if budget.left:
        print(f"quick: the time was over before {budget.left} tests of the chosen files began: make unit")
    print(f"quick: {'FAILED: ' if failed else 'passed'}{', '.join(failed)} in {time.monotonic() - begun:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
