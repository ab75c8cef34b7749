"""Who reaches which port, seen from outside the droplets and from each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from tests.e2e.stack import TIERS, LocalStack, docker
from tests.e2e.vantage import Vantage, addresses, listening_ports, published_ports, visitor

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def image() -> str:
    names = docker("images", "--format", "{{.Repository}}:{{.Tag}}", "localcloud/base").split()
    assert names, "the base image of the local cloud is not there"
    return names[0]


@pytest.fixture(scope="module")
def every_port(stack: LocalStack) -> dict[str, set[int]]:
    """Of each droplet: every port of the inventory, every listening and every published one."""
    rules = yaml.safe_load((stack.root / "inventory.yaml").read_text())["firewall"]
    named = {int(port) for rule in rules for ports in rule["ports"] for port in str(ports).split("-")}
    return {d: named | listening_ports(stack, d) | published_ports(stack, d) for d in TIERS}


def targets(stack: LocalStack, every_port: dict[str, set[int]], kind: str) -> list[tuple[str, int]]:
    found = [(addresses(stack, d)[kind], port) for d in TIERS for port in sorted(every_port[d])]
    if kind == "public":
        found += [(reserved_address(stack), port) for port in sorted(every_port["edge"])]
    return found


def reserved_address(stack: LocalStack) -> str:
    """The reserved address, as the edge carries it."""
    public = addresses(stack, "edge")["public"]
    lines = stack.inside("edge", "ip -o -4 address show scope global").splitlines()
    prefix = public.rsplit(".", 1)[0]
    found = [line.split()[3].split("/")[0] for line in lines]
    (reserved,) = [address for address in found if address.startswith(prefix) and address != public]
    return reserved


@pytest.fixture(scope="module")
def stranger(stack: LocalStack, image: str) -> Iterator[Vantage]:
    with visitor(stack, "public", image) as vantage:
        yield vantage


@pytest.fixture(scope="module")
def neighbour(stack: LocalStack, image: str) -> Iterator[Vantage]:
    with visitor(stack, "vpc", image) as vantage:
        yield vantage


def test_the_public_network_reaches_ssh_of_the_edge_and_nothing_else(
    stack: LocalStack, stranger: Vantage, every_port: dict[str, set[int]]
) -> None:
    edge = {(addresses(stack, "edge")["public"], 22), (reserved_address(stack), 22)}
    assert stranger.open_ports(targets(stack, every_port, "public")) == edge


def test_the_cloudflare_stand_in_reaches_port_80_of_the_edge(
    stack: LocalStack, every_port: dict[str, set[int]]
) -> None:
    stand_in = Vantage(stack.container("cloudflare"))
    found = stand_in.open_ports(targets(stack, every_port, "public"))
    edge = {addresses(stack, "edge")["public"], reserved_address(stack)}
    assert found == {(address, port) for address in edge for port in (22, 80)}


def test_a_neighbour_in_the_vpc_reaches_nothing(
    stack: LocalStack, neighbour: Vantage, every_port: dict[str, set[int]]
) -> None:
    assert neighbour.open_ports(targets(stack, every_port, "vpc")) == set()


@pytest.mark.parametrize(
    ("source", "reached"),
    [
        ("edge", {("infra", 22), ("infra", 5432), ("vertical", 22), ("vertical", 8000)}),
        ("vertical", {("infra", 5432), ("infra", 6379)}),
        ("infra", set()),
    ],
)
def test_a_droplet_reaches_its_peers_by_the_rule_table_only(
    stack: LocalStack, every_port: dict[str, set[int]], source: str, reached: set[tuple[str, int]]
) -> None:
    others = [(d, port) for d in TIERS if d != source for port in sorted(every_port[d])]
    vantage = Vantage(stack.container(source))
    found = vantage.open_ports([(addresses(stack, d)["vpc"], port) for d, port in others])
    names = {addresses(stack, d)["vpc"]: d for d in TIERS}
    assert {(names[address], port) for address, port in found} == reached


def test_nothing_is_published_on_every_address_but_the_edges_web_port(stack: LocalStack) -> None:
    wide = {
        (droplet, line)
        for droplet in TIERS
        for line in stack.inside(droplet, "docker ps --format '{{.Ports}}'").replace(", ", "\n").splitlines()
        if line.startswith(("0.0.0.0:", ":::", "[::]:"))
    }
    assert {(droplet, line.split("->")[0].rsplit(":", 1)[1]) for droplet, line in wide} <= {("edge", "80")}
