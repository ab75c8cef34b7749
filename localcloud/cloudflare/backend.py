"""The back-end of Cloudflare's resource types: records in dry mode, a proxy in real mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from localcloud.backend import Documents


@dataclass(frozen=True, kw_only=True)
class RecordSpec:
    zone_id: str
    name: str
    type: str
    content: str
    proxied: bool
    ttl: int


class Records(Protocol):
    async def put(self, urn: str, record_id: str | None, spec: RecordSpec) -> str: ...
    async def read(self, record_id: str) -> RecordSpec | None: ...
    async def delete(self, record_id: str) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Backend:
    """The parts of Cloudflare."""

    records: Records
    documents: Documents
    """TLS settings of zones, and certificates."""
