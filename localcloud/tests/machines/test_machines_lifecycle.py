"""Starting and removing a whole cloud, with a machine that only writes down what it is asked."""

from __future__ import annotations

import pytest

from localcloud import lifecycle
from localcloud.cloudflare.real import edge
from localcloud.config import CloudConfig
from localcloud.digitalocean.backend import DropletSpec, VpcSpec
from localcloud.digitalocean.real import backend, droplets
from localcloud.errors import CloudError
from localcloud.images import registry
from localcloud.tests.machines.fake_host import FakeHost

EDGE = "bc-local-mt-edge"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: object) -> None:
        """Stand for the registry and the stand-in, which have tests of their own."""

    monkeypatch.setattr(droplets, "SETTLE_S", 0.0)
    monkeypatch.setattr(droplets, "SSH_DEADLINE_S", 0.0)
    for module in (registry, edge):
        monkeypatch.setattr(module, "ensure", nothing)
        monkeypatch.setattr(module, "remove", nothing)


async def make_edge(config: CloudConfig, host: FakeHost) -> None:
    cloud = backend(config, host=host, image="droplet:1")
    vpc = await cloud.vpcs.create("urn:vpc", VpcSpec(name="vpc", region="nyc3", ip_range="10.77.1.0/24"))
    spec = DropletSpec(
        name="shop-local-mt-edge",
        region="nyc3",
        image="debian-13-x64",
        size="s-1vcpu-1gb",
        memory_mib=1024,
        vpc_id=vpc,
        tags=(),
        user_data="",
        ssh_public_keys=(),
    )

    async def silent(_: str) -> None:
        """Show nothing."""

    await cloud.droplets.create("urn:edge", spec, silent)


async def test_power_on_of_a_cloud_without_droplets_makes_the_public_network(
    config: CloudConfig, host: FakeHost
) -> None:
    await lifecycle.power_on(config, lambda _: None, host)
    assert list(host.networks) == ["bc-local-mt-public"]


async def test_power_on_starts_what_is_off_after_its_rules_are_in_the_kernel(
    config: CloudConfig, host: FakeHost
) -> None:
    await make_edge(config, host)
    host.containers[EDGE]["State"]["Running"] = False
    host.calls.clear()
    said: list[str] = []
    await lifecycle.power_on(config, said.append, host)
    programs = [call[:3] for call in host.calls]
    assert programs.index(("iptables-restore", "--noflush", "--wait")) < programs.index(
        ("docker", "container", "start")
    )
    assert said == ["starting shop-local-mt-edge"]


async def test_power_on_leaves_what_runs_alone(config: CloudConfig, host: FakeHost) -> None:
    await make_edge(config, host)
    host.calls.clear()
    await lifecycle.power_on(config, lambda _: None, host)
    assert not host.asked("docker", "container", "start")


async def test_power_on_leaves_a_half_made_droplet_to_the_engine(config: CloudConfig, host: FakeHost) -> None:
    host.crash.add(EDGE)
    with pytest.raises(CloudError):
        await make_edge(config, host)
    host.calls.clear()
    await lifecycle.power_on(config, lambda _: None, host)
    assert not host.asked("docker", "container", "start")


async def test_power_on_says_that_sshd_is_silent_and_goes_on(config: CloudConfig, host: FakeHost) -> None:
    await make_edge(config, host)
    host.containers[EDGE]["State"]["Running"] = False
    host.sshd = False
    said: list[str] = []
    await lifecycle.power_on(config, said.append, host)
    assert any("sshd did not answer" in line for line in said)


async def test_down_of_nothing_succeeds_and_leaves_other_files_alone(config: CloudConfig, host: FakeHost) -> None:
    config.state.mkdir()
    (config.state / "notes").write_text("mine")
    await lifecycle.down(config, lambda _: None, host)
    await lifecycle.down(config, lambda _: None, host)
    assert [path.name for path in config.state.iterdir()] == ["notes"]
