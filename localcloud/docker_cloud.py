"""The backend of the real local cloud: each call goes to the module that knows that kind of thing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from localcloud.backend import DropletSpec, DropletState, FirewallSpec, Progress, RecordSpec, VolumeSpec, VpcSpec
from localcloud.cloudflare.real import records
from localcloud.config import CloudConfig
from localcloud.digitalocean.real import droplets, firewalls, reserved_ips, volumes
from localcloud.machine import networks
from localcloud.machine.context import Cloud
from localcloud.machine.host import Host, LinuxHost
from localcloud.machine.store import Store


class DockerCloud:
    """`localcloud.backend.Backend` over Docker, loop devices and iptables of this machine."""

    def __init__(self, config: CloudConfig, host: Host | None = None, image: str | None = None) -> None:
        """`image` names a droplet image that exists; by default the one of the cache is used, built when missing."""
        self._config = config
        self._host = host or LinuxHost()
        self._store = Store(config.state)
        self._cloud = Cloud(config, self._host, self._store)
        self._image = image
        self._image_lock = asyncio.Lock()

    async def create_vpc(self, urn: str, spec: VpcSpec) -> str:
        return await networks.create_vpc(self._config, self._host, self._store, urn, spec)

    async def update_vpc(self, vpc_id: str, spec: VpcSpec) -> None:
        networks.update_vpc(self._store, vpc_id, spec)

    async def read_vpc(self, vpc_id: str) -> VpcSpec | None:
        return await networks.read_vpc(self._config, self._host, self._store, vpc_id)

    async def delete_vpc(self, vpc_id: str) -> None:
        await networks.delete_vpc(self._config, self._host, self._store, vpc_id)

    async def create_droplet(self, urn: str, spec: DropletSpec, progress: Progress) -> DropletState:
        return await droplets.create(self._cloud, await self._droplet_image(), urn, spec, progress)

    async def update_droplet(self, droplet_id: str, spec: DropletSpec, progress: Progress) -> DropletState:
        await progress("changing the droplet")
        return await droplets.update(self._cloud, droplet_id, spec)

    async def read_droplet(self, droplet_id: str) -> DropletState | None:
        return await droplets.read(self._cloud, droplet_id)

    async def delete_droplet(self, droplet_id: str) -> None:
        await droplets.delete(self._cloud, droplet_id)

    async def put_firewall(self, urn: str, firewall_id: str | None, spec: FirewallSpec) -> str:
        return await firewalls.put(self._cloud, urn, firewall_id, spec)

    async def read_firewall(self, firewall_id: str) -> FirewallSpec | None:
        return firewalls.read(self._store, firewall_id)

    async def delete_firewall(self, firewall_id: str) -> None:
        await firewalls.delete(self._cloud, firewall_id)

    async def create_volume(self, urn: str, spec: VolumeSpec) -> str:
        return await volumes.create(self._cloud, urn, spec)

    async def resize_volume(self, volume_id: str, size_gib: int) -> None:
        await volumes.resize(self._cloud, volume_id, size_gib)

    async def read_volume(self, volume_id: str) -> VolumeSpec | None:
        return volumes.read(self._cloud, volume_id)

    async def delete_volume(self, volume_id: str) -> None:
        await volumes.delete(self._cloud, volume_id)

    async def attach_volume(self, volume_id: str, droplet_id: str) -> None:
        await volumes.attach(self._cloud, volume_id, droplet_id)

    async def attached_droplet(self, volume_id: str) -> str | None:
        return volumes.attached(self._cloud, volume_id)

    async def detach_volume(self, volume_id: str, droplet_id: str) -> None:
        await volumes.detach(self._cloud, volume_id, droplet_id)

    async def create_reserved_ip(self, urn: str, region: str) -> str:
        return await reserved_ips.create(self._cloud, urn, region)

    async def read_reserved_ip(self, address: str) -> str | None:
        document = self._store.read(reserved_ips.RESERVED, address)
        return None if document is None else str(document["region"])

    async def delete_reserved_ip(self, address: str) -> None:
        await reserved_ips.delete(self._cloud, address)

    async def assign_reserved_ip(self, address: str, droplet_id: str) -> None:
        await reserved_ips.assign(self._cloud, address, droplet_id)

    async def assigned_droplet(self, address: str) -> str | None:
        return reserved_ips.assigned(self._cloud, address)

    async def unassign_reserved_ip(self, address: str, droplet_id: str) -> None:
        await reserved_ips.unassign(self._cloud, address, droplet_id)

    async def put_record(self, urn: str, record_id: str | None, spec: RecordSpec) -> str:
        return await records.put_record(self._cloud, urn, record_id, spec)

    async def read_record(self, record_id: str) -> RecordSpec | None:
        return records.read_record(self._store, record_id)

    async def delete_record(self, record_id: str) -> None:
        await records.delete_record(self._cloud, record_id)

    async def put_document(self, kind: str, urn: str, document_id: str | None, document: Mapping[str, object]) -> str:
        return await records.put_document(self._cloud, kind, urn, document_id, document)

    async def read_document(self, kind: str, document_id: str) -> Mapping[str, object] | None:
        return records.read_document(self._store, kind, document_id)

    async def delete_document(self, kind: str, document_id: str) -> None:
        await records.delete_document(self._cloud, kind, document_id)

    async def _droplet_image(self) -> str:
        async with self._image_lock:
            if self._image is None:
                # Imported late: building images is a room of its own, and most calls do not need it.
                from localcloud.images import build  # noqa: PLC0415

                self._image = await asyncio.to_thread(build.droplet_image, self._config.cache)
            return self._image
