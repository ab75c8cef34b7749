"""One small cloud with real containers: a bastion, a closed droplet with a disk, a neighbour. In order, on one cloud.

Needs root, Docker and the built droplet image.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

import pytest

from localcloud import lifecycle
from localcloud.config import CloudConfig, Mode
from localcloud.digitalocean.backend import (
    Backend,
    DropletSpec,
    DropletState,
    FirewallRule,
    FirewallSpec,
    VolumeSpec,
    VpcSpec,
)
from localcloud.digitalocean.real import backend
from localcloud.errors import CloudError
from localcloud.images.build import droplet_image
from localcloud.machine import labels
from localcloud.naming import default_cache

pytestmark = pytest.mark.real

EDGE, INFRA = "bc-local-mt-edge", "bc-local-mt-infra"
DISK = "/dev/disk/by-id/scsi-0DO_Volume_mt-data"
MOUNT_UNIT = f"[Mount]\nWhat={DISK}\nWhere=/mnt/data\nType=ext4\n[Install]\nWantedBy=multi-user.target\n"
EVERYWHERE = ("0.0.0.0/0",)
OUTBOUND = (
    FirewallRule(protocol="tcp", ports="1-65535", addresses=("10.77.250.0/24",), tags=()),
    FirewallRule(protocol="tcp", ports="80", addresses=EVERYWHERE, tags=()),
    FirewallRule(protocol="icmp", ports="", addresses=EVERYWHERE, tags=()),
)


@dataclass(frozen=True)
class Machines:
    """The cloud of this file, after its droplets are made."""

    cloud: Backend
    config: CloudConfig
    edge: DropletState
    infra: DropletState
    volume: str
    reserved: str


def run(*argv: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False)


def inside(container: str, script: str) -> str:
    """Run a script as root in a droplet; it has to succeed."""
    result = run("docker", "exec", container, "sh", "-ec", script)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def reaches(argv: tuple[str, ...], address: str, port: int) -> bool:
    return run(*argv, "nc", "-z", "-w", "2", address, str(port)).returncode == 0


def from_droplet(container: str) -> tuple[str, ...]:
    return ("docker", "exec", container)


def banner(address: str) -> bool:
    """Return whether the machine itself, the internet of this cloud, reaches sshd."""
    script = f"exec 3<>/dev/tcp/{address}/22; head -c 4 <&3"
    return run("timeout", "2", "bash", "-c", script).stdout == "SSH-"


def wait_until(script: str, container: str, seconds: float = 30) -> None:
    result = run(
        "timeout", str(seconds), "sh", "-c", f"until docker exec {container} sh -c '{script}'; do sleep 0.2; done"
    )
    assert result.returncode == 0, result.stderr[-500:]


def traces(config: CloudConfig) -> list[str]:
    """List what is left of the cloud on the machine."""
    label = f"label={labels.CLOUD}={config.name}"
    found = [
        run("docker", kind, "ls", "-q", *(("-a",) if kind == "container" else ()), "--filter", label).stdout
        for kind in ("container", "network", "volume")
    ]
    found += [
        line for line in run("losetup", "--list", "--noheadings").stdout.splitlines() if str(config.state) in line
    ]
    for save in ("iptables-save", "ip6tables-save"):
        found += [line for line in run(save).stdout.splitlines() if "BC-local-mt-" in line]
    found += [str(path) for path in config.state.rglob("*")]
    return [trace for trace in found if trace]


async def silent(_: str) -> None:
    """Show nothing."""


def hush(_: str) -> None:
    """Show nothing."""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudConfig]:
    if os.geteuid() != 0 or run("docker", "info").returncode != 0:
        pytest.fail("needs root and Docker\nhint: run the other tests with `-m 'not real'`")
    made = CloudConfig(
        name="local-mt",
        mode=Mode.REAL,
        state=tmp_path_factory.mktemp("cloud"),
        cache=default_cache(),
        public_subnet=IPv4Network("198.51.100.192/27"),
        cloudflare_address=IPv4Address("198.51.100.194"),
        registry_address=IPv4Address("198.51.100.195"),
        vpc_range=IPv4Network("10.77.250.0/24"),
        http_port=18099,
    )
    asyncio.run(lifecycle.down(made, hush))
    yield made
    asyncio.run(lifecycle.down(made, hush))


@pytest.fixture(scope="module")
def machines(config: CloudConfig) -> Machines:
    return asyncio.run(make(config))


async def make(config: CloudConfig) -> Machines:
    image = await asyncio.to_thread(droplet_image, config.cache)
    cloud = backend(config, image=image)
    vpc = await cloud.vpcs.create("urn:vpc", VpcSpec(name="mt", region="nyc3", ip_range=str(config.vpc_range)))
    world = FirewallRule(protocol="tcp", ports="22", addresses=EVERYWHERE, tags=())
    peers = FirewallRule(protocol="tcp", ports="22", addresses=(), tags=("mt-edge",))
    for name, inbound in (("edge", world), ("infra", peers)):
        spec = FirewallSpec(name=name, tags=(f"mt-{name}",), inbound=(inbound,), outbound=OUTBOUND)
        await cloud.firewalls.put(f"urn:firewall-{name}", None, spec)
    edge, infra = await asyncio.gather(*(droplet(cloud, vpc, name) for name in ("edge", "infra")))
    volume = await cloud.volumes.create("urn:volume", VolumeSpec(name="mt-data", region="nyc3", size_gib=1))
    await cloud.volumes.attach(volume, infra.id)
    reserved = await cloud.reserved_ips.create("urn:ip", "nyc3")
    await cloud.reserved_ips.assign(reserved, edge.id)
    return Machines(cloud, config, edge, infra, volume, reserved)


async def droplet(cloud: Backend, vpc: str, name: str) -> DropletState:
    spec = DropletSpec(
        name=f"shop-local-mt-{name}",
        region="nyc3",
        image="debian-13-x64",
        size="s-1vcpu-1gb",
        memory_mib=512,
        vpc_id=vpc,
        tags=(f"mt-{name}",),
        user_data=f"#cloud-config\nruncmd:\n  - echo {name} > /root/from-user-data\n",
        ssh_public_keys=(),
    )
    return await cloud.droplets.create(f"urn:{name}", spec, silent)


def test_cloud_init_runs_the_user_data(machines: Machines) -> None:
    assert machines.infra.status == "active"
    for container, name in ((EDGE, "edge"), (INFRA, "infra")):
        assert "status: done" in inside(container, "cloud-init status --wait")
        assert inside(container, "cat /root/from-user-data") == name
        assert inside(container, "systemctl --failed --no-legend") == ""


def test_docker_in_a_droplet_trusts_the_local_registry(machines: Machines) -> None:
    assert "registry.localcloud.internal:80" in inside(EDGE, "docker info 2>/dev/null")
    assert "overlay2" in inside(EDGE, "docker info --format '{{.Driver}}'")
    assert inside(EDGE, "getent hosts registry.localcloud.internal").startswith("198.51.100.195 ")


def test_each_droplet_has_its_own_identity(machines: Machines) -> None:
    for path in ("/etc/machine-id", "/etc/ssh/ssh_host_ed25519_key.pub"):
        assert inside(EDGE, f"cat {path}") != inside(INFRA, f"cat {path}")


def test_only_the_bastion_answers_the_internet(machines: Machines) -> None:
    assert banner(machines.edge.ipv4_address)
    assert banner(machines.reserved)
    assert not banner(machines.infra.ipv4_address)
    assert not banner(machines.infra.ipv4_address_private)


def test_a_rule_for_a_tag_lets_that_droplet_in_and_no_other_port(machines: Machines) -> None:
    assert reaches(from_droplet(EDGE), machines.infra.ipv4_address_private, 22)
    inside(INFRA, "systemd-run -q --unit=other-port python3 -m http.server 8000")
    wait_until("ss -Hltn sport = :8000 | grep -q .", INFRA)
    assert reaches(from_droplet(INFRA), machines.infra.ipv4_address_private, 8000)
    assert not reaches(from_droplet(EDGE), machines.infra.ipv4_address_private, 8000)


def test_a_neighbour_in_the_vpc_gets_what_addresses_allow_and_no_more(machines: Machines) -> None:
    image = run("docker", "inspect", "--format", "{{.Config.Image}}", EDGE).stdout.strip()
    for network in ("bc-local-mt-vpc", "bc-local-mt-public"):
        neighbour = ("docker", "run", "--rm", "--network", network, "--entrypoint", "nc", image, "-zw", "2")
        private = network == "bc-local-mt-vpc"
        edge = machines.edge.ipv4_address_private if private else machines.edge.ipv4_address
        infra = machines.infra.ipv4_address_private if private else machines.infra.ipv4_address
        assert run(*neighbour, edge, "22").returncode == 0
        assert run(*neighbour, infra, "22").returncode != 0


def test_peers_see_private_addresses_unchanged(machines: Machines) -> None:
    inside(INFRA, "journalctl --rotate -q; journalctl --vacuum-time=1s -q 2>/dev/null")
    reaches(from_droplet(EDGE), machines.infra.ipv4_address_private, 22)
    # By name, not by unit: for a session that ends at once the journal often no longer knows the unit.
    sshd = "journalctl --identifier=sshd --identifier=sshd-session"
    wait_until(f"{sshd} | grep -qF {machines.edge.ipv4_address_private}", INFRA)


def test_root_in_a_droplet_cannot_leave_by_an_address_of_its_own(machines: Machines) -> None:
    inside(EDGE, "ip address add 198.51.100.221/32 dev eth0")
    script = f"nc -z -w 2 -s 198.51.100.221 {machines.infra.ipv4_address} 22"
    assert run("docker", "exec", EDGE, "sh", "-c", script).returncode != 0
    inside(EDGE, "ip address delete 198.51.100.221/32 dev eth0")


@contextmanager
def serving(address: str, port: int, *inside: str) -> Iterator[None]:
    """Start a web server, in a namespace if one is entered by `inside`; the machine itself reaches it."""
    command = (*inside, sys.executable, "-m", "http.server", str(port), "--bind", address)
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        answers = f"until (exec 3<>/dev/tcp/{address}/{port}) 2>/dev/null; do sleep 0.1; done"
        assert run("timeout", "20", "bash", "-c", answers).returncode == 0
        yield
    finally:
        server.kill()
        server.wait()


def test_a_droplet_reaches_no_service_of_the_machine(machines: Machines) -> None:
    with serving("198.51.100.193", 18098):
        assert not reaches(from_droplet(EDGE), "198.51.100.193", 18098)


def test_a_droplet_reaches_no_link_local_service_beside_the_machine(machines: Machines) -> None:
    """Ask what stands where a cloud server has its metadata service; the droplet's own stand-in has another address."""
    space = f"bc-{os.getpid()}"
    made = (
        f"ip netns add {space}",
        f"ip link add {space} type veth peer name inner netns {space}",
        f"ip address add 169.254.170.1/30 dev {space}",
        f"ip link set {space} up",
        f"ip -n {space} address add 169.254.170.2/30 dev inner",
        f"ip -n {space} link set inner up",
        f"ip -n {space} route add default via 169.254.170.1",
    )
    try:
        for command in made:
            done = run(*command.split())
            assert done.returncode == 0, done.stderr
        with serving("169.254.170.2", 80, "ip", "netns", "exec", space):
            assert not reaches(from_droplet(EDGE), "169.254.170.2", 80)
    finally:
        run("ip", "netns", "delete", space)


