"""What a droplet's container is asked to be."""

from __future__ import annotations

import dataclasses
import io
import tarfile
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from localcloud.config import CloudConfig, Mode
from localcloud.digitalocean.backend import DropletSpec
from localcloud.digitalocean.real import container

CONFIG = CloudConfig(
    name="local",
    mode=Mode.REAL,
    state=Path("/nowhere/state"),
    cache=Path("/nowhere/cache"),
    public_subnet=IPv4Network("198.51.100.0/27"),
    cloudflare_address=IPv4Address("198.51.100.2"),
    registry_address=IPv4Address("198.51.100.3"),
    vpc_range=IPv4Network("10.77.1.0/24"),
    http_port=8080,
)
SPEC = DropletSpec(
    name="shop-local-edge",
    region="nyc3",
    image="debian-13-x64",
    size="s-1vcpu-1gb",
    memory_mib=1024,
    vpc_id="vpc",
    tags=("edge",),
    user_data="#cloud-config\nssh_keys: {ed25519_private: very-secret}\n",
    ssh_public_keys=("ssh-ed25519 AAAA",),
)
IDENTITY = container.Identity(
    id="123456789", container="bc-local-edge", public=IPv4Address("198.51.100.8"), private=IPv4Address("10.77.1.2")
)


CONFINED, WHOLE = "CapEff:\t0\nCapBnd:\t000001fffeffffff\n", "CapEff:\t0\nCapBnd:\t000001ffffffffff\n"


def arguments(engine_status: str = CONFINED) -> tuple[str, ...]:
    disk = Path("/nowhere/disk")
    return container.create_arguments(
        CONFIG, "urn", SPEC, IDENTITY, image="droplet:1", disk=disk, engine_status=engine_status
    )


def test_no_argument_holds_a_secret() -> None:
    assert not [word for word in arguments() if "very-secret" in word]


def test_the_droplet_has_its_memory_and_no_swap() -> None:
    assert {"--memory=1024m", "--memory-swap=1073745920"} <= set(arguments())


@pytest.mark.parametrize("name", ["SYS_RESOURCE", "BPF", "PERFMON", "CHECKPOINT_RESTORE"])
def test_a_capability_that_a_confined_machine_lacks_is_not_asked_for(name: str) -> None:
    assert f"--cap-add={name}" not in arguments()
    assert "--privileged" not in arguments()


def test_a_droplet_may_grow_a_mounted_file_system_where_the_engine_has_that_right_to_give() -> None:
    assert "--cap-add=SYS_RESOURCE" in arguments(WHOLE)
    assert "--cap-add=SYS_RESOURCE" not in arguments("")


def test_nested_containers_stay_in_the_droplet_s_cgroup() -> None:
    assert "--cgroupns=private" in arguments()


def test_user_data_is_readable_by_root_only() -> None:
    with tarfile.open(fileobj=io.BytesIO(container.seed_archive(SPEC, IDENTITY, ""))) as archive:
        entry = archive.getmember("var/lib/cloud/seed/nocloud/user-data")
        content = archive.extractfile(entry)
        assert content is not None
        assert content.read().decode() == SPEC.user_data
    assert (entry.mode, entry.uid) == (0o600, 0)


@pytest.mark.parametrize(
    ("droplet", "name"),
    [
        ("shop-local-edge", "bc-local-edge"),
        ("shop-local-edge-2", "bc-local-edge-2"),
        ("Some.Thing", "bc-local-some-thing"),
    ],
)
def test_a_container_is_named_after_its_droplet(droplet: str, name: str) -> None:
    assert container.container_name(CONFIG, droplet) == name


@pytest.mark.parametrize("change", [{"user_data": "x"}, {"image": "x"}, {"vpc_id": "x"}, {"ssh_public_keys": ("x",)}])
def test_what_a_droplet_is_born_with_changes_its_hash(change: dict[str, object]) -> None:
    assert container.spec_hash(dataclasses.replace(SPEC, **change)) != container.spec_hash(SPEC)  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [{"tags": ("x",)}, {"name": "x"}, {"memory_mib": 2048}, {"size": "x"}])
def test_what_may_change_in_its_life_does_not(change: dict[str, object]) -> None:
    assert container.spec_hash(dataclasses.replace(SPEC, **change)) == container.spec_hash(SPEC)  # type: ignore[arg-type]


def test_resolvers_on_loopback_are_left_out() -> None:
    text = "# made by hand\nnameserver 127.0.0.53\nnameserver 10.1.1.1\nsearch lan\n"
    assert container.resolvers(text) == "nameserver 10.1.1.1\n"
