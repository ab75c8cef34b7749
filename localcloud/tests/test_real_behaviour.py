"""What DigitalOcean and Cloudflare refuse or fill in by themselves: so do the stand-ins, where a plan can meet it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os

import pytest

from localcloud.cloudflare import dry as cloudflare_dry
from localcloud.cloudflare import real as cloudflare_real
from localcloud.cloudflare.backend import Backend as Cloudflare
from localcloud.cloudflare.backend import RecordSpec
from localcloud.cloudflare.real import edge
from localcloud.config import CloudConfig
from localcloud.digitalocean import dry
from localcloud.digitalocean.backend import Backend, DropletSpec, VolumeSpec, VpcSpec
from localcloud.digitalocean.real import backend
from localcloud.digitalocean.resources import machines
from localcloud.errors import CloudError
from localcloud.provider.handler import Job
from localcloud.tests.machines.fake_host import FakeHost

VPC = VpcSpec(name="vpc", region="nyc3", ip_range="10.77.1.0/24")


async def silent(_: str) -> None:
    """Show nothing."""


async def nothing(*_: object) -> None:
    """Stand for the reload of the Cloudflare stand-in."""


@pytest.fixture
def cloud(config: CloudConfig) -> Backend:
    return dry.backend(config)


@pytest.fixture(params=["records", "containers"])
def either(config: CloudConfig, request: pytest.FixtureRequest) -> Backend:
    """Return a DigitalOcean of each kind."""
    return dry.backend(config) if request.param == "records" else backend(config, host=FakeHost(), image="droplet:1")


@pytest.fixture(params=["records", "containers"])
def either_zone(config: CloudConfig, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Cloudflare:
    """Return a Cloudflare of each kind."""
    monkeypatch.setattr(edge, "reload", nothing)
    return cloudflare_dry.backend(config) if request.param == "records" else cloudflare_real.backend(config, FakeHost())


async def droplet(cloud: Backend) -> DropletSpec:
    return DropletSpec(
        name="infra", region="nyc3", image="debian-13-x64", size="s-1vcpu-1gb", memory_mib=1024,
        vpc_id=await cloud.vpcs.create("urn:vpc", VPC), tags=("infra",), user_data="", ssh_public_keys=(),
    )  # fmt: skip


async def test_a_volume_does_not_grow_while_its_droplet_gets_a_new_size(cloud: Backend) -> None:
    spec = await droplet(cloud)
    infra = await cloud.droplets.create("urn:infra", spec, silent)
    volume = await cloud.volumes.create("urn:volume", VolumeSpec(name="data", region="nyc3", size_gib=1))
    await cloud.volumes.attach(volume, infra.id)
    resized = dataclasses.replace(spec, size="s-1vcpu-2gb", memory_mib=2048)
    going_on = asyncio.create_task(cloud.droplets.update(infra.id, resized, silent))
    await asyncio.sleep(0.1)
    with pytest.raises(CloudError, match="Droplet already has a pending event"):
        await cloud.volumes.resize(volume, 2)
    await going_on
    await cloud.volumes.resize(volume, 2)
    assert await cloud.volumes.read(volume) == VolumeSpec(name="data", region="nyc3", size_gib=2)


async def test_two_volumes_of_one_name_in_a_region_are_refused(cloud: Backend) -> None:
    await cloud.volumes.create("urn:volume", VolumeSpec(name="data", region="nyc3", size_gib=1))
    await cloud.volumes.create("urn:far", VolumeSpec(name="data", region="fra1", size_gib=1))
    with pytest.raises(CloudError, match="a volume of that name already exists in nyc3"):
        await cloud.volumes.create("urn:other", VolumeSpec(name="data", region="nyc3", size_gib=1))


def account(config: CloudConfig, **document: object) -> None:
    """Write the account's content."""
    config.state.mkdir(parents=True, exist_ok=True)
    (config.state / "account.json").write_text(json.dumps(document))


async def test_the_first_vpc_of_a_fresh_account_is_the_default_and_is_never_deleted(
    config: CloudConfig, either: Backend
) -> None:
    account(config, fresh=True)
    vpc = await either.vpcs.create("urn:vpc", VPC)
    await either.vpcs.update(vpc, dataclasses.replace(VPC, name="other"))
    assert await either.vpcs.read(vpc) == dataclasses.replace(VPC, name="other", default=True)
    with pytest.raises(CloudError, match="403 Can not delete default VPCs"):
        await either.vpcs.delete(vpc)


