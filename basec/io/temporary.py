"""Temporary directories that are always removed: what a killed run left, the next one removes."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def temporary_directory(prefix: str) -> Iterator[Path]:
    """Yield an empty private directory (0700), removed at the end; first, remove those whose owner is dead.

    The owner holds a lock on the directory itself, which the kernel releases when it dies, for any reason.
    """
    _sweep(prefix)
    path, lock = _locked(prefix)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _locked(prefix: str) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix))
        with suppress(OSError):  # removed by another run just before the lock
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            if _take(lock) and path.exists():
                return path, lock
            os.close(lock)


def _sweep(prefix: str) -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        try:
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # a file, a link, another user's, or already gone
            continue
        try:
            if os.fstat(lock).st_uid == os.geteuid() and _take(lock):
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(lock)


def _take(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
