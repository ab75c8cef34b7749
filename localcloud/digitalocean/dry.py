"""DigitalOcean in dry mode: records."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from ipaddress import IPv4Address, IPv4Network

from typing_extensions import override

from localcloud.account import Account, check_vpc_goes
from localcloud.backend import Progress
from localcloud.config import CloudConfig
from localcloud.digitalocean.backend import (
    PENDING_EVENT,
    Backend,
    DropletSpec,
    DropletState,
    FirewallRule,
    FirewallSpec,
    VolumeSpec,
    VpcSpec,
)
from localcloud.dry import Documents, Record, Table, existing, find, next_id
from localcloud.errors import CloudError
from localcloud.machine.addresses import DROPLETS_FROM, public_address, reserved_address

VPC, DROPLET, FIREWALL, VOLUME, RESERVED_IP = "vpc", "droplet", "firewall", "volume", "reserved_ip"
POWER_S = 0.5
"""Seconds that a droplet is off for a new size."""


def backend(config: CloudConfig) -> Backend:
    """Build the back-end."""
    return Backend(
        vpcs=Vpcs(config),
        droplets=Droplets(config),
        firewalls=Firewalls(config),
        volumes=Volumes(config),
        reserved_ips=ReservedIps(config),
        ssh_keys=SshKeys(config),
        documents=Documents(config),
    )


class Vpcs:
    """Private networks."""

    def __init__(self, config: CloudConfig) -> None:
        self._config = config
        self._table = Table.of(config, VPC)

    async def create(self, urn: str, spec: VpcSpec) -> str:
        others = [each for each in self._table.all().values() if each["urn"] != urn]
        default = Account.of(self._config.state).is_fresh and not others
        return self._table.put(urn, None, {**asdict(spec), "default": default})

    async def update(self, vpc_id: str, spec: VpcSpec) -> None:
        found = await self.read(vpc_id)
        self._table.change(vpc_id, {**asdict(spec), "default": found is not None and found.default})

    async def read(self, vpc_id: str) -> VpcSpec | None:
        record = self._table.get(vpc_id)
        return VpcSpec(**record["spec"]) if record else None

    async def delete(self, vpc_id: str) -> None:
        with self._table.store.change() as data:
            if any(droplet["spec"]["vpc_id"] == vpc_id for droplet in data.get(DROPLET, {}).values()):
                raise CloudError("Can not delete VPC with members\nhint: delete the droplets in it first")
            record = data.get(VPC, {}).get(vpc_id)
            check_vpc_goes(default=bool(record) and VpcSpec(**record["spec"]).default)
            data.get(VPC, {}).pop(vpc_id, None)


class Droplets:
    """Droplets that are records only."""

    def __init__(self, config: CloudConfig) -> None:
        self._config = config
        self._table = Table.of(config, DROPLET)

    async def create(self, urn: str, spec: DropletSpec, progress: Progress) -> DropletState:
        await progress("record")
        with self._table.store.change() as data:
            vpc = data.get(VPC, {}).get(spec.vpc_id)
            if vpc is None:
                raise CloudError(f"The VPC {spec.vpc_id} was not found\nhint: run `up` with a refresh")
            droplets: Record = data.setdefault(DROPLET, {})
            droplet_id = find(droplets, urn)
            if droplet_id is None:
                droplet_id = next_id(data)
                private = [d["state"]["ipv4_address_private"] for d in droplets.values()]
                public = [IPv4Address(d["state"]["ipv4_address"]) for d in droplets.values()]
                state = {
                    "id": droplet_id,
                    "ipv4_address": str(public_address(self._config.public_subnet, public)),
                    "ipv4_address_private": _free(IPv4Network(vpc["spec"]["ip_range"]), private),
                    "status": "active",
                }
                droplets[droplet_id] = {"urn": urn, "state": state}
            droplets[droplet_id]["spec"] = _without_secrets(spec)
            return DropletState(**droplets[droplet_id]["state"])

    async def update(self, droplet_id: str, spec: DropletSpec, progress: Progress) -> DropletState:
        await progress("record")
        with self._table.store.change() as data:
            record = existing(data, DROPLET, droplet_id)
            resized = record["spec"]["size"] != spec.size
            if resized:
                record["pending_until"] = time.time() + POWER_S
        if resized:
            await asyncio.sleep(POWER_S)
        return DropletState(**self._table.change(droplet_id, _without_secrets(spec))["state"])

    async def read(self, droplet_id: str) -> DropletState | None:
        record = self._table.get(droplet_id)
        return DropletState(**record["state"]) if record else None

    async def delete(self, droplet_id: str) -> None:
        with self._table.store.change() as data:
            data.get(DROPLET, {}).pop(droplet_id, None)
            for kind in (VOLUME, RESERVED_IP):
                for record in data.get(kind, {}).values():
                    if record.get("droplet_id") == droplet_id:
                        record["droplet_id"] = None


class Firewalls:
    """Firewalls that nothing enforces."""

    def __init__(self, config: CloudConfig) -> None:
        self._table = Table.of(config, FIREWALL)

    async def put(self, urn: str, firewall_id: str | None, spec: FirewallSpec) -> str:
        return self._table.put(urn, firewall_id, asdict(spec))

    async def read(self, firewall_id: str) -> FirewallSpec | None:
        record = self._table.get(firewall_id)
        if record is None:
            return None
        spec = record["spec"]
        return FirewallSpec(
            name=spec["name"],
            tags=tuple(spec["tags"]),
            inbound=tuple(_rule(rule) for rule in spec["inbound"]),
            outbound=tuple(_rule(rule) for rule in spec["outbound"]),
        )

    async def delete(self, firewall_id: str) -> None:
        self._table.drop(firewall_id)


class Volumes:
    """Block storage without bytes."""

    def __init__(self, config: CloudConfig) -> None:
        self._table = Table.of(config, VOLUME)

    async def create(self, urn: str, spec: VolumeSpec) -> str:
        for other in self._table.all().values():
            same = (other["spec"]["name"], other["spec"]["region"]) == (spec.name, spec.region)
            if same and other["urn"] != urn:
                raise CloudError(f"volume {spec.name}: a volume of that name already exists in {spec.region}")
        return self._table.put(urn, None, asdict(spec))

    async def resize(self, volume_id: str, size_gib: int) -> None:
        with self._table.store.change() as data:
            record = existing(data, VOLUME, volume_id)
            holder = data.get(DROPLET, {}).get(record.get("droplet_id"), {})
            if holder.get("pending_until", 0) > time.time():
                raise CloudError(PENDING_EVENT)
            record["spec"]["size_gib"] = size_gib

    async def read(self, volume_id: str) -> VolumeSpec | None:
        record = self._table.get(volume_id)
        return VolumeSpec(**record["spec"]) if record else None

    async def delete(self, volume_id: str) -> None:
        with self._table.store.change() as data:
            record = data.get(VOLUME, {}).get(volume_id)
            if record and record.get("droplet_id"):
                raise CloudError("failed to delete volume: it is attached\nhint: detach it first")
            data.get(VOLUME, {}).pop(volume_id, None)

    async def attach(self, volume_id: str, droplet_id: str) -> None:
        _point(self._table, volume_id, droplet_id)

    async def attached(self, volume_id: str) -> str | None:
        return _pointed(self._table, volume_id)

    async def detach(self, volume_id: str, droplet_id: str) -> None:
        _unpoint(self._table, volume_id, droplet_id)


class ReservedIps:
    """Reserved addresses."""

    def __init__(self, config: CloudConfig) -> None:
        self._config = config
        self._table = Table.of(config, RESERVED_IP)

    async def create(self, urn: str, region: str) -> str:
        with self._table.store.change() as data:
            addresses: Record = data.setdefault(RESERVED_IP, {})
            address = find(addresses, urn)
            if address is None:
                taken = [IPv4Address(each) for each in addresses]
                address = str(reserved_address(self._config.public_subnet, taken))
                addresses[address] = {"urn": urn}
            addresses[address]["spec"] = {"region": region}
            return address

    async def read(self, address: str) -> str | None:
        record = self._table.get(address)
        return record["spec"]["region"] if record else None

    async def delete(self, address: str) -> None:
        self._table.drop(address)

    async def assign(self, address: str, droplet_id: str) -> None:
        _point(self._table, address, droplet_id)

    async def assigned(self, address: str) -> str | None:
        return _pointed(self._table, address)

    async def unassign(self, address: str, droplet_id: str) -> None:
        _unpoint(self._table, address, droplet_id)


class SshKeys(Documents):
    """Documents whose ids are digits, and no two of which have the same key."""

    @override
    def new_id(self, data: Record, kind: str, urn: str, spec: Record) -> str:
        ours = [r["spec"]["publicKey"] for r in data.get(kind, {}).values() if r["urn"] != urn]
        Account.of(self.config.state).check_key(str(spec["publicKey"]), ours)
        return next_id(data)


def _point(table: Table, record_id: str, droplet_id: str) -> None:
    with table.store.change() as data:
        record = existing(data, table.kind, record_id)
        existing(data, DROPLET, droplet_id)
        if record.get("droplet_id") not in (None, droplet_id):
            raise CloudError(f"{table.kind} {record_id} is already attached to droplet {record['droplet_id']}")
        record["droplet_id"] = droplet_id


def _pointed(table: Table, record_id: str) -> str | None:
    record = table.get(record_id)
    found: str | None = record.get("droplet_id") if record else None
    return found


def _unpoint(table: Table, record_id: str, droplet_id: str) -> None:
    with table.store.change() as data:
        record = data.get(table.kind, {}).get(record_id)
        if record and record.get("droplet_id") == droplet_id:
            record["droplet_id"] = None


def _free(network: IPv4Network, taken: list[str]) -> str:
    """Choose a droplet's address in its VPC, whose size is not limited here."""
    for offset in range(DROPLETS_FROM, network.num_addresses - 1):
        if str(network[offset]) not in taken:
            return str(network[offset])
    raise CloudError(f"no free address in {network}\nhint: delete a droplet of this cloud")


def _rule(rule: Record) -> FirewallRule:
    return FirewallRule(
        protocol=rule["protocol"],
        ports=rule["ports"],
        addresses=tuple(rule["addresses"]),
        tags=tuple(rule["tags"]),
    )


def _without_secrets(spec: DropletSpec) -> Record:
    """Remove user data: it holds the host key, and the store is readable text."""
    record = asdict(spec)
    del record["user_data"]
    return record
