"""Body limit x measured blow-up x requests at once fits the memory, by the figures of the shipped files and the ADR."""

from __future__ import annotations

import re

import pytest

from tests.unit import edge_limits
from tests.unit.edge_limits import (
    BLOW_UP,
    CPU_S,
    IDLE_MIB,
    KIB,
    MIB,
    PASSWORD_S,
    TIERS,
    lanes,
    locations,
    nginx,
    rates,
    said,
    service,
    size,
    tmpfs,
)

VISITORS = 12
"""Who take all they may and leave room for others: ten addresses and two /64."""
POOL, THREADS = 15, 40
"""Database connections and threads of a reference application: SQLAlchemy's and anyio's defaults."""
STALL_S = 1.0
"""Longest time in which one request may keep construction from answering; its health checks wait four times as long."""
LARGE = 8 * KIB
TLS_CONNECTION = 27 * KIB
"""Memory of nginx for each, measured with 600 of them; 8 MiB without any."""


def asking(application: str) -> dict[str, edge_limits.Location]:
    return {name: found for name, found in locations().items() if found.application == application}


def most(application: str, zone: str) -> int:
    """Return the one figure of a zone that all locations of an application name. Raises ValueError if they differ."""
    (figure,) = {found.at_once[zone] for found in asking(application).values()}
    return figure


def room(application: str) -> float:
    """Return the bytes that a service has for requests: without its idle self and full files in memory."""
    found = service(TIERS[application], application)
    return size(found["mem_limit"]) - IDLE_MIB[application] * MIB - tmpfs(TIERS[application], application)


def test_the_worst_bodies_that_auth_is_given_at_once_fit_its_memory() -> None:
    body = max(found.body for found in asking("auth").values())
    assert most("auth", "to_auth") * body * BLOW_UP["auth"] <= room("auth")


def test_the_worst_bodies_that_construction_is_given_at_once_fit_its_memory() -> None:
    body = max(found.body for found in asking("construction").values())
    small, large = lanes()["construction"] * LARGE, lanes()["construction_large"] * body
    assert (small + large) * BLOW_UP["construction"] <= room("construction")


def test_haproxy_tells_large_bodies_where_this_sum_does() -> None:
    assert f"use_backend construction_large if {{ req.body_size gt {LARGE} }}" in edge_limits.haproxy()


@pytest.mark.parametrize("application", TIERS)
def test_one_body_stalls_its_application_for_a_second_at_most(application: str) -> None:
    body = max(found.body for found in asking(application).values())
    assert body / MIB * CPU_S[application] <= STALL_S


def test_no_request_waits_for_a_database_connection_whose_holder_waits_for_a_thread() -> None:
    assert most("auth", "to_auth") < POOL + THREADS
    assert sum(lanes().values()) < POOL


def test_bodies_that_wait_in_nginx_fit_the_place_they_have() -> None:
    body = max(found.body for found in asking("construction").values())
    assert most("construction", "to_construction") * body <= tmpfs("edge", "nginx")
    assert max(found.body for found in asking("auth").values()) <= 16 * KIB, "these never leave a request's own buffer"


def test_nginx_fits_its_memory_with_every_connection_in_use() -> None:
    zones = sum(size(found[1]) for found in re.finditer(r"(?:zone=\w+|shared:tls):(\w+)", nginx()))
    requests = most("auth", "to_auth") + most("construction", "to_construction")
    buffers = 16 * KIB + 4 * KIB + 8 * 16 * KIB  # a body's, and an answer's of /api/, which are the largest
    connections = int(said(nginx(), "worker_connections")) * TLS_CONNECTION
    used = 8 * MIB + tmpfs("edge", "nginx") + zones + requests * buffers + connections
    assert used <= size(service("edge", "nginx")["mem_limit"])


def test_haproxy_has_a_connection_for_each_request_that_nginx_passes() -> None:
    kept = re.search(r"upstream construction \{[^}]*keepalive (\d+);", nginx())
    found = re.search(r"^ {4}maxconn (\d+)$", edge_limits.haproxy(), re.MULTILINE)
    assert kept
    assert found
    assert most("construction", "to_construction") + int(kept[1]) < int(found[1])


def test_twelve_visitors_who_take_all_they_may_leave_room_for_others() -> None:
    assert VISITORS * most("auth", "visitor_to_auth") < most("auth", "to_auth")
    assert VISITORS * most("construction", "visitor") < most("construction", "to_construction")
    bursts = locations()["/auth/"].bursts
    assert VISITORS * (1 + bursts["hash"]) <= bursts["hashes"]
    assert VISITORS * rates()["hash"] < rates()["hashes"]


def test_all_passwords_that_are_checked_leave_a_fifth_of_the_one_cpu() -> None:
    assert rates()["hashes"] * PASSWORD_S <= 0.8


@pytest.mark.parametrize(
    ("tier", "proxy", "application"),
    [("edge", "nginx", "auth"), ("edge", "haproxy", "auth"), ("vertical", "haproxy", "construction")],
)
def test_proxies_have_more_cpu_weight_than_applications(tier: str, proxy: str, application: str) -> None:
    assert service(tier, proxy)["cpu_shares"] >= 4 * service(tier, application)["cpu_shares"]


def test_every_location_that_asks_an_application_has_all_its_limits() -> None:
    """One that names a `limit_conn` inherits none; one that names no `limit_req` has none."""
    for name, found in locations().items():
        if found.application:
            shares = {"auth": {"visitor_to_auth", "to_auth"}, "construction": {"to_construction"}}[found.application]
            assert set(found.at_once) == {"visitor"} | shares, name
            assert found.rate, name


def test_every_limit_but_those_of_all_counts_visitors_and_not_addresses() -> None:
    keys = re.findall(r"limit_(?:req|conn)_zone (\S+) ", nginx())
    assert set(keys) == {"$visitor", "$hash_visitor", "$hash_of_all", '"all"'}