def test_a_volume_appears_in_the_running_droplet_and_survives_its_reboot(machines: Machines) -> None:
    inside(
        INFRA, f"mkfs.ext4 -q {DISK}; mkdir -p /mnt/data; printf '{MOUNT_UNIT}' > /etc/systemd/system/mnt-data.mount"
    )
    inside(INFRA, "systemctl daemon-reload; systemctl -q enable --now mnt-data.mount; echo kept > /mnt/data/file; sync")
    boot = inside(INFRA, "stat -c %Y /proc/1")
    run("docker", "exec", INFRA, "systemctl", "reboot")
    wait_until(f"test $(stat -c %Y /proc/1) != {boot} && systemctl is-active -q mnt-data.mount", INFRA)
    assert inside(INFRA, "cat /mnt/data/file") == "kept"
    assert inside(INFRA, "findmnt -no SOURCE /mnt/data") == DISK


async def test_a_larger_volume_shows_at_once(machines: Machines) -> None:
    await machines.cloud.volumes.resize(machines.volume, 2)
    assert inside(INFRA, f"blockdev --getsize64 {DISK}") == str(2 * 1024**3)


async def test_a_volume_in_use_is_not_deleted(machines: Machines) -> None:
    with pytest.raises(CloudError, match="cannot be deleted"):
        await machines.cloud.volumes.delete(machines.volume)


