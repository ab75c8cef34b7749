"""The arguments of every process on the machine, collected while something runs."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SAMPLE_S = 0.02
"""Seconds between two looks at every process's arguments: 50 a second."""
LEAST_SAMPLES_A_SECOND = 5


class Watch(threading.Thread):
    """Collects arguments, those of processes in the droplets among them, while it runs."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: set[bytes] = set()
        self.samples = 0
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            for process in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):  # it has ended
                    self.seen.add((process / "cmdline").read_bytes())
            self.samples += 1
            time.sleep(SAMPLE_S)

    @property
    def arguments(self) -> bytes:
        return b"\n".join(self.seen)

    def finish(self) -> None:
        self._over.set()
        self.join()


@contextmanager
def watched() -> Iterator[Watch]:
    """Watch while the block runs. Raises AssertionError when there were too few looks to have seen anything."""
    watch, started = Watch(), time.monotonic()
    watch.start()
    try:
        yield watch
    finally:
        watch.finish()
    assert watch.samples / (time.monotonic() - started) > LEAST_SAMPLES_A_SECOND, "too few looks"
