"""The two rings of the firewall, taken away one at a time: what remains must hold alone."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from localcloud.digitalocean.real.packet_filter import prefix
from tests.e2e.stack import STACK, TIERS, LocalStack

CLOUD_CHAINS = ("forward", "output")


@contextmanager
def without_cloud_firewall(stack: LocalStack) -> Iterator[None]:
    """Let everything pass the cloud firewall of this stack alone.

    ACCEPT, not RETURN: Docker's own isolation of the VPC's bridge comes next on this machine, and a real VPC has none.
    """
    chains = [f"{prefix(stack.cloud['name'])}-{end}" for end in CLOUD_CHAINS]
    done = []
    try:
        for chain in chains:
            subprocess.run(["iptables", "-w", "-I", chain, "-j", "ACCEPT"], check=True)
            done.append(chain)
        yield
    finally:
        for chain in done:
            subprocess.run(["iptables", "-w", "-D", chain, "-j", "ACCEPT"], check=True)


@contextmanager
def without_host_firewall(stack: LocalStack) -> Iterator[None]:
    """Switch UFW off and empty Docker's user chain on all droplets; bring both back as `basec` does."""
    try:
        for droplet in TIERS:
            stack.inside(droplet, "ufw disable && iptables -F DOCKER-USER && iptables -P INPUT ACCEPT")
        yield
    finally:
        for droplet in TIERS:
            stack.inside(droplet, "ufw --force enable")
            stack.basec("firewall", "apply", droplet, "--env", STACK)
