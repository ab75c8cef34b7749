"""Who reaches which port: every TCP port from every vantage point equals the inventory's matrix, and stays so."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import pytest

from tests import turns
from tests.e2e import rings, scan
from tests.e2e.exposure import Exposure
from tests.e2e.stack import STACK, TIERS, LocalStack, docker
from tests.e2e.vantage import Vantage, addresses

pytestmark = pytest.mark.real

CONTAINER_NETWORKS = ("172.17.0.0/16", "172.29.0.0/24", "172.30.0.0/24", "172.30.1.0/24", "172.30.2.0/24")


VANTAGES = ("public", "cloudflare", "neighbour", *TIERS)


SCANS_S = 300.0
"""Seconds that all full scans together may take."""
AT_A_TIME = 3
"""Scans beside each other: each of them waits for answers half of its time."""


@dataclass(frozen=True)
class Scans:
    """What was found from each vantage point, and the seconds that all of it took."""

    found: dict[str, Future[set[tuple[str, int]]]]
    seconds: float


@pytest.fixture(scope="module")
def scans(exposure: Exposure) -> Scans:
    """Scan from every vantage point."""
    with turns.quiet(), ThreadPoolExecutor(AT_A_TIME) as pool:
        started = time.monotonic()
        found = {vantage: pool.submit(scan_from, exposure, vantage) for vantage in VANTAGES}
        wait(found.values())
        return Scans(found, time.monotonic() - started)


def scan_from(exposure: Exposure, vantage: str) -> set[tuple[str, int]]:
    """Return the doors that are open to a vantage point. Raises AssertionError when the scan missed its own canary."""
    container, wanted = exposure.containers[vantage], exposure.wanted(vantage)
    own = addresses(exposure.stack, vantage)["vpc"] if vantage in TIERS else _own_address(container)
    hosts = [*exposure.targets(vantage), *(exposure.detours(vantage) if vantage in TIERS else ()), own]
    found: set[tuple[str, int]] = set()
    with scan.canary(container):
        for pace in (scan.BRISK, scan.SURE):
            found |= scan.every_port(container, hosts, pace)
            if wanted | {(own, scan.CANARY_PORT)} <= found:
                break  # else packets were lost: again, more slowly
    assert (own, scan.CANARY_PORT) in found, "the scan did not find its own canary"
    return {pair for pair in found if pair[0] != own}


@pytest.mark.parametrize("vantage", VANTAGES)
def test_every_tcp_port_from_here_equals_the_inventorys_matrix(exposure: Exposure, scans: Scans, vantage: str) -> None:
    assert scans.found[vantage].result() == exposure.wanted(vantage)


def test_all_full_scans_together_took_at_most_five_minutes(scans: Scans) -> None:
    assert set(scans.found) == set(VANTAGES)
    assert scans.seconds < SCANS_S


def _own_address(container: str) -> str:
    return docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container).strip()


def test_nothing_is_published_on_every_address_but_the_edges_web_ports(stack: LocalStack) -> None:
    wide = {
        (droplet, line.split("->")[0].rsplit(":", 1)[1])
        for droplet in TIERS
        for line in stack.inside(droplet, "docker ps --format '{{.Ports}}'").replace(", ", "\n").splitlines()
        if line.startswith(("0.0.0.0:", ":::", "[::]:"))
    }
    assert wide <= {("edge", "80"), ("edge", "443")}


def test_no_droplet_has_an_ipv6_address_or_lets_ipv6_in(stack: LocalStack) -> None:
    for droplet in TIERS:
        assert "inet6" not in stack.inside(droplet, "ip -6 -o address show scope global")
        assert ":INPUT DROP" in stack.inside(droplet, "ip6tables-save --table filter")


@pytest.mark.parametrize(
    "event",
    [
        "ufw reload",
        "systemctl restart docker.service",
        "docker restart $(docker ps -q)",
        "systemctl restart basecommerce-{droplet}.service",
    ],
)
def test_the_matrix_holds_after(exposure: Exposure, event: str) -> None:
    def happen(droplet: str) -> None:
        exposure.stack.inside(droplet, event.format(droplet=droplet))
        exposure.stack.inside(droplet, f"/opt/basecommerce/scripts/release.py start {droplet}")

    with ThreadPoolExecutor(len(TIERS)) as pool:
        list(pool.map(happen, TIERS))
    exposure.holds()
    exposure.stack.basec("firewall", "status", "--env", STACK)


def test_without_the_cloud_firewall_the_droplets_hold_the_matrix_alone(exposure: Exposure) -> None:
    with rings.without_cloud_firewall(exposure.stack):
        exposure.holds()


def test_without_their_own_firewall_the_cloud_firewall_holds_the_matrix_alone(exposure: Exposure) -> None:
    with rings.without_host_firewall(exposure.stack):
        exposure.holds()
    exposure.holds()


def container_doors(stack: LocalStack) -> list[tuple[str, str, int]]:
    """Return droplet, address and port of every container's own listeners."""
    ports = "{{range $port, $_ := .Config.ExposedPorts}}{{$port}} {{end}}"
    form = "{{.Name}} {{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}" + ports
    doors = []
    for droplet in TIERS:
        for line in stack.inside(droplet, f"docker ps -q | xargs docker inspect --format '{form}'").splitlines():
            words = line.split()
            exposed = [int(word.split("/")[0]) for word in words[2:] if word.endswith("/tcp")]
            doors += [(droplet, words[1], port) for port in exposed or [80, 443, 8000, 8001, 5432, 6379]]
    return doors


