"""A guard for the rooms whose tests need no Docker: all but two. The conftest.py of the repository has its two hooks.

Docker is one for the whole machine: a test that asks it meets the stack that somebody has up, and passes or fails by
that. So a `docker` that refuses is first on PATH, also while fixtures of any scope are made.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Generator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from basec.io.temporary import temporary_directory

OPEN = ("tests/e2e/", "tests/nightly/")
"""Rooms that may ask for it."""
REFUSED = "docker: refused: this test is of a layer that needs no Docker"
PATCH = pytest.StashKey[pytest.MonkeyPatch]()


@cache
def _directory() -> Path:
    stack = ExitStack()
    directory = stack.enter_context(temporary_directory("basecommerce-no-docker-"))
    atexit.register(stack.close)
    program = directory / "docker"
    # By its full path: a test's programs get an environment of their own.
    program.write_text(f'#!/bin/sh\necho "docker $*" >>{directory}/asked\necho "{REFUSED}" >&2\nexit 1\n')
    program.chmod(0o755)
    return directory


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """Let no test reach Docker but those that are marked `real`, or in a room of stacks."""
    if item.get_closest_marker("real") is None and not item.nodeid.startswith(OPEN):
        patch = item.stash[PATCH] = pytest.MonkeyPatch()
        patch.setenv("PATH", f"{_directory()}:{os.environ['PATH']}")
        # Whoever has a PATH of its own finds the client, and no engine behind it.
        patch.setenv("DOCKER_HOST", f"unix://{_directory()}/no-engine.sock")
    yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Fail a test that asked for Docker, even if its own code forgave the refusal."""
    try:
        yield
    finally:
        if PATCH in item.stash:
            item.stash[PATCH].undo()
    asked = _directory() / "asked"
    if asked.exists():
        text = asked.read_text()
        asked.unlink()
        pytest.fail(f"{REFUSED}\n{text}hint: give the code a host that records, such as FakeHost", pytrace=False)
