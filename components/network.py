"""The stack's private network: one VPC. Firewalls are in `cloud_firewall.py`, addresses come from DigitalOcean.

Source: https://docs.digitalocean.com/products/networking/vpc/details/limits/ (ranges, checked in `topology`).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Self

import pulumi
import pulumi_digitalocean as digitalocean

from components.stack_config import StackConfig


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """`vpc_name` is unique in the account, so it holds the stack's name."""

    vpc_name: str
    region: str
    ip_range: IPv4Network

    @classmethod
    def from_config(cls, config: StackConfig) -> Self:
        """Plan the stack's network."""
        settings = config.project.settings
        return cls(vpc_name=config.project.physical_name("vpc"), region=settings.region, ip_range=settings.vpc_ip_range)


class Network(pulumi.ComponentResource):
    """A VPC in one region. Outputs: `id`, `ip_range`."""

    id: pulumi.Output[str]
    ip_range: pulumi.Output[str]

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("basecommerce:network:Network", name, {}, opts)
        vpc = digitalocean.Vpc(
            f"{name}-vpc",
            name=args.vpc_name,
            region=args.region,
            ip_range=str(args.ip_range),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.id = vpc.id
        self.ip_range = vpc.ip_range
        self.register_outputs({"id": self.id, "ip_range": self.ip_range})
