"""What one visitor may take of the edge: bytes, requests at once, requests a second; and who one visitor is."""

from __future__ import annotations

import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.services.nginx_support import CLOUDFLARE, TENANT, Edge, assert_security_headers
from tests.unit.edge_limits import KIB, Location, locations

PATHS = {
    "= /tenant.json": "/tenant.json",
    "/auth/": "/auth/me",
    "/api/": "/api/v1/produtos/",
    "/web/": "/web/dashboard",
    "/web/static/": "/web/static/app.css",
    "/": "/anything",
}
"""A path in each location that asks an application."""
OF_EACH_RATE = ("/tenant.json", "/auth/me", "/api/v1/produtos/", "/web/dashboard")
AT_ONCE = 10
"""Requests of one visitor."""
IPV4 = "198.51.100.7"
PREFIX = "2001:db8:1:2::"


def location(path: str) -> Location:
    (name,) = (name for name, tried in PATHS.items() if tried == path)
    return locations()[name]


def ask_all(edge: Edge, path: str, visitors: Iterable[str], method: str = "GET") -> Counter[int]:
    """Ask once as each visitor, few at a time, and count the statuses."""
    with ThreadPoolExecutor(4) as pool:
        return Counter(
            pool.map(lambda visitor: edge.ask(path, method=method, source=CLOUDFLARE, CF_Connecting_IP=visitor).status,
                     visitors)
        )  # fmt: skip


def test_every_location_that_asks_an_application_is_tried_here() -> None:
    assert {name for name, found in locations().items() if found.application} == set(PATHS)


@pytest.mark.parametrize("path", PATHS.values())
def test_a_body_at_the_locations_limit_passes_and_one_byte_more_is_413(edge: Edge, path: str) -> None:
    limit = location(path).body
    assert edge.ask(path, method="POST", body=b"x" * limit).status == 200
    refused = edge.ask(path, method="POST", Content_Length=str(limit + 1))
    assert refused.status == 413
    assert_security_headers(refused)


@pytest.mark.parametrize("path", ["/health", "/", "/nginx-status", "/web/login"])
def test_a_large_body_is_refused_or_ignored_where_the_edge_answers_itself(edge: Edge, path: str) -> None:
    assert edge.ask(path, method="POST", Content_Length=str(10_000_000)).status in (200, 302, 405, 413)


@pytest.mark.parametrize("path", PATHS.values())
def test_over_the_rate_comes_503_with_the_error_page(edge: Edge, path: str) -> None:
    burst = location(path).burst
    answers = edge.ask_in_one_write(path, burst * 4)
    refused = [answer for answer in answers if answer.status == 503]
    assert len(answers) - len(refused) > burst
    assert refused
    assert "Serviço indisponível".encode() in refused[0].body
    assert_security_headers(refused[0])


@pytest.mark.parametrize("path", ["/auth/me", "/api/v1/produtos/"])
def test_over_the_rate_a_large_body_is_refused_for_the_rate(edge: Edge, path: str) -> None:
    body = b"x" * location(path).body
    with ThreadPoolExecutor(4) as pool:
        asked = pool.map(lambda _: edge.ask(path, method="POST", body=body).status, range(location(path).burst * 3))
    assert set(asked) == {200, 503}


def test_the_rate_limit_is_per_visitor_and_not_per_cloudflare_node(edge: Edge) -> None:
    assert ask_all(edge, "/auth/me", (f"198.51.100.{number}" for number in range(40))) == {200: 40}


@pytest.mark.parametrize("path", OF_EACH_RATE)
def test_sixty_addresses_of_one_64_pass_as_few_requests_as_one_ipv4_address(edge: Edge, path: str) -> None:
    count = location(path).burst * 2
    began = time.monotonic()
    one = ask_all(edge, path, [IPV4] * count)[200]
    of_one_64 = ask_all(edge, path, (f"{PREFIX}{number:x}" for number in range(1, count + 1)))[200]
    refilled = (time.monotonic() - began) * location(path).rate
    assert location(path).burst < of_one_64 < count
    assert abs(of_one_64 - one) <= refilled + 1


@pytest.mark.parametrize(
    ("first", "second", "one_visitor"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:db8::1", "2001:db8:0:0:8000::", True),  # written shorter, within the first half too
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("2001:db8:0:10::1", "2001:db8:0:11::1", False),
        ("2001:db8:1:a00::1", "2001:db8:1:a01::1", False),  # a byte of 0x0a, which a pattern may take for a line's end
        ("2001:db8:1:2::a0a", "2001:db8:1:2::1", True),
        ("198.51.100.7", "198.51.100.8", False),
        ("10.10.10.10", "10.10.10.11", False),
    ],
)
def test_a_visitor_is_an_ipv4_address_or_a_64(edge: Edge, first: str, second: str, one_visitor: bool) -> None:
    path = "/auth/me"
    ask_all(edge, path, [first] * location(path).burst * 3)
    assert (ask_all(edge, path, [second] * 4)[200] < 4) is one_visitor


