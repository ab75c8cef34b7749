"""Temporary directories: gone with the run, and what a killed run left goes with the next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from basec.io.temporary import temporary_directory
from tests.cli.conftest import REPOSITORY

PREFIX = "basec-dry-"
OWNER = f"""
from basec.io.temporary import temporary_directory
with temporary_directory({PREFIX!r}) as directory:
    (directory / "ciphertext").write_text("v1:...")
    print(directory, flush=True)
    input()
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@contextmanager
def _owner() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another run, in the middle of its work."""
    command = [sys.executable, "-c", OWNER]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


def test_the_directory_is_private_and_gone_in_the_end() -> None:
    with temporary_directory(PREFIX) as directory:
        assert directory.stat().st_mode & 0o777 == 0o700
        (directory / "plan.json").touch()
    assert not directory.exists()


def test_what_a_killed_run_left_goes_with_the_next(place: Path) -> None:
    with _owner() as (process, left):
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (left / "ciphertext").exists()
    with temporary_directory(PREFIX) as directory:
        assert list(place.iterdir()) == [directory]


def test_the_directory_of_a_run_that_lives_stays() -> None:
    with _owner() as (_, theirs), temporary_directory(PREFIX):
        assert (theirs / "ciphertext").exists()


def test_nothing_but_own_directories_of_that_name_is_removed(place: Path) -> None:
    (place / "elsewhere").mkdir()
    (place / f"{PREFIX}link").symlink_to(place / "elsewhere")
    (place / f"{PREFIX}file").touch()
    (place / "basec-plan-x").mkdir()
    (place / f"{PREFIX}theirs").mkdir()
    if os.geteuid() == 0:
        os.chown(place / f"{PREFIX}theirs", 12345, 12345)
    else:
        (place / f"{PREFIX}theirs").rmdir()
    before = set(place.iterdir())
    with temporary_directory(PREFIX) as directory:
        assert set(place.iterdir()) == before | {directory}
