"""What holds for every test of the policy pack."""

from __future__ import annotations

from tests.no_docker import pytest_runtest_setup, pytest_runtest_teardown

__all__ = ["pytest_runtest_setup", "pytest_runtest_teardown"]  # this room needs no Docker