def holding(edge: Edge, path: str, visitor: str) -> socket.socket:
    """Begin a request with a body and keep its last byte back."""
    held = socket.create_connection(("127.0.0.1", edge.port), 5, (CLOUDFLARE, 0))
    head = f"POST {path} HTTP/1.1\r\nHost: {TENANT}\r\nCF-Connecting-IP: {visitor}\r\nContent-Length: 100\r\n\r\n"
    held.sendall(head.encode() + b"x" * 99)
    return held


@pytest.mark.parametrize("path", PATHS.values())
def test_requests_of_one_visitor_at_once_are_bounded_and_others_are_served(edge: Edge, path: str) -> None:
    share = min(
        location(path).at_once[zone] for zone in ("visitor", "visitor_to_auth") if zone in location(path).at_once
    )
    with ExitStack() as held:
        for number in range(share):
            held.enter_context(holding(edge, path, f"{PREFIX}{number + 1:x}"))
        time.sleep(0.2)
        assert ask_all(edge, path, [f"{PREFIX}ffff"])[503] == 1
        assert ask_all(edge, path, [IPV4])[200] == 1


@pytest.fixture
def greedy(edge: Edge) -> Iterator[Callable[[str, int, int], None]]:
    """Let visitors fill their share with bodies of a size, of which each keeps the last byte back."""
    with ExitStack() as held:

        def fill(path: str, visitors: int, size: int) -> None:
            for number in range(visitors * AT_ONCE):
                connection = socket.create_connection(("127.0.0.1", edge.port), 5, (CLOUDFLARE, 0))
                held.enter_context(connection)
                head = f"POST {path} HTTP/1.1\r\nHost: {TENANT}\r\nCF-Connecting-IP: 203.0.113.{number // AT_ONCE}\r\n"
                connection.sendall(f"{head}Content-Length: {size}\r\n\r\n".encode() + b"x" * (size - 1))

        yield fill


def test_visitors_who_keep_the_largest_bodies_open_leave_room_for_the_others(
    edge: Edge, greedy: Callable[[str, int, int], None]
) -> None:
    greedy("/api/v1/produtos/", 12, 64 * KIB)
    body = b"x" * 60 * KIB
    answer = edge.ask("/api/v1/produtos/", method="POST", body=body, source=CLOUDFLARE, CF_Connecting_IP=IPV4)
    assert answer.status == 200


def test_a_request_counts_until_auth_has_answered_although_its_visitor_is_gone(edge: Edge) -> None:
    """Else whoever hangs up at once would get as many into auth as he likes."""
    for number in range(4):
        gone = socket.create_connection(("127.0.0.1", edge.port), 5, (CLOUDFLARE, 0))
        host = f"Host: {TENANT}\r\nCF-Connecting-IP: {PREFIX}{number:x}"
        gone.sendall(f"GET /auth/slow/1500 HTTP/1.1\r\n{host}\r\n\r\n".encode())
        time.sleep(0.05)
        gone.close()
    time.sleep(0.2)
    assert ask_all(edge, "/auth/me", [f"{PREFIX}ff"])[503] == 1
    time.sleep(1.6)
    assert ask_all(edge, "/auth/me", [f"{PREFIX}ff"])[200] == 1


LOGINS = ("/auth/login", "/auth/login/form", "/auth//login", "/auth/%6cogin/form", "/auth/users")


@pytest.mark.parametrize("path", LOGINS)
def test_one_visitor_gets_few_passwords_checked_and_the_login_page_goes_on(edge: Edge, path: str) -> None:
    began = time.monotonic()
    statuses = ask_all(edge, path, (f"{PREFIX}{number:x}" for number in range(1, 11)), "POST")
    assert set(statuses) == {200, 503}
    assert 5 <= statuses[200] <= 5 + (time.monotonic() - began) * 10 / 60
    assert ask_all(edge, "/auth/login", [f"{PREFIX}1"])[200] == 1


def test_logins_of_all_visitors_wait_for_the_one_cpu(edge: Edge) -> None:
    began = time.monotonic()
    assert ask_all(edge, "/auth/login", (f"198.51.100.{number}" for number in range(10)), "POST") == {200: 10}
    assert 2.5 < time.monotonic() - began < 6, "the first at once, then 3 a second"


def test_the_health_page_is_not_limited(edge: Edge) -> None:
    assert ask_all(edge, "/health", [IPV4] * 200) == {200: 200}


def test_bodies_reach_the_application_with_their_length(edge: Edge) -> None:
    """HAProxy tells large ones by it."""
    connection = socket.create_connection(("127.0.0.1", edge.port), 5)
    with connection:
        head = f"POST /api/v1/produtos/ HTTP/1.1\r\nHost: {TENANT}\r\nTransfer-Encoding: chunked\r\n"
        connection.sendall(f"{head}Connection: close\r\n\r\n".encode() + b"4000\r\n" + b"x" * 0x4000 + b"\r\n0\r\n\r\n")
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    seen = json.loads(answer.partition(b"\r\n\r\n")[2])["headers"]
    assert seen["Content-Length"] == str(0x4000)