async def test_in_an_account_that_was_used_before_a_vpc_is_no_default_and_goes(either: Backend) -> None:
    vpc = await either.vpcs.create("urn:vpc", VPC)
    assert await either.vpcs.read(vpc) == VPC
    await either.vpcs.delete(vpc)
    assert await either.vpcs.read(vpc) is None


async def test_a_login_key_that_the_account_has_already_is_refused(config: CloudConfig, either: Backend) -> None:
    account(config, ssh_keys=["ssh-ed25519 AAAA somebody"])
    with pytest.raises(CloudError, match="SSH Key is already in use on your account"):
        await either.ssh_keys.put("ssh_key", "urn:key", None, {"name": "k", "publicKey": "ssh-ed25519 AAAA us"})
    await either.ssh_keys.put("ssh_key", "urn:key", None, {"name": "k", "publicKey": "ssh-ed25519 BBBB"})
    with pytest.raises(CloudError, match="SSH Key is already in use on your account"):
        await either.ssh_keys.put("ssh_key", "urn:other", None, {"name": "l", "publicKey": "ssh-ed25519 BBBB"})


async def test_a_second_record_of_a_name_is_taken_and_the_same_one_again_is_not(config: CloudConfig) -> None:
    records = cloudflare_dry.backend(config).records
    spec = RecordSpec(zone_id="0" * 32, name="b.test", type="A", content="192.0.2.1", proxied=True, ttl=1)
    first = await records.put("urn:a", None, spec)
    assert await records.put("urn:b", None, dataclasses.replace(spec, content="192.0.2.2")) != first
    with pytest.raises(CloudError, match=r"An identical record already exists. \(81058\)"):
        await records.put("urn:c", None, spec)


async def test_a_record_beside_a_cname_is_refused_and_beside_an_address_is_not(
    config: CloudConfig, either_zone: Cloudflare
) -> None:
    zone = "0" * 32
    records = [{"zone_id": zone, "name": name, "type": kind} for name, kind in (("a.test", "CNAME"), ("b.test", "A"))]
    account(config, records=records)
    spec = RecordSpec(zone_id=zone, name="b.test", type="A", content="192.0.2.1", proxied=True, ttl=1)
    await either_zone.records.put("urn:b", None, spec)
    with pytest.raises(CloudError, match=r"A CNAME record with that host already exists. \(81054\)"):
        await either_zone.records.put("urn:a", None, dataclasses.replace(spec, name="a.test"))


class CrashError(Exception):
    """Stands for the end of the plugin's process."""


async def test_the_end_of_an_assignment_whose_droplet_is_gone_is_the_end_of_the_plugin(
    config: CloudConfig, cloud: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(code: int) -> None:
        raise CrashError(code)

    monkeypatch.setattr(os, "_exit", end)
    infra = await cloud.droplets.create("urn:infra", await droplet(cloud), silent)
    address = await cloud.reserved_ips.create("urn:ip", "nyc3")
    await cloud.reserved_ips.assign(address, infra.id)
    handler, job = (
        machines.ReservedIpAssignment(),
        Job(urn="urn", name="ip", backend=cloud, config=config, progress=silent),
    )
    state = {"ipAddress": address, "dropletId": int(infra.id)}
    await cloud.droplets.delete(infra.id)
    with pytest.raises(CrashError, match="2"):
        await handler.delete(job, "x", state, state)
    assert await handler.read(job, "x", state, state) is None, "a refresh heals"
    await cloud.reserved_ips.delete(address)
    await handler.delete(job, "x", state, state)


async def test_no_droplet_of_a_dry_cloud_gets_a_reserved_address(cloud: Backend) -> None:
    spec = await droplet(cloud)
    reserved = await cloud.reserved_ips.create("urn:ip", "nyc3")
    given = [(await cloud.droplets.create(f"urn:{number}", spec, silent)).ipv4_address for number in range(16)]
    assert len({*given, reserved}) == 17
    with pytest.raises(CloudError, match="no address is left\nhint: delete a droplet"):
        await cloud.droplets.create("urn:16", spec, silent)
