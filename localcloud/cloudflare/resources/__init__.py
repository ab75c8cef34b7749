"""Cloudflare's resource types, as far as the local cloud has them."""

from __future__ import annotations

from localcloud.cloudflare.backend import Backend
from localcloud.cloudflare.resources.dns import DnsRecord
from localcloud.cloudflare.resources.tls import (
    AuthenticatedOriginPullsCertificate,
    AuthenticatedOriginPullsSettings,
    OriginCaCertificate,
    ZoneSetting,
)
from localcloud.provider.handler import Handler, Package


def package() -> Package:
    """All types of this provider."""
    handlers: tuple[type[Handler[Backend]], ...] = (
        DnsRecord,
        OriginCaCertificate,
        AuthenticatedOriginPullsCertificate,
        AuthenticatedOriginPullsSettings,
        ZoneSetting,
    )
    return Package("cloudflare", [handler() for handler in handlers])
