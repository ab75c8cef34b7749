"""A bigger volume reaches the file system on it: real loop devices and mounts of the test's own, without Docker."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.remote import read_script
from localcloud.allocate import allocate
from localcloud.config import Mode
from localcloud.digitalocean.backend import VolumeSpec
from localcloud.digitalocean.real.droplets import DROPLETS
from localcloud.digitalocean.real.volumes import Volumes
from localcloud.machine.context import Cloud

DROPLET = "400000001"
FUNCTIONS = read_script("lib.sh", "upkeep.sh") + read_script("prepare-host.sh").rpartition("\nwait_for_cloud_init\n")[0]
SYSTEMCTL = """
systemd-escape() { echo mnt-data.mount; }
systemctl() {
  say "systemctl $*"
  case "$*" in
    'start mnt-data.mount') mount "$VOLUME_DEVICE" "$VOLUME_MOUNT" ;;
    'stop mnt-data.mount') umount "$VOLUME_MOUNT" ;;
  esac
}
TIER_PENDING=$UNITS_DIR/stopped
"""
GROW = """
install_volume
mount_volume
start_tier
df --output=size --block-size=1M "$VOLUME_MOUNT" | tail -n 1
"""


@dataclass
class Disk:
    """A volume of the local cloud on a droplet that is a mount namespace."""

    volumes: Volumes
    volume_id: str
    directory: Path

    def prepare(self, size_gib: int, *steps: str) -> str:
        """Run shell lines after the functions of prepare-host.sh, as for a volume of that size."""
        mount = self.directory / "data"
        variables = {
            "VOLUME_DEVICE": str(self.volumes.node_path(DROPLET, "data")),
            "VOLUME_SIZE_GIB": str(size_gib),
            "VOLUME_LABEL": "bc-data",
            "VOLUME_MOUNT": str(mount),
            "UNITS_DIR": str(self.directory),
            "TIER": "infra",
        }
        setting = "\n".join(f"{key}={value}" for key, value in variables.items())
        script = "\n".join((FUNCTIONS, setting, SYSTEMCTL, *steps))
        done = subprocess.run(
            ["unshare", "--mount", "bash", "-c", script], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/loop-control").exists(), reason="loop devices are made by root alone"
)


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[Disk]:
    place, cache = tmp_path / "local", tmp_path / "cache"
    config = allocate(directory=place, name="local", mode=Mode.REAL, cache=cache, http_port=None)
    cloud = Cloud.of(config)
    volumes = Volumes(cloud)
    cloud.store.write(DROPLETS, DROPLET, {"id": DROPLET})
    volume_id = await volumes.create("urn:volume", VolumeSpec(name="data", region="nyc3", size_gib=1))
    await volumes.attach(volume_id, DROPLET)
    yield Disk(volumes, volume_id, tmp_path)
    await volumes.detach(volume_id, DROPLET)


def megabytes(said: str) -> int:
    """Read what `df` said last."""
    return int(said.splitlines()[-1])


async def test_a_bigger_volume_grows_the_mounted_file_system_and_keeps_its_files(disk: Disk) -> None:
    before = disk.prepare(1, GROW, 'echo kept >"$VOLUME_MOUNT/file"; df --output=size -BM "$VOLUME_MOUNT" >&2')
    assert 900 < megabytes(before) < 1024
    await disk.volumes.resize(disk.volume_id, 2)
    mounted = 'mount "$VOLUME_DEVICE" "$VOLUME_MOUNT"'
    after = disk.prepare(2, mounted, 'cat "$VOLUME_MOUNT/file"', GROW)
    assert after.startswith("kept\n")
    assert 1900 < megabytes(after) < 2048


async def test_where_a_mounted_file_system_cannot_grow_the_tier_stops_and_starts_again(disk: Disk) -> None:
    disk.prepare(1, GROW)
    await disk.volumes.resize(disk.volume_id, 2)
    said = disk.prepare(2, 'mount "$VOLUME_DEVICE" "$VOLUME_MOUNT"', "may_grow_mounted() { false; }", GROW)
    asked = [line.removeprefix("systemctl ") for line in said.splitlines() if line.startswith("systemctl ")]
    tier, mount = "basecommerce-infra.service", "mnt-data.mount"
    assert asked == [f"stop {tier}", f"stop {mount}", f"start {mount}", f"start {tier}"]
    assert not (disk.directory / "stopped").exists()


async def test_the_next_run_starts_a_tier_that_an_interrupted_run_left_stopped(disk: Disk) -> None:
    disk.prepare(1, GROW)
    await disk.volumes.resize(disk.volume_id, 2)
    disk.prepare(2, 'mount "$VOLUME_DEVICE" "$VOLUME_MOUNT"', "release_volume")
    assert "systemctl start basecommerce-infra.service\n" in disk.prepare(2, GROW)


async def test_an_equal_size_touches_neither_tier_nor_file_system(disk: Disk) -> None:
    disk.prepare(1, GROW)
    said = disk.prepare(1, 'mount "$VOLUME_DEVICE" "$VOLUME_MOUNT"', "may_grow_mounted() { false; }", GROW)
    assert len(said.splitlines()) == 1


async def test_a_device_that_stays_small_is_a_failure_that_names_the_size(disk: Disk) -> None:
    disk.prepare(1, GROW)
    with pytest.raises(AssertionError, match=r"error: 2 GiB on .*scsi-0DO_Volume_data: not within 1 s"):
        disk.prepare(2, 'wait_until() { local what=$2; shift 2; "$@" || fail "$what: not within 1 s"; }', GROW)
