"""Fixtures of the program's tests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pulumi
import pytest


@pytest.fixture(scope="session", autouse=True)
def _loop() -> None:
    """Set the event loop that the SDK asks the thread for: an asynchronous test before these has taken it away."""
    asyncio.set_event_loop(asyncio.new_event_loop())


@pytest.fixture(autouse=True)
def _no_leftover_configuration() -> Iterator[None]:
    """Settings of one test never reach the next."""
    yield
    pulumi.runtime.set_all_config({}, [])
