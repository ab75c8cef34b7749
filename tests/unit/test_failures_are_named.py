"""A long test run reports a failure when it happens."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

CASES = """
import time

def test_fails():
    assert 1 == 2, "one is not two"

def test_comes_later():
    print("later")
    time.sleep(0.1)
"""


def test_a_failure_is_named_with_its_reason_before_the_next_test_ends(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).parents[2] / "conftest.py", tmp_path)
    (tmp_path / "test_cases.py").write_text(CASES)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    named = said.index("call failed: test_cases.py::test_fails: AssertionError: one is not two")
    assert said[:named].strip() == "F"
    assert said[named:].splitlines()[1].startswith("."), "the next test's dot comes after it"
