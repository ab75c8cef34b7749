"""Cloudflare's proxy, made of an nginx in a container."""

from __future__ import annotations

from typing_extensions import override

from localcloud.cloudflare import tls
from localcloud.cloudflare.backend import Backend
from localcloud.cloudflare.real import edge
from localcloud.cloudflare.real.records import Records
from localcloud.config import CloudConfig
from localcloud.machine.context import Cloud
from localcloud.machine.documents import Documents
from localcloud.machine.host import Host


def backend(config: CloudConfig, host: Host | None = None) -> Backend:
    """Build the back-end."""
    cloud = Cloud.of(config, host)
    return Backend(records=Records(cloud), documents=_ZoneDocuments(cloud))


class _ZoneDocuments(Documents):
    """Documents; some of them change what the proxy does."""

    @override
    async def changed(self, kind: str) -> None:
        if kind in tls.KINDS:
            await edge.reload(self.cloud.config, self.cloud.host)
