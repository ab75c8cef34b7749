"""Directories that take seconds to make: each is made once for all workers of a run, and copied for each test.

What is in them names their own place (plugins, state, `cloud.json`), so a copy gets its own path.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

Make = Callable[[Path], None]


def kept(factory: pytest.TempPathFactory, name: str, make: Make) -> Path:
    """Return a directory that `make` fills, the first time that any worker of this run asks for it.

    Whoever gets it may only copy it.
    """
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    place, made = shared / f"kept-{name}", shared / f"kept-{name}.made"
    with (shared / f"kept-{name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(place, ignore_errors=True)  # from a worker that failed here, with the reason
            place.mkdir()
            make(place)
            made.touch()
    return place


def copy(place: Path, target: Path) -> None:
    """Copy a kept directory to another place, and let its files name that one."""
    shutil.copytree(place, target, symlinks=True, dirs_exist_ok=True)
    old, new = str(place).encode(), str(target).encode()
    for path in target.rglob("*"):
        if path.is_symlink():
            link = str(path.readlink())
            if link.startswith(f"{place}/"):
                path.unlink()
                path.symlink_to(link.replace(str(place), str(target), 1))
        elif path.suffix != ".pyc" and path.is_file() and old in (content := path.read_bytes()):
            path.write_bytes(content.replace(old, new))
