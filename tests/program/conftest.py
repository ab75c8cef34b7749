"""Fixtures of the program's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pulumi
import pytest


@pytest.fixture(autouse=True)
def _no_leftover_configuration() -> Iterator[None]:
    """Settings of one test never reach the next."""
    yield
    pulumi.runtime.set_all_config({}, [])
