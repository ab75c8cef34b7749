"""What DigitalOcean and Cloudflare refuse or fill in by themselves: so do the stand-ins, where a plan can meet it."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from localcloud.backend import CloudError, DropletSpec, VolumeSpec, VpcSpec
from localcloud.config import CloudConfig
from localcloud.dry import DryCloud

VPC = VpcSpec(name="vpc", region="nyc3", ip_range="10.77.1.0/24")


async def silent(_: str) -> None:
    """Show nothing."""


@pytest.fixture
def cloud(config: CloudConfig) -> DryCloud:
    return DryCloud(config)


async def droplet(cloud: DryCloud) -> DropletSpec:
    return DropletSpec(
        name="infra", region="nyc3", image="debian-13-x64", size="s-1vcpu-1gb", memory_mib=1024,
        vpc_id=await cloud.create_vpc("urn:vpc", VPC), tags=("infra",), user_data="", ssh_public_keys=(),
    )  # fmt: skip


async def test_a_volume_does_not_grow_while_its_droplet_gets_a_new_size(cloud: DryCloud) -> None:
    spec = await droplet(cloud)
    infra = await cloud.create_droplet("urn:infra", spec, silent)
    volume = await cloud.create_volume("urn:volume", VolumeSpec(name="data", region="nyc3", size_gib=1))
    await cloud.attach_volume(volume, infra.id)
    resized = dataclasses.replace(spec, size="s-1vcpu-2gb", memory_mib=2048)
    going_on = asyncio.create_task(cloud.update_droplet(infra.id, resized, silent))
    await asyncio.sleep(0.1)
    with pytest.raises(CloudError, match="Droplet already has a pending event"):
        await cloud.resize_volume(volume, 2)
    await going_on
    await cloud.resize_volume(volume, 2)
    assert await cloud.read_volume(volume) == VolumeSpec(name="data", region="nyc3", size_gib=2)


async def test_two_volumes_of_one_name_in_a_region_are_refused(cloud: DryCloud) -> None:
    await cloud.create_volume("urn:volume", VolumeSpec(name="data", region="nyc3", size_gib=1))
    await cloud.create_volume("urn:far", VolumeSpec(name="data", region="fra1", size_gib=1))
    with pytest.raises(CloudError, match="a volume of that name already exists in nyc3"):
        await cloud.create_volume("urn:other", VolumeSpec(name="data", region="nyc3", size_gib=1))
