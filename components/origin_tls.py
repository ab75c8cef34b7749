"""TLS between Cloudflare and the edge: the edge's certificate, and the one with which Cloudflare identifies itself.

Cloudflare presents our own client certificate (authenticated origin pulls, for the zone). The one that it shares among
its customers would admit any of them, like a firewall that admits Cloudflare's ranges: a stranger's Worker comes from
the same addresses. Both exist before the edge asks for them, and do nothing until then.
Source: https://developers.cloudflare.com/ssl/origin-configuration/authenticated-origin-pull/
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import pulumi
import pulumi_cloudflare as cloudflare

from components.stack_config import StackConfig
from topology.tls import ORIGIN_CSR, PULL_CERTIFICATE, PULL_KEY, origin_names, pull_authorities, pull_leaf

REQUEST_TYPE = "origin-ecc"
VALIDITY_DAYS = 5475
"""15 years, the longest. Source: https://developers.cloudflare.com/ssl/origin-configuration/origin-ca/"""


@dataclass(frozen=True, kw_only=True)
class OriginTlsArgs:
    """`csr` is for the edge's own P-256 key; `client_certificate` is without its authorities. All in PEM."""

    zone_id: str
    hostnames: Sequence[str]
    csr: pulumi.Output[str]
    client_certificate: pulumi.Output[str]
    client_private_key: pulumi.Output[str]
    client_authorities: pulumi.Output[str]

    @classmethod
    def from_config(cls, config: StackConfig) -> Self:
        """Plan the certificates of the stack's domain."""
        settings = config.project.settings
        return cls(
            zone_id=settings.cloudflare.zone_id,
            hostnames=origin_names(settings.domain),
            csr=config.secrets[ORIGIN_CSR],
            client_certificate=config.secrets[PULL_CERTIFICATE].apply(pull_leaf),
            client_private_key=config.secrets[PULL_KEY],
            client_authorities=config.secrets[PULL_CERTIFICATE].apply(pull_authorities),
        )


class OriginTls(pulumi.ComponentResource):
    """Certificates of both ends. Outputs, in PEM: `certificate` of the edge, `authorities` of its one client."""

    certificate: pulumi.Output[str]
    authorities: pulumi.Output[str]

    def __init__(self, name: str, args: OriginTlsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("basecommerce:tls:OriginTls", name, {}, opts)
        # Replaced as a whole when a name or the key changes: the old one is revoked after the new one is served.
        issued = cloudflare.OriginCaCertificate(
            f"{name}-certificate",
            csr=args.csr,
            # In the order in which the API returns them: with another order each refresh would end in a replacement.
            # https://github.com/cloudflare/terraform-provider-cloudflare/issues/6239
            hostnames=sorted(args.hostnames),
            request_type=REQUEST_TYPE,
            requested_validity=VALIDITY_DAYS,
            opts=pulumi.ResourceOptions(parent=self),
        )
        client = cloudflare.AuthenticatedOriginPullsCertificate(
            f"{name}-client",
            zone_id=args.zone_id,
            certificate=args.client_certificate,
            private_key=args.client_private_key,
            opts=pulumi.ResourceOptions(parent=self),
        )
        cloudflare.AuthenticatedOriginPullsSettings(
            f"{name}-pulls",
            zone_id=args.zone_id,
            enabled=True,
            # If enabled first, Cloudflare would present the certificate that it shares among its customers.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[client]),
        )
        self.certificate, self.authorities = issued.certificate, args.client_authorities
        self.register_outputs({"certificate": self.certificate, "authorities": self.authorities})
