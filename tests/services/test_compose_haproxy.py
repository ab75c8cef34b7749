"""The vertical's HAProxy, really run with the shipped configuration: how much construction works at, and who waits."""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.services.haproxy_support import running
from tests.unit.edge_limits import COMPOSE, KIB, lanes, locations
from tests.unit.release_support import colours

OTHER = "198.51.100.7"
PREFIX = "2001:db8:1:2::"
WORK_S = 0.2
"""How long construction takes for each request here."""
DEADLINE_S = 5.0


@dataclass
class Construction:
    """A stand-in that counts the requests it works at, and notes in which order they came."""

    port: int = 0
    health_s: float = 0.0
    now: Counter[str] = field(default_factory=Counter)
    most: Counter[str] = field(default_factory=Counter)
    came: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def works(self, kind: str, visitor: str) -> None:
        with self.lock:
            self.came.append(visitor)
            self.now[kind] += 1
            self.most[kind] = max(self.most[kind], self.now[kind])
        time.sleep(WORK_S)
        with self.lock:
            self.now[kind] -= 1


def serve(application: Construction) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(size)
            if self.path == "/health" and self.headers["Host"] == "construction":
                time.sleep(application.health_s)  # HAProxy's own check
            else:
                application.works("large" if size > 8 * KIB else "small", self.headers.get("X-Real-IP", ""))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET  # noqa: N815 - the name that http.server looks up

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as in the base class
            """Stays silent."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    application.port = server.server_address[1]
    return server


@pytest.fixture
def construction() -> Iterator[Construction]:
    application = Construction()
    server = serve(application)
    yield application
    server.shutdown()
    server.server_close()


@pytest.fixture
def port(tmp_path: Path, construction: Construction) -> Iterator[int]:
    with running(tmp_path, {"blue": construction.port}, "blue") as haproxy:
        yield haproxy.port


def ask(port: int, visitor: str = "", body: int = 0, path: str = "/web/dashboard") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = {"Host": "acme.example", **({"X-Real-IP": visitor} if visitor else {})}
        connection.request("POST" if body else "GET", path, b"x" * body or None, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_construction_works_at_few_requests_at_once_and_the_rest_wait(port: int, construction: Construction) -> None:
    with ThreadPoolExecutor(40) as pool:
        assert Counter(pool.map(lambda number: ask(port, f"198.51.100.{number}"), range(40))) == {200: 40}
    assert construction.most == {"small": lanes()["construction"]}


def test_few_of_them_have_a_large_body_and_those_without_do_not_wait_for_them(
    port: int, construction: Construction
) -> None:
    largest = locations()["/api/"].body
    with ThreadPoolExecutor(12) as pool:
        large = [pool.submit(ask, port, f"198.51.100.{number}", largest) for number in range(8)]
        time.sleep(WORK_S / 2)
        began = time.monotonic()
        assert ask(port, OTHER, 8 * KIB) == 200
        assert time.monotonic() - began < 2 * WORK_S
        assert [asked.result() for asked in large] == [200] * 8
    assert construction.most == {"small": 1, "large": lanes()["construction_large"]}


@pytest.mark.parametrize(("body", "said"), [(0, None), (8 * KIB, None), (8 * KIB + 1, "close"), (64 * KIB, "close")])
def test_after_a_large_body_the_edge_cannot_ask_anything_on_that_connection(
    port: int, body: int, said: str | None
) -> None:
    """HAProxy 3.0.11 may leave the last of it unread; `tests/e2e/resilience/test_4_limits.py` has such bodies."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)) as edge:
        edge.request("POST" if body else "GET", "/web/dashboard", b"x" * body or None, {"Host": "acme.example"})
        answer = edge.getresponse()
        assert (answer.status, answer.getheader("Connection")) == (200, said)


@pytest.mark.parametrize("greedy", [["203.0.113.9"], [f"{PREFIX}{number:x}" for number in range(1, 61)]])
@pytest.mark.parametrize("other", [OTHER, "2001:db8:1:3::1", ""], ids=["IPv4", "IPv6", "the container's own check"])
def test_who_asks_little_is_served_before_what_a_greedy_visitor_has_waiting(
    port: int, construction: Construction, greedy: list[str], other: str
) -> None:
    with ThreadPoolExecutor(60) as pool:
        asked = [pool.submit(ask, port, greedy[number % len(greedy)]) for number in range(60)]
        time.sleep(WORK_S / 2)
        assert ask(port, other) == 200
        assert [one.result() for one in asked] == [200] * 60
    assert construction.came.index(other) <= 2 * lanes()["construction"]


def test_a_construction_that_answers_its_check_late_is_not_taken_for_dead(
    port: int, construction: Construction
) -> None:
    construction.health_s = 0.25  # of 0.4 s; a check alone would give up after its interval
    until = time.monotonic() + 2
    while time.monotonic() < until:
        assert ask(port, OTHER) == 200


@pytest.mark.parametrize(("tier", "service"), [("vertical", "construction"), ("edge", "auth")])
@pytest.mark.parametrize("colour", ["blue", "green"])
def test_the_configuration_is_good_without_a_warning(tmp_path: Path, tier: str, service: str, colour: str) -> None:
    colours.Choices(tmp_path / "colours.cfg").write({service: colour})
    command = ("haproxy", "-c", "-f", tmp_path / "colours.cfg", "-f", COMPOSE / tier / "haproxy/haproxy.cfg")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
