"""The addresses of a local cloud: free ones only, kept for good, and never a slice that another cloud has."""

from __future__ import annotations

import fcntl
import json
import shutil
import threading
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from localcloud import allocate as module
from localcloud.allocate import allocate, routed_networks
from localcloud.config import CloudConfig, Mode
from localcloud.errors import CloudError

HEADER = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"


@pytest.fixture
def routes(monkeypatch: pytest.MonkeyPatch) -> list[IPv4Network]:
    """Return the machine's routes, which a test may add to."""
    networks: list[IPv4Network] = []
    monkeypatch.setattr(module, "routed_networks", lambda: networks)
    return networks


def cloud(tmp_path: Path, name: str = "local", *, clone: str = "clone", http_port: int | None = None) -> CloudConfig:
    directory = tmp_path / clone / ".local" / name
    return allocate(directory=directory, name=name, mode=Mode.DRY, cache=tmp_path / "cache", http_port=http_port)


@pytest.mark.usefixtures("routes")
def test_a_first_cloud_gets_the_first_slices_and_their_fixed_addresses(tmp_path: Path) -> None:
    config = cloud(tmp_path)
    assert (str(config.public_subnet), str(config.vpc_range)) == ("198.51.100.0/27", "10.77.0.0/24")
    assert (str(config.cloudflare_address), str(config.registry_address)) == ("198.51.100.2", "198.51.100.3")
    assert config.http_port == 80
    assert CloudConfig.load(tmp_path / "clone/.local/local/cloud.json") == config


@pytest.mark.usefixtures("routes")
def test_the_cloud_of_a_clone_that_was_moved_is_found_at_its_new_place_with_its_slices(tmp_path: Path) -> None:
    before = cloud(tmp_path)
    (tmp_path / "clone").rename(tmp_path / "moved")
    after = cloud(tmp_path, clone="moved")
    assert after == replace(before, state=tmp_path / "moved/.local/local/cloud")
    assert CloudConfig.load(tmp_path / "moved/.local/local/cloud.json") == after
    assert not cloud(tmp_path, clone="third").public_subnet.overlaps(after.public_subnet)


@pytest.mark.usefixtures("routes")
def test_a_copy_of_a_clone_does_not_use_the_cloud_of_the_first_one(tmp_path: Path) -> None:
    cloud(tmp_path)
    shutil.copytree(tmp_path / "clone", tmp_path / "copy")
    with pytest.raises(CloudError) as caught:
        cloud(tmp_path, clone="copy")
    here = tmp_path / "copy/.local/local"
    assert str(caught.value) == (
        f"{here}/cloud.json: state: {tmp_path}/clone/.local/local/cloud is the cloud of the clone that this one was "
        f"copied from\nhint: rm -r {here} makes room for a cloud of this clone's own; then the same command again"
    )


@pytest.mark.usefixtures("routes")
def test_two_clouds_of_a_clone_share_no_address(tmp_path: Path) -> None:
    first, second = cloud(tmp_path), cloud(tmp_path, "local-two")
    assert not first.public_subnet.overlaps(second.public_subnet)
    assert not first.vpc_range.overlaps(second.vpc_range)


@pytest.mark.usefixtures("routes")
def test_two_clouds_of_two_clones_share_no_address_before_either_runs(tmp_path: Path) -> None:
    first, second = cloud(tmp_path, clone="one"), cloud(tmp_path, clone="two")
    assert not first.public_subnet.overlaps(second.public_subnet)
    assert not first.vpc_range.overlaps(second.vpc_range)


@pytest.mark.usefixtures("routes")
def test_the_slices_of_a_clone_that_was_removed_are_free_again(tmp_path: Path) -> None:
    first = cloud(tmp_path, clone="one")
    shutil.rmtree(tmp_path / "one")
    assert cloud(tmp_path, clone="two").public_subnet == first.public_subnet
    assert (tmp_path / "cache/allocated").read_text() == f"{tmp_path}/two/.local/local/cloud.json\n"


def test_a_running_cloud_of_another_clone_keeps_its_slice(tmp_path: Path, routes: list[IPv4Network]) -> None:
    other = cloud(tmp_path, clone="other")
    routes += [other.public_subnet, other.vpc_range]  # a running cloud's bridges are routes of the machine
    config = cloud(tmp_path)
    assert (str(config.public_subnet), str(config.vpc_range)) == ("198.51.100.32/27", "10.77.1.0/24")


