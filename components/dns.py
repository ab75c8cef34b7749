"""The public names: apex and wildcard, both on the edge's reserved address and both proxied by Cloudflare.

Names are given in full and `ttl` is 1 ("automatic", the only value a proxied record has): anything shorter
differs from what the API returns and shows as a change at each preview
(https://github.com/cloudflare/terraform-provider-cloudflare/issues/5378).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import pulumi
import pulumi_cloudflare as cloudflare

from components.stack_config import StackConfig

AUTOMATIC_TTL = 1


@dataclass(frozen=True, kw_only=True)
class DnsArgs:
    """`domain` is the base domain; tenants are its direct children."""

    zone_id: str
    domain: str
    address: pulumi.Input[str]

    @classmethod
    def from_config(cls, config: StackConfig, *, address: pulumi.Input[str]) -> Self:
        """Plan the stack's names, all on one `address`."""
        settings = config.project.settings
        return cls(zone_id=settings.cloudflare.zone_id, domain=settings.domain, address=address)


class Dns(pulumi.ComponentResource):
    """A records of the apex and of `*`. Outputs: `names`."""

    names: pulumi.Output[list[str]]

    def __init__(self, name: str, args: DnsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("basecommerce:dns:Dns", name, {}, opts)
        records = [
            cloudflare.DnsRecord(
                f"{name}-{role}",
                zone_id=args.zone_id,
                name=record,
                type="A",
                content=args.address,
                proxied=True,
                ttl=AUTOMATIC_TTL,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for role, record in (("apex", args.domain), ("wildcard", f"*.{args.domain}"))
        ]
        self.names = pulumi.Output.all(*(record.name for record in records))
        self.register_outputs({"names": self.names})
