"""Tests that start real servers (nginx, PostgreSQL, Redis), each of its own, on loopback or in its own directory.

Where one is missing, the room is one error and no skip: else a run that has tested nothing of it would pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.services import servers
from tests.services.nginx_support import Edge, application, free_port, running_edge

ROOM = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_make_collect_report(collector: pytest.Collector) -> pytest.CollectReport | None:
    """Print which servers are missing: once for the whole room, or for each file that was asked for by its name."""
    if collector.path != ROOM and not isinstance(collector, pytest.File):
        return None
    if not (missing := servers.missing()):
        return None
    reason = f"{', '.join(missing)}: not on this machine\n{servers.HINT}"
    return pytest.CollectReport(nodeid=collector.nodeid, outcome="failed", longrepr=reason, result=[])


@pytest.fixture(scope="session")
def applications() -> Iterator[dict[str, ThreadingHTTPServer]]:
    stubs = {name: application(name) for name in ("auth", "construction")}
    yield stubs
    for server in stubs.values():
        server.shutdown()
        server.server_close()


@pytest.fixture
def edge(tmp_path: Path, applications: dict[str, ThreadingHTTPServer]) -> Iterator[Edge]:
    """A fresh nginx for each test, since rate limits remember."""
    ports = [server.server_address[1] for server in applications.values()]
    with running_edge(tmp_path, *ports) as edge:
        yield edge


@pytest.fixture
def local_edge(tmp_path: Path, applications: dict[str, ThreadingHTTPServer]) -> Iterator[Edge]:
    """The edge of a local stack, whose domain is localhost."""
    ports = [server.server_address[1] for server in applications.values()]
    with running_edge(tmp_path, *ports, domain="localhost") as edge:
        yield edge


@pytest.fixture
def lonely_edge(tmp_path: Path) -> Iterator[Edge]:
    """nginx with no application behind it."""
    with running_edge(tmp_path, free_port(), free_port()) as edge:
        yield edge