def test_a_route_that_holds_a_whole_pool_moves_on_to_the_next(tmp_path: Path, routes: list[IPv4Network]) -> None:
    routes.append(IPv4Network("198.51.100.0/24"))
    assert str(cloud(tmp_path).public_subnet) == "203.0.113.0/27"


def test_no_free_slice_is_refused_with_the_next_step(tmp_path: Path, routes: list[IPv4Network]) -> None:
    routes.append(IPv4Network("10.0.0.0/8"))
    with pytest.raises(CloudError) as caught:
        cloud(tmp_path)
    assert str(caught.value) == (
        "allocate: no free subnet is left\nhint: basec down --env NAME for a local stack that is no longer used"
    )
    assert not (tmp_path / "clone/.local/local/cloud.json").exists()


def test_a_second_call_keeps_all_but_a_named_port(tmp_path: Path, routes: list[IPv4Network]) -> None:
    first = cloud(tmp_path)
    routes.append(first.public_subnet)  # its own bridge is no reason to move
    assert cloud(tmp_path) == first
    moved = cloud(tmp_path, http_port=8080)
    assert moved == replace(first, http_port=8080)
    assert cloud(tmp_path) == moved


@pytest.mark.usefixtures("routes")
def test_a_cloud_of_before_there_was_tls_is_loaded_and_told_its_https_port_and_names(tmp_path: Path) -> None:
    path = tmp_path / "local/cloud.json"
    here: dict[str, Any] = {
        "directory": path.parent,
        "name": "local",
        "mode": Mode.DRY,
        "cache": tmp_path / "cache",
        "http_port": None,
    }
    old = json.loads(allocate(**here).to_json())
    del old["https_port"], old["visitor_labels"]
    path.write_text(json.dumps(old))
    assert (CloudConfig.load(path).https_port, CloudConfig.load(path).visitor_labels) == (443, ())
    allocate(**here, https_port=8443, visitor_labels=["demo", "acme"])
    allocate(**here, visitor_labels=["shop"])
    assert CloudConfig.load(path).https_port == 8443
    assert CloudConfig.load(path).visitor_labels == ("acme", "demo", "shop")


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("name", "Local", ValueError),
        ("name", "a" * 22, ValueError),
        ("mode", "paper", ValueError),
        ("http_port", 0, ValueError),
        ("https_port", 65536, ValueError),
        ("visitor_labels", "demo", TypeError),
        ("visitor_labels", ["-demo"], ValueError),
        ("public_subnet", "198.51.100.1/27", ValueError),
        ("colour", "red", KeyError),
    ],
)
@pytest.mark.usefixtures("routes")
def test_a_cloud_json_with_a_wrong_value_is_refused(
    tmp_path: Path, key: str, value: object, error: type[Exception]
) -> None:
    cloud(tmp_path)
    (path,) = tmp_path.rglob("cloud.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    said = f"{error.__name__}: .*{key if error is KeyError else ''}"
    with pytest.raises(CloudError, match=rf"/cloud\.json: damaged: {said}"):
        CloudConfig.load(path)


@pytest.mark.usefixtures("routes")
def test_a_label_that_is_no_part_of_a_host_name_is_refused(tmp_path: Path) -> None:
    here: dict[str, Any] = {
        "directory": tmp_path / "local",
        "name": "local",
        "mode": Mode.DRY,
        "cache": tmp_path / "cache",
    }
    with pytest.raises(ValueError, match="visitor_labels"):
        allocate(**here, http_port=None, visitor_labels=["de mo"])


@pytest.mark.usefixtures("routes")
def test_an_allocation_waits_for_another_one(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    with (tmp_path / "cache/allocate.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        worker = threading.Thread(target=cloud, args=(tmp_path,))
        worker.start()
        worker.join(0.2)
        assert worker.is_alive()
    worker.join(10)
    assert (tmp_path / "clone/.local/local/cloud.json").exists()


def test_routes_are_read_without_any_default_route(tmp_path: Path) -> None:
    table = tmp_path / "route"
    lines = [
        "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0",  # default
        "tun0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000080\t0\t0\t0",  # 0.0.0.0/1, half a default of a VPN client
        "tun0\t00000080\t0101A8C0\t0003\t0\t0\t0\t00000080\t0\t0\t0",  # 128.0.0.0/1
        "br0\t006433C6\t00000000\t0001\t0\t0\t0\tE0FFFFFF\t0\t0\t0",
        "tun0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0",
        "tun0\t010200C0\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0",
    ]
    table.write_text(HEADER + "\n".join(lines) + "\n")
    assert [str(network) for network in routed_networks(table)] == ["198.51.100.0/27", "10.0.0.0/8", "192.0.2.1/32"]
