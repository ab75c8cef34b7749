"""Reserved addresses: they belong to the cloud, not to a droplet; each is on one droplet at a time."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from localcloud.digitalocean.real import container
from localcloud.digitalocean.real.droplets import DROPLETS, Droplets
from localcloud.digitalocean.real.firewalls import Firewalls
from localcloud.errors import CloudError
from localcloud.machine import addresses
from localcloud.machine.context import Cloud
from localcloud.machine.store import Document

RESERVED = "reserved_ips"
_APPLY = "/usr/local/sbin/localcloud-reserved-addresses"


@dataclass(frozen=True)
class ReservedIps:
    """The reserved addresses of a cloud."""

    cloud: Cloud

    async def create(self, urn: str, region: str) -> str:
        """Reserve an address; one that an earlier run reserved under this URN is adopted."""
        async with self.cloud.store.lock():
            existing = self.cloud.store.find(RESERVED, urn=urn, region=region)
            if existing is not None:
                return existing
            taken = {IPv4Address(address) for address in self.cloud.store.all(RESERVED)}
            address = str(addresses.reserved_address(self.cloud.config.public_subnet, taken))
            self.cloud.store.write(RESERVED, address, {"urn": urn, "region": region, "droplet_id": None})
            return address

    async def read(self, address: str) -> str | None:
        """Return the region of a reserved address, None if it is gone."""
        document = self.cloud.store.read(RESERVED, address)
        return None if document is None else str(document["region"])

    async def delete(self, address: str) -> None:
        """Release an address, from its droplet too."""
        holder = await self.assigned(address)
        if holder is not None:
            await self.unassign(address, holder)
        self.cloud.store.delete(RESERVED, address)

    async def assign(self, address: str, droplet_id: str) -> None:
        """Put an address on a droplet. Raises CloudError when another one has it."""
        document = self._require(address)
        if self.cloud.store.read(DROPLETS, droplet_id) is None:
            raise CloudError(f"droplet {droplet_id}: not found")
        holder = await self.assigned(address)
        if holder not in (None, droplet_id):
            raise CloudError(f"reserved ip {address}: already assigned to droplet {holder}")
        await self._set(address, document, droplet_id)
        await self.apply(droplet_id)

    async def unassign(self, address: str, droplet_id: str) -> None:
        """Take an address from a droplet."""
        document = self.cloud.store.read(RESERVED, address)
        if document is None or document["droplet_id"] != droplet_id:
            return
        await self._set(address, document, None)
        await self.apply(droplet_id)

    async def assigned(self, address: str) -> str | None:
        """Return the droplet that has the address, None also when that droplet is gone."""
        document = self.cloud.store.read(RESERVED, address)
        if document is None or document["droplet_id"] is None:
            return None
        droplet_id: str = document["droplet_id"]
        return droplet_id if self.cloud.store.read(DROPLETS, droplet_id) is not None else None

    async def apply(self, droplet_id: str) -> None:
        """Write the droplet's reserved addresses: a list for each boot, and at once if it runs."""
        found = await Droplets(self.cloud).read(droplet_id)
        if found is None:
            return
        name = (self.cloud.store.read(DROPLETS, droplet_id) or {})["container"]
        own = [
            address for address, entry in self.cloud.store.all(RESERVED).items() if entry["droplet_id"] == droplet_id
        ]
        archive = container.reserved_addresses_archive(own)
        await self.cloud.host.run("docker", "container", "cp", "-", f"{name}:/", stdin=archive)
        if found.status == "active":
            await self.cloud.host.run("docker", "container", "exec", name, _APPLY)

    async def _set(self, address: str, document: Document, droplet_id: str | None) -> None:
        async with self.cloud.store.lock():
            self.cloud.store.write(RESERVED, address, {**document, "droplet_id": droplet_id})
            await Firewalls(self.cloud).apply()

    def _require(self, address: str) -> Document:
        document = self.cloud.store.read(RESERVED, address)
        if document is None:
            raise CloudError(f"reserved ip {address}: not found")
        return document
