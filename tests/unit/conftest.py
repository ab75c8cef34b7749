"""Droplets for the tests of the release script (directories with a recording docker on PATH), and the edge's nginx."""

from __future__ import annotations

import os
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.no_docker import pytest_runtest_setup, pytest_runtest_teardown
from tests.unit.nginx_support import Edge, application, free_port, running_edge
from tests.unit.release_support import Droplet, make_droplet

__all__ = ["pytest_runtest_setup", "pytest_runtest_teardown"]  # this room needs no Docker


@pytest.fixture
def vertical(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Droplet:
    return make_droplet(tmp_path, "vertical", monkeypatch)


@pytest.fixture
def infra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Droplet:
    droplet = make_droplet(tmp_path, "infra", monkeypatch)
    monkeypatch.setattr(Path, "is_mount", lambda path: path == droplet.paths.data)
    monkeypatch.setattr(os, "chown", lambda *_: None)
    return droplet


@pytest.fixture(scope="session")
def applications() -> Iterator[dict[str, ThreadingHTTPServer]]:
    servers = {name: application(name) for name in ("auth", "construction")}
    yield servers
    for server in servers.values():
        server.shutdown()
        server.server_close()


@pytest.fixture
def edge(tmp_path: Path, applications: dict[str, ThreadingHTTPServer]) -> Iterator[Edge]:
    """A fresh nginx for each test, since rate limits remember."""
    ports = [server.server_address[1] for server in applications.values()]
    with running_edge(tmp_path, *ports) as edge:
        yield edge


@pytest.fixture
def lonely_edge(tmp_path: Path) -> Iterator[Edge]:
    """nginx with no application behind it."""
    with running_edge(tmp_path, free_port(), free_port()) as edge:
        yield edge