def test_a_reserved_address_survives_the_reboot_of_its_droplet(machines: Machines) -> None:
    assert run("docker", "restart", EDGE).returncode == 0
    wait_until("ss -Hltn sport = :22 | grep -q .", EDGE)
    assert banner(machines.reserved)
    assert not banner(machines.infra.ipv4_address)


async def test_power_on_brings_back_a_machine_that_lost_everything_but_its_containers(machines: Machines) -> None:
    loop = run("losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE").stdout
    device = next(line.split()[0] for line in loop.splitlines() if machines.volume in line)
    run("docker", "stop", EDGE, INFRA)
    run("losetup", "--detach", device)
    run("iptables", "-F", "BC-local-mt-forward")
    await lifecycle.power_on(machines.config, hush)
    wait_until("systemctl is-active -q mnt-data.mount", INFRA)
    assert inside(INFRA, "cat /mnt/data/file") == "kept"
    assert banner(machines.reserved)
    assert not reaches(from_droplet(EDGE), machines.infra.ipv4_address_private, 8000)


async def test_an_unassigned_address_falls_silent(machines: Machines) -> None:
    await machines.cloud.reserved_ips.unassign(machines.reserved, machines.edge.id)
    assert not banner(machines.reserved)
    assert banner(machines.edge.ipv4_address)


async def test_a_droplet_is_replaced_and_keeps_its_volume(machines: Machines) -> None:
    await machines.cloud.volumes.detach(machines.volume, machines.infra.id)
    await machines.cloud.droplets.delete(machines.infra.id)
    assert await machines.cloud.droplets.read(machines.infra.id) is None
    vpcs = list((machines.config.state / "vpcs").glob("*.json"))
    again = await droplet(machines.cloud, vpcs[0].stem, "infra")
    assert again.id != machines.infra.id
    await machines.cloud.volumes.attach(machines.volume, again.id)
    assert inside(INFRA, f"mkdir -p /mnt/data; mount {DISK} /mnt/data; cat /mnt/data/file; umount /mnt/data") == "kept"


async def test_down_leaves_nothing_and_can_be_repeated(machines: Machines) -> None:
    await lifecycle.down(machines.config, hush)
    assert traces(machines.config) == []
    await lifecycle.down(machines.config, hush)
