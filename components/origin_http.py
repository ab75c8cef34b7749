"""Whether port 80 of the edge serves the shop, or only its health and a redirect to https.

A component of its own, since it has to change at another time than the tier: after the zone speaks https to the edge,
or before it stops to. Between the two, both ports serve, so a switch in either direction loses no request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import pulumi

from components.remote import Access, command, command_text, read_script
from components.stack_config import StackConfig

SETTLE_S = 30
"""Seconds that Cloudflare's machines get to learn a changed setting; it promises no figure, and names seconds.
Source: https://blog.cloudflare.com/introducing-quicksilver-configuration-distribution-at-internet-scale/"""


@dataclass(frozen=True, kw_only=True)
class OriginHttpArgs:
    """`serves` tells whether plain HTTP gets the shop."""

    droplet_id: pulumi.Input[str]
    access: Access
    serves: bool

    @classmethod
    def from_config(cls, config: StackConfig, *, droplet_id: pulumi.Input[str], access: Access) -> Self:
        """Plan port 80 as the mode of TLS wants it."""
        return cls(droplet_id=droplet_id, access=access, serves=config.project.settings.cloudflare.ssl == "flexible")


class OriginHttp(pulumi.ComponentResource):
    """The state of port 80. Outputs: `serves`, once it is so."""

    serves: pulumi.Output[bool]

    def __init__(self, name: str, args: OriginHttpArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("basecommerce:tls:OriginHttp", name, {}, opts)

        def text(droplet_id: str) -> str:
            return command_text(
                droplet_id=droplet_id,
                title=f"origin-http {'open' if args.serves else 'closed'}",
                script=read_script("lib.sh", "origin-http.sh"),
                variables={"PLAIN_HTTP": "open" if args.serves else "closed", "WAIT_SECONDS": str(SETTLE_S)},
            )

        switch = command(
            f"{name}-switch",
            access=args.access,
            text=pulumi.Output.from_input(args.droplet_id).apply(text),
            timeout="5m",
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.serves = switch.id.apply(lambda _: args.serves)
        self.register_outputs({"serves": self.serves})
