"""Turns among test runs that go on beside each other: some need the machine's quiet for seconds, others make it busy.

A scan of 65,535 ports loses packets on a busy machine, and a command misses its promised seconds there. `scripts/test`
names the directory of the locks; where none is named, nothing else runs, and nothing waits.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

DIRECTORY = os.environ.get("BASECOMMERCE_TEST_TURNS")
_mine = threading.local()


@contextmanager
def busy() -> Iterator[None]:
    """Do what loads both cores: beside other such work, but not while somebody needs the quiet. May be nested."""
    if getattr(_mine, "has", ""):
        yield
        return
    with ExitStack() as held, _marked("busy"):
        with _lock("gate", fcntl.LOCK_EX):  # whoever waits for the quiet holds it, so that nobody overtakes
            held.enter_context(_lock("machine", fcntl.LOCK_SH))
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Have the machine alone. Raises RuntimeError inside `busy`, which would wait for itself."""
    if getattr(_mine, "has", "") == "busy":
        raise RuntimeError("quiet() inside busy() would never end")
    with _lock("gate", fcntl.LOCK_EX), _lock("machine", fcntl.LOCK_EX), _marked("quiet"):
        yield


@contextmanager
def _marked(what: str) -> Iterator[None]:
    _mine.has = what
    try:
        yield
    finally:
        _mine.has = ""


@contextmanager
def _lock(name: str, kind: int) -> Iterator[None]:
    if DIRECTORY is None:
        yield
        return
    with (Path(DIRECTORY) / name).open("a") as file:
        fcntl.flock(file, kind)
        yield
