"""Points to look from: containers of the test's own on the stack's two bridges, and the droplets themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network

from tests.e2e.stack import LocalStack, docker

# A port that does not answer within this time is closed to this vantage point: a drop gives no answer at all.
CONNECT_TIMEOUT_S = 1.0

SCAN = """
import concurrent.futures, json, socket, sys
targets, timeout = json.loads(sys.stdin.read()), {timeout}
def answers(target):
    with socket.socket() as s:
        s.settimeout(timeout)
        return s.connect_ex((target[0], target[1])) == 0
with concurrent.futures.ThreadPoolExecutor(256) as pool:
    print(json.dumps([t for t, ok in zip(targets, pool.map(answers, targets)) if ok]))
"""


@dataclass(frozen=True)
class Vantage:
    """A container from which ports are tried."""

    container: str

    def open_ports(self, targets: Sequence[tuple[str, int]]) -> set[tuple[str, int]]:
        """Return the (address, port) pairs that accept a TCP connection from here."""
        script = SCAN.format(timeout=CONNECT_TIMEOUT_S)
        answer = docker("exec", "-i", self.container, "python3", "-c", script, stdin=json.dumps(targets))
        return {(address, port) for address, port in json.loads(answer)}


@contextmanager
def visitor(stack: LocalStack, network: str, image: str) -> Iterator[Vantage]:
    """Put a stranger on one of the stack's bridges, at an address that no droplet is given."""
    subnet = IPv4Network(stack.cloud["public_subnet" if network == "public" else "vpc_range"])
    address = str(subnet.broadcast_address - 1)
    name = stack.container(f"visitor-{network}")
    docker("rm", "--force", name, check=False)
    docker(
        *("run", "--detach", "--name", name, "--label", f"basecommerce.cloud={stack.cloud['name']}"),
        *("--cap-add", "NET_ADMIN", "--network", stack.container(network), "--ip", address, image, "sleep", "3600"),
    )
    try:
        yield Vantage(name)
    finally:
        docker("rm", "--force", name)


def reserved_address(stack: LocalStack) -> str:
    """Return the reserved address, as the edge carries it."""
    public = addresses(stack, "edge")["public"]
    lines = stack.inside("edge", "ip -o -4 address show scope global").splitlines()
    prefix = public.rsplit(".", 1)[0]
    found = [line.split()[3].split("/")[0] for line in lines]
    (reserved,) = [address for address in found if address.startswith(prefix) and address != public]
    return reserved


def addresses(stack: LocalStack, droplet: str) -> Mapping[str, str]:
    """Return a droplet's own addresses by bridge, as Docker set them."""
    found = json.loads(docker("inspect", stack.container(droplet)))[0]["NetworkSettings"]["Networks"]
    return {kind: found[stack.container(kind)]["IPAddress"] for kind in ("public", "vpc")}


def listening_ports(stack: LocalStack, droplet: str) -> set[int]:
    """Every TCP port with a listener in the droplet, whatever address it is bound to."""
    lines = stack.inside(droplet, "ss -Hltn").splitlines()
    return {int(line.split()[3].rsplit(":", 1)[1]) for line in lines}


def published_ports(stack: LocalStack, droplet: str) -> set[int]:
    """Every port that a container of the droplet listens on or publishes."""
    command = "docker ps -q | xargs -r docker inspect --format '{{json .NetworkSettings.Ports}}'"
    ports: set[int] = set()
    for line in stack.inside(droplet, command).splitlines():
        for inner, bindings in (json.loads(line) or {}).items():
            ports.add(int(inner.split("/")[0]))
            ports.update(int(binding["HostPort"]) for binding in bindings or ())
    return ports
