"""Whether port 80 of the edge serves the shop, or only its health and a redirect to https.

A component of its own, since it must change at another time than the tier: after the zone has begun to use https to the
edge, or before it ends that. In between both ports serve, so a switch in either direction loses no request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import pulumi

from components.machine import Machine
from components.remote import command, read_script
from components.stack_config import StackConfig

SETTLE_S = 30
"""Seconds that Cloudflare's machines get to learn a changed setting; it promises no figure, and speaks of seconds.
Source: https://blog.cloudflare.com/introducing-quicksilver-configuration-distribution-at-internet-scale/"""


@dataclass(frozen=True, kw_only=True)
class OriginHttpArgs:
    """`serves`: whether port 80 serves the shop."""

    machine: Machine
    serves: bool

    @classmethod
    def from_config(cls, config: StackConfig, machine: Machine) -> Self:
        """Plan port 80 for the stack's mode of TLS."""
        return cls(machine=machine, serves=config.serves_plain_http)


class OriginHttp(pulumi.ComponentResource):
    """The state of port 80. Outputs: `serves`, once that state is reached."""

    serves: pulumi.Output[bool]

    def __init__(self, name: str, args: OriginHttpArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("basecommerce:tls:OriginHttp", name, {}, opts)
        state = "open" if args.serves else "closed"
        switch = command(
            f"{name}-switch",
            machine=args.machine,
            title=f"origin-http {state}",
            script=read_script("lib.sh", "origin-http.sh"),
            variables={"PLAIN_HTTP": state, "WAIT_SECONDS": str(SETTLE_S)},
            timeout="5m",
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.serves = switch.id.apply(lambda _: args.serves)
        self.register_outputs({"serves": self.serves})
