"""The watchdog with the waits that are shipped; `make test` shortens them in its copy of the tree."""

from __future__ import annotations

import time

from tests.e2e.resilience.test_4_upkeep import (
    test_a_container_that_stops_serving_is_restarted_and_one_that_was_stopped_is_not as stop_serving,
)
from tests.nightly.runner import Run
from tests.nightly.stack import bring_up


def watchdog(run: Run) -> None:
    """Let one container stop serving, and wait until it was restarted."""
    bring_up(run.stack)
    run.say("up")
    started = time.monotonic()
    stop_serving(run.stack)
    run.notes.keep(restarts=1, green_after_s=round(time.monotonic() - started, 1))
