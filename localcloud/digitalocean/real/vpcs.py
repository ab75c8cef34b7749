"""The VPC of a cloud: a bridge without a way out."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network

from localcloud.account import Account, check_vpc_goes
from localcloud.config import CloudConfig
from localcloud.digitalocean.backend import VpcSpec
from localcloud.errors import CloudError
from localcloud.machine import addresses, networks
from localcloud.machine.context import Cloud
from localcloud.machine.host import inspect

VPCS = "vpcs"


def vpc_network(config: CloudConfig) -> str:
    """Return the name of the VPC's network: one per cloud."""
    return config.physical("vpc")


@dataclass(frozen=True)
class Vpcs:
    """The VPCs of a cloud: there is only one."""

    cloud: Cloud

    async def create(self, urn: str, spec: VpcSpec) -> str:
        """Create the VPC; a half-made one of the same URN is completed."""
        store, config = self.cloud.store, self.cloud.config
        async with store.lock():
            existing = store.find(VPCS, urn=urn)
            if existing is None and store.all(VPCS):
                raise CloudError(
                    "vpc: this cloud has one already\nhint: the local cloud has one VPC per stack; delete that one"
                )
            ip_range = IPv4Network(spec.ip_range)
            if ip_range.overlaps(config.public_subnet):
                raise CloudError(f"vpc: ip_range {ip_range} overlaps the public network {config.public_subnet}")
            vpc_id = existing or str(uuid.uuid4())
            document = {"urn": urn, **asdict(spec), "default": Account.of(config.state).is_fresh}
            store.write(VPCS, vpc_id, document)
            await self.ensure_network(urn, ip_range)
            return vpc_id

    async def ensure_network(self, urn: str, ip_range: IPv4Network) -> None:
        """Create the VPC's network when it is missing."""
        await networks.ensure(
            self.cloud.host,
            self.cloud.config,
            vpc_network(self.cloud.config),
            "v",
            subnet=ip_range,
            dynamic=addresses.vpc_dynamic_range(ip_range),
            urn=urn,
            internal=True,
        )

    async def update(self, vpc_id: str, spec: VpcSpec) -> None:
        """Change the name; the provider replaces the VPC for the rest."""
        document = self.cloud.store.read(VPCS, vpc_id)
        if document is None:
            raise CloudError(f"vpc {vpc_id}: not found")
        changed = {**document, **asdict(spec), "default": document.get("default", False)}
        self.cloud.store.write(VPCS, vpc_id, changed)

    async def read(self, vpc_id: str) -> VpcSpec | None:
        """Return the VPC as it is, None if its record or its network is gone."""
        document = self.cloud.store.read(VPCS, vpc_id)
        if document is None or await inspect(self.cloud.host, "network", vpc_network(self.cloud.config)) is None:
            return None
        return VpcSpec(
            name=document["name"],
            region=document["region"],
            ip_range=document["ip_range"],
            default=document.get("default", False),
        )

    async def delete(self, vpc_id: str) -> None:
        """Remove the VPC. Raises CloudError while something is connected to it."""
        document = self.cloud.store.read(VPCS, vpc_id)
        if document is None:
            return
        check_vpc_goes(default=document.get("default", False))
        await networks.remove_network(self.cloud.host, vpc_network(self.cloud.config))
        self.cloud.store.delete(VPCS, vpc_id)
