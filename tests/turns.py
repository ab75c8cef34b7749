"""Turns among test runs that go on beside each other: some make the machine busy, others need its quiet for seconds.

Two at a time may load it, one for each core of the smallest machine. A scan of 65,535 ports loses packets on a busy
machine, and a command misses its promised seconds there. `scripts/test` names the directory of the locks; where none is
named, nothing else runs, and nothing waits.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

DIRECTORY = os.environ.get("BASECOMMERCE_TEST_TURNS")
PLACES = ("place-1", "place-2")
LOOK_S = 0.05
_mine = threading.local()


@contextmanager
def busy() -> Iterator[None]:
    """Do what loads the cores, in one of two places. May be nested."""
    if getattr(_mine, "has", ""):
        yield
        return
    with ExitStack() as place, _marked("busy"):
        with _lock("gate"):  # who waits holds it, so that nobody overtakes
            while not any(_taken(place, name) for name in PLACES):
                time.sleep(LOOK_S)
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Have the machine alone. Raises RuntimeError inside `busy`, which would wait for itself."""
    if getattr(_mine, "has", "") == "busy":
        raise RuntimeError("quiet() inside busy() would never end")
    with _lock("gate"), _lock(PLACES[0]), _lock(PLACES[1]), _marked("quiet"):
        yield


@contextmanager
def _marked(what: str) -> Iterator[None]:
    _mine.has = what
    try:
        yield
    finally:
        _mine.has = ""


@contextmanager
def _lock(name: str, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    if DIRECTORY is None:
        yield
        return
    with (Path(DIRECTORY) / name).open("a") as file:
        fcntl.flock(file, how)
        yield


def _taken(until: ExitStack, name: str) -> bool:
    """Take a place, if it is free, until the end of `until`."""
    try:
        until.enter_context(_lock(name, fcntl.LOCK_EX | fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
