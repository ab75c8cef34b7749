"""The back-end of DigitalOcean's resource types: records in dry mode, machines in real mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from localcloud.backend import Documents, Progress

PENDING_EVENT = "Error resizing volume: Droplet already has a pending event.\nhint: run the same command again"
"""The API's message for the resize of a volume while its droplet is switched off or on."""


@dataclass(frozen=True, kw_only=True)
class VpcSpec:
    name: str
    region: str
    ip_range: str
    default: bool = False
    """Whether it is its region's default VPC: the cloud decides, and never deletes one."""


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


class Vpcs(Protocol):
    async def create(self, urn: str, spec: VpcSpec) -> str: ...
    async def update(self, vpc_id: str, spec: VpcSpec) -> None: ...
    async def read(self, vpc_id: str) -> VpcSpec | None: ...
    async def delete(self, vpc_id: str) -> None: ...


class Droplets(Protocol):
    async def create(self, urn: str, spec: DropletSpec, progress: Progress) -> DropletState: ...
    async def update(self, droplet_id: str, spec: DropletSpec, progress: Progress) -> DropletState: ...
    async def read(self, droplet_id: str) -> DropletState | None: ...
    async def delete(self, droplet_id: str) -> None: ...


class Firewalls(Protocol):
    async def put(self, urn: str, firewall_id: str | None, spec: FirewallSpec) -> str: ...
    async def read(self, firewall_id: str) -> FirewallSpec | None: ...
    async def delete(self, firewall_id: str) -> None: ...


class Volumes(Protocol):
    async def create(self, urn: str, spec: VolumeSpec) -> str: ...
    async def resize(self, volume_id: str, size_gib: int) -> None: ...
    async def read(self, volume_id: str) -> VolumeSpec | None: ...
    async def delete(self, volume_id: str) -> None: ...
    async def attach(self, volume_id: str, droplet_id: str) -> None: ...
    async def attached(self, volume_id: str) -> str | None: ...
    async def detach(self, volume_id: str, droplet_id: str) -> None: ...


class ReservedIps(Protocol):
    async def create(self, urn: str, region: str) -> str: ...
    async def read(self, address: str) -> str | None:
        """Return the region of a reserved address."""

    async def delete(self, address: str) -> None: ...
    async def assign(self, address: str, droplet_id: str) -> None: ...
    async def assigned(self, address: str) -> str | None: ...
    async def unassign(self, address: str, droplet_id: str) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Backend:
    """The parts of DigitalOcean."""

    vpcs: Vpcs
    droplets: Droplets
    firewalls: Firewalls
    volumes: Volumes
    reserved_ips: ReservedIps
    ssh_keys: Documents
    """Their ids are digits, and no two have the same key."""
    documents: Documents
