"""Making droplets, with a machine that only writes down what it is asked."""

from __future__ import annotations

import asyncio
import dataclasses
import json

import pytest

from localcloud.config import CloudConfig
from localcloud.digitalocean.backend import Backend, DropletSpec, FirewallRule, FirewallSpec, VolumeSpec, VpcSpec
from localcloud.digitalocean.real import backend, droplets
from localcloud.digitalocean.real.volumes import Volumes
from localcloud.errors import CloudError, NotReadyError
from localcloud.tests.machines.fake_host import FakeHost

SECRET = "very-secret"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(droplets, "SETTLE_S", 0.0)
    monkeypatch.setattr(droplets, "SSH_DEADLINE_S", 0.0)


@pytest.fixture
def cloud(config: CloudConfig, host: FakeHost) -> Backend:
    return backend(config, host=host, image="droplet:1")


async def silent(_: str) -> None:
    """Show nothing."""


async def spec(cloud: Backend, name: str = "edge", **changes: object) -> DropletSpec:
    vpc_id = await cloud.vpcs.create("urn:vpc", VpcSpec(name="vpc", region="nyc3", ip_range="10.77.1.0/24"))
    plain = DropletSpec(
        name=f"shop-local-mt-{name}",
        region="nyc3",
        image="debian-13-x64",
        size="s-1vcpu-1gb",
        memory_mib=1024,
        vpc_id=vpc_id,
        tags=(name,),
        user_data=f"#cloud-config\n# {SECRET}\n",
        ssh_public_keys=(),
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


async def test_a_new_droplet_has_an_id_of_digits_and_the_first_addresses(cloud: Backend) -> None:
    state = await cloud.droplets.create("urn:edge", await spec(cloud), silent)
    assert state.id.isdigit()
    assert (state.ipv4_address, state.ipv4_address_private) == ("198.51.100.8", "10.77.1.2")
    assert state.status == "active"


async def test_droplets_made_at_once_share_no_address(cloud: Backend) -> None:
    first, second = await spec(cloud, "edge"), await spec(cloud, "infra")
    states = await asyncio.gather(
        cloud.droplets.create("urn:edge", first, silent), cloud.droplets.create("urn:infra", second, silent)
    )
    assert len({state.ipv4_address for state in states}) == 2
    assert len({state.ipv4_address_private for state in states}) == 2


async def test_user_data_reaches_no_argument_list_and_no_record(
    cloud: Backend, host: FakeHost, config: CloudConfig
) -> None:
    await cloud.droplets.create("urn:edge", await spec(cloud), silent)
    assert not [call for call in host.calls if any(SECRET in word for word in call)]
    records = [path for path in config.state.rglob("*") if path.is_file()]
    assert records
    assert not [path for path in records if SECRET in path.read_text()]
    assert any(SECRET.encode() in data for data in host.stdin)


async def test_the_filter_knows_a_droplet_before_it_starts(cloud: Backend, host: FakeHost) -> None:
    await cloud.droplets.create("urn:edge", await spec(cloud), silent)
    start = host.calls.index(("docker", "container", "start", "bc-local-mt-edge"))
    restores = [n for n, call in enumerate(host.calls) if call[0] == "iptables-restore"]
    assert restores[0] < start
    assert b":BC-local-mt-i8 - [0:0]" in host.stdin[1]


async def test_the_same_urn_and_spec_again_adopts_the_droplet(cloud: Backend, host: FakeHost) -> None:
    wanted = await spec(cloud)
    first = await cloud.droplets.create("urn:edge", wanted, silent)
    assert await cloud.droplets.create("urn:edge", wanted, silent) == first
    assert len(host.asked("docker", "container", "create")) == 1


async def test_a_droplet_that_is_off_is_adopted_by_starting_it(cloud: Backend, host: FakeHost) -> None:
    wanted = await spec(cloud)
    first = await cloud.droplets.create("urn:edge", wanted, silent)
    host.containers["bc-local-mt-edge"]["State"]["Running"] = False
    assert await cloud.droplets.create("urn:edge", wanted, silent) == first


async def test_another_spec_under_the_same_urn_makes_a_new_droplet(cloud: Backend, host: FakeHost) -> None:
    first = await cloud.droplets.create("urn:edge", await spec(cloud), silent)
    second = await cloud.droplets.create("urn:edge", await spec(cloud, user_data="other"), silent)
    assert second.id != first.id
    assert await cloud.droplets.read(first.id) is None
    assert list(host.containers) == ["bc-local-mt-edge"]


async def test_a_droplet_that_does_not_keep_running_fails_with_its_log(cloud: Backend, host: FakeHost) -> None:
    host.crash.add("bc-local-mt-edge")
    with pytest.raises(CloudError, match=r"does not keep running \(exit code 255\)\nFailed to mount cgroup"):
        await cloud.droplets.create("urn:edge", await spec(cloud), silent)


async def test_a_half_made_droplet_is_rebuilt_by_the_next_create(cloud: Backend, host: FakeHost) -> None:
    host.crash.add("bc-local-mt-edge")
    with pytest.raises(CloudError):
        await cloud.droplets.create("urn:edge", await spec(cloud), silent)
    host.crash.clear()
    state = await cloud.droplets.create("urn:edge", await spec(cloud), silent)
    assert state.ipv4_address == "198.51.100.8"
    assert len(host.asked("docker", "container", "create")) == 2
    assert list(host.containers) == ["bc-local-mt-edge"]


async def test_a_droplet_without_sshd_is_kept_and_not_ready(cloud: Backend, host: FakeHost) -> None:
    host.sshd = False
    with pytest.raises(NotReadyError) as caught:
        await cloud.droplets.create("urn:edge", await spec(cloud), silent)
    assert "sshd did not answer" in caught.value.reasons[0]
    assert "ssh.service: Failed" in caught.value.reasons[1]
    found = await cloud.droplets.read(caught.value.resource_id)
    assert found is not None
    assert caught.value.outputs["ipv4_address"] == found.ipv4_address


async def test_a_new_size_is_a_power_cut_and_no_new_droplet(cloud: Backend, host: FakeHost) -> None:
    first = await cloud.droplets.create("urn:edge", await spec(cloud), silent)
    host.calls.clear()
    changed = await spec(cloud, tags=("other",), size="s-1vcpu-2gb", memory_mib=2048)
    assert (await cloud.droplets.update(first.id, changed, silent)).id == first.id
    verbs = [call[2:] for call in host.asked("docker", "container") if call[2] in ("stop", "kill", "update", "start")]
    assert verbs == [
        ("kill", "bc-local-mt-edge"),
        ("update", "--memory=2048m", "--memory-swap=2147487744", "bc-local-mt-edge"),
        ("start", "bc-local-mt-edge"),
    ]


async def test_new_tags_leave_a_droplet_on(cloud: Backend, host: FakeHost) -> None:
    first = await cloud.droplets.create("urn:edge", await spec(cloud), silent)
    await cloud.droplets.update(first.id, await spec(cloud, tags=("other",)), silent)
    assert not host.asked("docker", "container", "kill")


async def test_a_volume_does_not_grow_while_its_droplet_gets_a_new_size(
    cloud: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    infra = await cloud.droplets.create("urn:infra", await spec(cloud, "infra"), silent)
    volume = await cloud.volumes.create("urn:volume", VolumeSpec(name="data", region="nyc3", size_gib=1))
    monkeypatch.setattr(Volumes, "connect", _nothing)
    await cloud.volumes.attach(volume, infra.id)
    resize = await spec(cloud, "infra", size="s-1vcpu-2gb", memory_mib=2048)
    monkeypatch.setattr(droplets, "SETTLE_S", 0.2)
    going_on = asyncio.create_task(cloud.droplets.update(infra.id, resize, silent))
    await asyncio.sleep(0.1)
    with pytest.raises(CloudError, match="Droplet already has a pending event"):
        await cloud.volumes.resize(volume, 2)
    await going_on
    monkeypatch.setattr(Volumes, "loop_device", _nothing)
    await cloud.volumes.resize(volume, 2)


async def _nothing(*_: object) -> None:
    """Stand for a loop device."""


async def test_a_new_tag_opens_what_its_firewall_says(cloud: Backend, host: FakeHost) -> None:
    inbound = FirewallRule(protocol="tcp", ports="22", addresses=("0.0.0.0/0",), tags=())
    await cloud.firewalls.put("urn:fw", None, FirewallSpec(name="x", tags=("open",), inbound=(inbound,), outbound=()))
    state = await cloud.droplets.create("urn:edge", await spec(cloud), silent)
    opened = b"-A BC-local-mt-i8 -s 0.0.0.0/0 -p tcp -m tcp --dport 22 -j RETURN"
    assert not any(opened in data for data in host.stdin)
    await cloud.droplets.update(state.id, await spec(cloud, tags=("edge", "open")), silent)
    assert any(opened in data for data in host.stdin)


async def test_a_machine_that_does_not_filter_bridges_is_refused(cloud: Backend, host: FakeHost) -> None:
    host.bridge_filtering = "0"
    with pytest.raises(CloudError, match="does not filter bridged packets\nhint: modprobe br_netfilter"):
        await cloud.droplets.create("urn:edge", await spec(cloud), silent)
    assert not host.asked("docker", "container", "start")


async def test_a_deleted_droplet_gives_its_addresses_back(cloud: Backend) -> None:
    first = await cloud.droplets.create("urn:edge", await spec(cloud), silent)
    await cloud.droplets.delete(first.id)
    second = await cloud.droplets.create("urn:edge", await spec(cloud), silent)
    assert second.ipv4_address == first.ipv4_address
    assert second.id != first.id


async def test_a_second_vpc_is_refused(cloud: Backend) -> None:
    await spec(cloud)
    with pytest.raises(CloudError, match="this cloud has one already"):
        await cloud.vpcs.create("urn:other", VpcSpec(name="b", region="nyc3", ip_range="10.78.0.0/24"))


async def test_a_taken_subnet_is_named(cloud: Backend, host: FakeHost) -> None:
    host.overlap = True
    with pytest.raises(
        CloudError, match=r"network bc-local-mt-vpc: another network .* part of 10\.77\.1\.0/24\nhint: "
    ):
        await spec(cloud)


async def test_a_droplet_in_an_unknown_vpc_is_refused(cloud: Backend) -> None:
    with pytest.raises(CloudError, match="vpc_uuid 'nope' not found"):
        await cloud.droplets.create("urn:edge", await spec(cloud, vpc_id="nope"), silent)


async def test_a_reserved_address_moves_only_when_it_is_free(cloud: Backend) -> None:
    edge = await cloud.droplets.create("urn:edge", await spec(cloud), silent)
    infra = await cloud.droplets.create("urn:infra", await spec(cloud, "infra"), silent)
    address = await cloud.reserved_ips.create("urn:ip", "nyc3")
    await cloud.reserved_ips.assign(address, edge.id)
    with pytest.raises(CloudError, match=f"{address}: already assigned to droplet {edge.id}"):
        await cloud.reserved_ips.assign(address, infra.id)
    await cloud.reserved_ips.unassign(address, edge.id)
    await cloud.reserved_ips.assign(address, infra.id)
    assert await cloud.reserved_ips.assigned(address) == infra.id


async def test_a_volume_never_shrinks(cloud: Backend) -> None:
    volume = await cloud.volumes.create("urn:volume", VolumeSpec(name="data", region="nyc3", size_gib=2))
    with pytest.raises(CloudError, match="size 1 GiB is below its 2 GiB"):
        await cloud.volumes.resize(volume, 1)
    assert await cloud.volumes.read(volume) == VolumeSpec(name="data", region="nyc3", size_gib=2)


async def test_a_volume_is_a_sparse_file_of_its_full_size(cloud: Backend, config: CloudConfig) -> None:
    volume = await cloud.volumes.create("urn:volume", VolumeSpec(name="data", region="nyc3", size_gib=2))
    found = (config.state / "volumes" / f"{volume}.img").stat()
    assert found.st_size == 2 * 1024**3
    assert found.st_blocks == 0
    assert found.st_mode & 0o777 == 0o600


async def test_a_volume_whose_name_is_taken_is_refused(cloud: Backend) -> None:
    spec = VolumeSpec(name="data", region="nyc3", size_gib=1)
    await cloud.volumes.create("urn:volume", spec)
    with pytest.raises(CloudError, match="volume data: a volume of that name already exists in nyc3"):
        await cloud.volumes.create("urn:other", spec)


async def test_an_id_cannot_leave_its_directory(cloud: Backend) -> None:
    with pytest.raises(CloudError, match="is not an id of this cloud"):
        await cloud.volumes.read("../../etc/passwd")


async def test_documents_keep_the_ids_of_the_real_cloud(cloud: Backend) -> None:
    assert await cloud.documents.put("tag", "urn:tag", "stack:local", {"name": "stack:local"}) == "stack:local"
    key = await cloud.ssh_keys.put("ssh_key", "urn:key", None, {"name": "k", "publicKey": "ssh-ed25519 AAAA"})
    assert key.isdigit()
    assert await cloud.ssh_keys.put("ssh_key", "urn:key", key, {"name": "l"}) == key
    assert await cloud.ssh_keys.read("ssh_key", key) == {"name": "l"}


async def test_records_are_readable_by_their_owner_only(cloud: Backend, config: CloudConfig) -> None:
    await cloud.droplets.create("urn:edge", await spec(cloud), silent)
    (record,) = (config.state / "droplets").glob("*.json")
    assert record.stat().st_mode & 0o777 == 0o600
    assert json.loads(record.read_text())["tags"] == ["edge"]