def route_attack(exposure: Exposure) -> set[tuple[str, int]]:
    """As a neighbour, route the container networks through each droplet, and try every container's port."""
    neighbour, found = exposure.containers["neighbour"], set()
    for droplet in TIERS:
        gateway = addresses(exposure.stack, droplet)["vpc"]
        for network in CONTAINER_NETWORKS:
            scan.in_network_of(neighbour, "ip", "route", "replace", network, "via", gateway)
        pairs = [(a, port) for d, a, port in container_doors(exposure.stack) if d == droplet]
        found |= Vantage(neighbour).open_ports(pairs)
    for network in CONTAINER_NETWORKS:
        scan.in_network_of(neighbour, "ip", "route", "delete", network)
    return found


def works(attack: Callable[[], object]) -> bool:
    """Whether it gets through in one of three tries: a busy machine may not answer within a connect's second."""
    return any(attack() for _ in range(3))


def test_a_neighbour_that_routes_into_the_container_networks_gets_nothing_through_either_ring(
    exposure: Exposure,
) -> None:
    stack = exposure.stack
    assert route_attack(exposure) == set()
    with rings.without_cloud_firewall(stack):
        assert route_attack(exposure) == set()
        with rings.without_host_firewall(stack):
            assert works(lambda: route_attack(exposure)), "with nothing in its way the attack must work"
    with rings.without_host_firewall(stack):
        assert route_attack(exposure) == set()


PORT = 18080
LOOPBACK = "docker run --detach --rm --name loopback-canary --publish 127.0.0.1:18080:8000 {} python3 -m http.server"


def test_a_neighbour_that_aims_at_a_port_published_on_loopback_gets_nothing(exposure: Exposure) -> None:
    stack, neighbour = exposure.stack, exposure.containers["neighbour"]
    gateway = addresses(stack, "vertical")["vpc"]
    shop = stack.serving("vertical", "construction")
    image = stack.inside("vertical", f"docker inspect --format '{{{{.Config.Image}}}}' {shop}").strip()
    stack.inside("vertical", LOOPBACK.format(image))
    try:
        reachable = (
            "curl --silent --output /dev/null --retry 10 --retry-connrefused --max-time 20 http://127.0.0.1:18080/"
        )
        stack.inside("vertical", reachable)
        with rings.without_cloud_firewall(stack):
            # The kernel must be told that 127/8 may leave this namespace, or the packets never go out.
            scan.in_network_of(neighbour, "sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
            scan.in_network_of(neighbour, "ip", "address", "delete", "127.0.0.1/8", "dev", "lo")
            scan.in_network_of(neighbour, "ip", "route", "replace", "127.0.0.1/32", "via", gateway)
            assert "127.0.0.1 via" in scan.in_network_of(neighbour, "ip", "route", "get", "127.0.0.1")
            aimed = [("127.0.0.1", PORT), (gateway, PORT)]
            assert Vantage(neighbour).open_ports(aimed) == set()
            with rings.without_host_firewall(stack):
                assert works(lambda: Vantage(neighbour).open_ports(aimed)), (
                    "with nothing in its way the attack must work"
                )
        with rings.without_host_firewall(stack):
            assert Vantage(neighbour).open_ports(aimed) == set()
    finally:
        stack.inside("vertical", "docker rm --force loopback-canary")
        scan.in_network_of(neighbour, "ip", "route", "delete", "127.0.0.1/32", check=False)
        scan.in_network_of(neighbour, "ip", "address", "add", "127.0.0.1/8", "dev", "lo", check=False)
