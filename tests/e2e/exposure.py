"""The stack with two strangers in it: which doors are open to whom, compared with the inventory's matrix."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from tests.e2e.matrix import all_ports, matrix
from tests.e2e.stack import TIERS, LocalStack, docker
from tests.e2e.vantage import Vantage, addresses, listening_ports, published_ports, reserved_address, visitor


@dataclass(frozen=True)
class Exposure:
    """The stack with two strangers in it, and how each vantage point sees the droplets."""

    stack: LocalStack
    containers: dict[str, str]
    """Vantage point -> container to look from."""

    def targets(self, vantage: str) -> dict[str, str]:
        """Return the addresses that a vantage point's matrix is about, and whose they are."""
        others = [droplet for droplet in TIERS if droplet != vantage]
        public = {addresses(self.stack, droplet)["public"]: droplet for droplet in others}
        if vantage != "edge":
            public[reserved_address(self.stack)] = "edge"
        private = {addresses(self.stack, droplet)["vpc"]: droplet for droplet in others}
        if vantage in ("public", "cloudflare"):
            return public
        return private

    def detours(self, droplet: str) -> list[str]:
        """Return the public addresses of a droplet's peers: the way there is the internet's: no door is open."""
        peers = [peer for peer in TIERS if peer != droplet]
        reserved = [reserved_address(self.stack)] if droplet != "edge" else []
        return [*(addresses(self.stack, peer)["public"] for peer in peers), *reserved]

    def wanted(self, vantage: str) -> set[tuple[str, int]]:
        """Return the pairs of address and port that the inventory opens to a vantage point."""
        doors = matrix(self.stack.root)[vantage]
        return {(a, port) for a, droplet in self.targets(vantage).items() for d, port in doors if d == droplet}

    def holds(self) -> None:
        """Assert the matrix from every vantage point: the matrix's ports, every listening and every published one."""
        named = all_ports(self.stack.root)

        def tried(droplet: str) -> list[int]:
            found = listening_ports(self.stack, droplet) | published_ports(self.stack, droplet)
            return sorted(named | found)

        def reached(vantage: str) -> set[tuple[str, int]]:
            pairs = [(a, port) for a, droplet in self.targets(vantage).items() for port in ports[droplet]]
            return Vantage(self.containers[vantage]).open_ports(pairs)

        with ThreadPoolExecutor(len(self.containers)) as pool:
            ports = dict(zip(TIERS, pool.map(tried, TIERS), strict=True))
            found = dict(zip(self.containers, pool.map(reached, self.containers), strict=True))
        assert found == {vantage: self.wanted(vantage) for vantage in self.containers}


@contextmanager
def exposed(stack: LocalStack) -> Iterator[Exposure]:
    """Put two strangers on a stack's bridges for an hour at most. Raises AssertionError without their image."""
    names = docker("images", "--format", "{{.Repository}}:{{.Tag}}", "localcloud/base").split()
    assert names, "the base image of the local cloud is not there"
    with visitor(stack, "public", names[0]) as stranger, visitor(stack, "vpc", names[0]) as neighbour:
        own = {tier: stack.container(tier) for tier in TIERS}
        points = {"public": stranger.container, "cloudflare": stack.container("cloudflare")}
        yield Exposure(stack, {**points, "neighbour": neighbour.container, **own})
