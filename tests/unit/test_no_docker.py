"""The layers that need no Docker cannot ask for it by mistake, whatever stack is up on this machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.no_docker import OPEN

TESTS = Path(__file__).parents[1]
CONFTEST = "from tests.no_docker import pytest_runtest_setup, pytest_runtest_teardown"
CASES = """
import os, subprocess
import pytest

def ask():
    return subprocess.run(["docker", "ps", "--all"], check=False).returncode

@pytest.fixture(scope="session")
def asked_before():
    ask()

def test_asks_and_forgives():
    assert ask() != 0

def test_has_a_fixture_that_asks(asked_before):
    pass

def test_asks_nobody():
    pass

@pytest.mark.real
def test_is_marked():
    assert "no-docker" not in os.environ["PATH"]
"""


def test_a_test_that_asks_for_docker_fails_with_what_it_asked_unless_it_is_marked(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_cases.py").write_text(CASES)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = real\n")
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "-p", "no:xdist", str(tmp_path)]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(TESTS.parent)}
    said = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False).stdout
    errors = [line for line in said.splitlines() if line.startswith("ERROR")]
    assert [line.split(" - ")[0].split("::")[1] for line in errors] == [
        "test_asks_and_forgives", "test_has_a_fixture_that_asks",
    ]  # fmt: skip
    assert said.count("docker ps --all\nhint: ") == 2
    assert said.splitlines()[-1].startswith("4 passed, 2 errors")


def test_every_test_of_the_repository_has_the_guard_but_two_rooms() -> None:
    assert CONFTEST in (TESTS.parent / "conftest.py").read_text()
    assert OPEN == ("tests/e2e/", "tests/nightly/")
    rooms = {f"{path.relative_to(TESTS.parent)}/" for path in TESTS.iterdir() if any(path.glob("**/*.py"))}
    assert set(OPEN) < rooms
