"""The seam between the provider handlers and what stands behind them (records in dry mode, containers in real mode).

Handlers validate, compare and decide on replacement; a backend only makes, changes and removes things.
Every `create_*` is idempotent by URN: a second call after a crash adopts or rebuilds the half-made thing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

Progress = Callable[[str], Awaitable[None]]
"""Shows one short live line beside the resource, e.g. `cloud-init`."""


PENDING_EVENT = "Error resizing volume: Droplet already has a pending event.\nhint: run the same command again"
"""What the API says to the resize of a volume while its droplet is switched off or on."""


@dataclass(frozen=True, kw_only=True)
class VpcSpec:
    name: str
    region: str
    ip_range: str
    default: bool = False
    """Of its region: the cloud decides that, and never deletes such a one."""


@dataclass(frozen=True, kw_only=True)
class DropletSpec:
    name: str
    region: str
    image: str
    size: str
    memory_mib: int
    vpc_id: str
    tags: tuple[str, ...]
    user_data: str
    ssh_public_keys: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DropletState:
    id: str
    """Digits only, as DigitalOcean's; new at each creation."""
    ipv4_address: str
    ipv4_address_private: str
    status: str


@dataclass(frozen=True, kw_only=True)
class FirewallRule:
    """One direction's rule: `ports` is `""` for icmp, `"22"` or `"1-65535"`; peers are CIDRs and droplet tags."""

    protocol: str
    ports: str
    addresses: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FirewallSpec:
    name: str
    tags: tuple[str, ...]
    inbound: tuple[FirewallRule, ...]
    outbound: tuple[FirewallRule, ...]


@dataclass(frozen=True, kw_only=True)
class VolumeSpec:
    name: str
    region: str
    size_gib: int


@dataclass(frozen=True, kw_only=True)
class RecordSpec:
    zone_id: str
    name: str
    type: str
    content: str
    proxied: bool
    ttl: int


class Backend(Protocol):
    """What a cloud can do. Ids are strings; `read_*` answers None for what is gone (the engine then drops it)."""

    async def create_vpc(self, urn: str, spec: VpcSpec) -> str: ...
    async def update_vpc(self, vpc_id: str, spec: VpcSpec) -> None: ...
    async def read_vpc(self, vpc_id: str) -> VpcSpec | None: ...
    async def delete_vpc(self, vpc_id: str) -> None: ...

    async def create_droplet(self, urn: str, spec: DropletSpec, progress: Progress) -> DropletState: ...
    async def update_droplet(self, droplet_id: str, spec: DropletSpec, progress: Progress) -> DropletState: ...
    async def read_droplet(self, droplet_id: str) -> DropletState | None: ...
    async def delete_droplet(self, droplet_id: str) -> None: ...

    async def put_firewall(self, urn: str, firewall_id: str | None, spec: FirewallSpec) -> str: ...
    async def read_firewall(self, firewall_id: str) -> FirewallSpec | None: ...
    async def delete_firewall(self, firewall_id: str) -> None: ...

    async def create_volume(self, urn: str, spec: VolumeSpec) -> str: ...
    async def resize_volume(self, volume_id: str, size_gib: int) -> None: ...
    async def read_volume(self, volume_id: str) -> VolumeSpec | None: ...
    async def delete_volume(self, volume_id: str) -> None: ...
    async def attach_volume(self, volume_id: str, droplet_id: str) -> None: ...
    async def attached_droplet(self, volume_id: str) -> str | None: ...
    async def detach_volume(self, volume_id: str, droplet_id: str) -> None: ...

    async def create_reserved_ip(self, urn: str, region: str) -> str: ...
    async def read_reserved_ip(self, address: str) -> str | None:
        """Answer the region of a reserved address."""

    async def delete_reserved_ip(self, address: str) -> None: ...
    async def assign_reserved_ip(self, address: str, droplet_id: str) -> None: ...
    async def assigned_droplet(self, address: str) -> str | None: ...
    async def unassign_reserved_ip(self, address: str, droplet_id: str) -> None: ...

    async def put_record(self, urn: str, record_id: str | None, spec: RecordSpec) -> str: ...
    async def read_record(self, record_id: str) -> RecordSpec | None: ...
    async def delete_record(self, record_id: str) -> None: ...

    async def put_document(self, kind: str, urn: str, document_id: str | None, document: Mapping[str, object]) -> str:
        """Keep a record that has no body of its own here: a tag, an SSH key. Ids of kind `ssh_key` are digits."""

    async def read_document(self, kind: str, document_id: str) -> Mapping[str, object] | None: ...
    async def delete_document(self, kind: str, document_id: str) -> None: ...
