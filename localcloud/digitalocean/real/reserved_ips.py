"""Reserved addresses: of the cloud, not of a droplet; one droplet at a time answers to each."""

from __future__ import annotations

from ipaddress import IPv4Address

from localcloud.digitalocean.real import container, firewalls
from localcloud.digitalocean.real.droplets import DROPLETS, read
from localcloud.errors import CloudError
from localcloud.machine import addresses
from localcloud.machine.context import Cloud
from localcloud.machine.store import Document

RESERVED = "reserved_ips"
_APPLY = "/usr/local/sbin/localcloud-reserved-addresses"


async def create(cloud: Cloud, urn: str, region: str) -> str:
    """Reserve an address; the one an earlier run reserved under this URN is taken over."""
    async with cloud.store.lock():
        existing = cloud.store.find(RESERVED, urn=urn, region=region)
        if existing is not None:
            return existing
        taken = {IPv4Address(address) for address in cloud.store.all(RESERVED)}
        address = str(addresses.reserved_address(cloud.config.public_subnet, taken))
        cloud.store.write(RESERVED, address, {"urn": urn, "region": region, "droplet_id": None})
        return address


async def delete(cloud: Cloud, address: str) -> None:
    """Give an address back, from its droplet too."""
    holder = assigned(cloud, address)
    if holder is not None:
        await unassign(cloud, address, holder)
    cloud.store.delete(RESERVED, address)


async def assign(cloud: Cloud, address: str, droplet_id: str) -> None:
    """Make a droplet answer to an address. Raises CloudError when another one does."""
    document = _require(cloud, address)
    if cloud.store.read(DROPLETS, droplet_id) is None:
        raise CloudError(f"droplet {droplet_id}: not found")
    holder = assigned(cloud, address)
    if holder not in (None, droplet_id):
        raise CloudError(f"reserved ip {address}: already assigned to droplet {holder}")
    await _set(cloud, address, document, droplet_id)
    await apply(cloud, droplet_id)


async def unassign(cloud: Cloud, address: str, droplet_id: str) -> None:
    """Take an address from a droplet."""
    document = cloud.store.read(RESERVED, address)
    if document is None or document["droplet_id"] != droplet_id:
        return
    await _set(cloud, address, document, None)
    await apply(cloud, droplet_id)


def assigned(cloud: Cloud, address: str) -> str | None:
    """Answer the droplet that has the address, None also when that droplet is gone."""
    document = cloud.store.read(RESERVED, address)
    if document is None or document["droplet_id"] is None:
        return None
    droplet_id: str = document["droplet_id"]
    return droplet_id if cloud.store.read(DROPLETS, droplet_id) is not None else None


async def apply(cloud: Cloud, droplet_id: str) -> None:
    """Tell the droplet its reserved addresses: the list for each boot, and at once when it runs."""
    found = await read(cloud, droplet_id)
    if found is None:
        return
    name = (cloud.store.read(DROPLETS, droplet_id) or {})["container"]
    own = [address for address, entry in cloud.store.all(RESERVED).items() if entry["droplet_id"] == droplet_id]
    archive = container.reserved_addresses_archive(own)
    await cloud.host.run("docker", "container", "cp", "-", f"{name}:/", stdin=archive)
    if found.status == "active":
        await cloud.host.run("docker", "container", "exec", name, _APPLY)


async def _set(cloud: Cloud, address: str, document: Document, droplet_id: str | None) -> None:
    async with cloud.store.lock():
        cloud.store.write(RESERVED, address, {**document, "droplet_id": droplet_id})
        await firewalls.apply(cloud)


def _require(cloud: Cloud, address: str) -> Document:
    document = cloud.store.read(RESERVED, address)
    if document is None:
        raise CloudError(f"reserved ip {address}: not found")
    return document
