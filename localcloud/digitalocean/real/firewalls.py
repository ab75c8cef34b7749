"""The cloud's firewalls: their records, and the packet filter that follows from them and from the droplets."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address, IPv4Network

from localcloud.digitalocean.backend import FirewallRule, FirewallSpec
from localcloud.digitalocean.real import packet_filter
from localcloud.digitalocean.real.vpcs import VPCS
from localcloud.machine.context import Cloud
from localcloud.machine.store import Document

FIREWALLS = "firewalls"
_DROPLETS = "droplets"
_RESERVED = "reserved_ips"


@dataclass(frozen=True)
class Firewalls:
    """The firewalls of a cloud."""

    cloud: Cloud

    async def put(self, urn: str, firewall_id: str | None, spec: FirewallSpec) -> str:
        """Create or change a firewall and put the rules into the kernel. One of this URN is adopted."""
        async with self.cloud.store.lock():
            chosen = firewall_id or self.cloud.store.find(FIREWALLS, urn=urn) or str(uuid.uuid4())
            self.cloud.store.write(FIREWALLS, chosen, {"urn": urn, **asdict(spec)})
            await self.apply()
            return chosen

    async def read(self, firewall_id: str) -> FirewallSpec | None:
        """Return a firewall, None if it is gone."""
        document = self.cloud.store.read(FIREWALLS, firewall_id)
        return None if document is None else _spec(document)

    async def delete(self, firewall_id: str) -> None:
        """Remove a firewall; its droplets are closed unless another one covers them."""
        async with self.cloud.store.lock():
            self.cloud.store.delete(FIREWALLS, firewall_id)
            await self.apply()

    async def apply(self) -> None:
        """Rewrite the packet filter from the records. The caller holds the lock."""
        specs = [_spec(document) for document in self.cloud.store.all(FIREWALLS).values()]
        ranges = [IPv4Network(document["ip_range"]) for document in self.cloud.store.all(VPCS).values()]
        bridges = packet_filter.bridges_of(self.cloud.config, ranges[0] if ranges else self.cloud.config.vpc_range)
        chains = packet_filter.prefix(self.cloud.config.name)
        await packet_filter.apply(self.cloud.host, chains, bridges, self.members(), specs)

    def members(self) -> list[packet_filter.Member]:
        """List the droplets as the packet filter knows them, with their reserved addresses."""
        first = int(self.cloud.config.public_subnet.network_address)
        found = []
        for droplet_id, document in self.cloud.store.all(_DROPLETS).items():
            public = IPv4Address(document["public"])
            held = self.cloud.store.all(_RESERVED).items()
            reserved = (IPv4Address(address) for address, entry in held if entry["droplet_id"] == droplet_id)
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
