"""The cloud's firewalls: their records, and the packet filter that follows from them and from the droplets."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from ipaddress import IPv4Address, IPv4Network

from localcloud.backend import FirewallRule, FirewallSpec
from localcloud.config import CloudConfig
from localcloud.digitalocean.real import packet_filter
from localcloud.machine.context import Cloud
from localcloud.machine.networks import VPCS
from localcloud.machine.store import Document, Store

FIREWALLS = "firewalls"
_DROPLETS = "droplets"
_RESERVED = "reserved_ips"


async def put(cloud: Cloud, urn: str, firewall_id: str | None, spec: FirewallSpec) -> str:
    """Make or change a firewall and put the rules into the kernel. One made before under this URN is taken over."""
    async with cloud.store.lock():
        chosen = firewall_id or cloud.store.find(FIREWALLS, urn=urn) or str(uuid.uuid4())
        cloud.store.write(FIREWALLS, chosen, {"urn": urn, **asdict(spec)})
        await apply(cloud)
        return chosen


def read(store: Store, firewall_id: str) -> FirewallSpec | None:
    """Answer a firewall, None when it is gone."""
    document = store.read(FIREWALLS, firewall_id)
    return None if document is None else _spec(document)


async def delete(cloud: Cloud, firewall_id: str) -> None:
    """Remove a firewall; its droplets are closed unless another one covers them."""
    async with cloud.store.lock():
        cloud.store.delete(FIREWALLS, firewall_id)
        await apply(cloud)


async def apply(cloud: Cloud) -> None:
    """Write the packet filter anew from the records. The caller holds the lock."""
    specs = [_spec(document) for document in cloud.store.all(FIREWALLS).values()]
    ranges = [IPv4Network(document["ip_range"]) for document in cloud.store.all(VPCS).values()]
    bridges = packet_filter.bridges_of(cloud.config, ranges[0] if ranges else cloud.config.vpc_range)
    chains = packet_filter.prefix(cloud.config.name)
    await packet_filter.apply(cloud.host, chains, bridges, members(cloud.config, cloud.store), specs)


def members(config: CloudConfig, store: Store) -> list[packet_filter.Member]:
    """List the droplets as the packet filter knows them, reserved addresses among their own."""
    first = int(config.public_subnet.network_address)
    found = []
    for droplet_id, document in store.all(_DROPLETS).items():
        public = IPv4Address(document["public"])
        reserved = (
            IPv4Address(address) for address, entry in store.all(_RESERVED).items() if entry["droplet_id"] == droplet_id
        )
        found.append(
            packet_filter.Member(
                number=int(public) - first,
                public=(public, *reserved),
                private=IPv4Address(document["private"]),
                tags=frozenset(document["tags"]),
            )
        )
    return sorted(found, key=lambda member: member.number)


def _spec(document: Document) -> FirewallSpec:
    return FirewallSpec(
        name=document["name"],
        tags=tuple(document["tags"]),
        inbound=tuple(_rule(entry) for entry in document["inbound"]),
        outbound=tuple(_rule(entry) for entry in document["outbound"]),
    )


def _rule(entry: Document) -> FirewallRule:
    return FirewallRule(
        protocol=entry["protocol"],
        ports=entry["ports"],
        addresses=tuple(entry["addresses"]),
        tags=tuple(entry["tags"]),
    )
