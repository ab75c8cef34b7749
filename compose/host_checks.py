"""What must hold on a droplet before containers are started: room on its disks, its private address, the data volume.

Containers and their health: containers.py. Rules for the host itself, such as its firewall, are set over SSH by
components/. Shipped in every bundle and run as root by Debian's own Python: standard library only.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from pathlib import Path

from programs import ReleaseError
from tier_files import Description, Paths

ADDRESS_WAIT = 60  # seconds; at boot the private address can come after Docker
MIN_FREE_MIB = {"/": 1024, "data": 512}
"""MiB that must be free before a release: images of a tier take up to 700 MiB unpacked beside those that run, and
PostgreSQL needs room for the log that it writes while a migration runs."""


def check_disks(tier: str, paths: Paths, description: Description) -> None:
    """Refuse to begin a release on a disk that it could fill, before anything is touched."""
    places = {paths.root: MIN_FREE_MIB["/"], Path("/var/lib/docker"): MIN_FREE_MIB["/"]}
    if description.data:
        places[description.mount] = MIN_FREE_MIB["data"]
    for path, wanted in places.items():
        there = next(p for p in (path, *path.parents) if p.exists())
        free = shutil.disk_usage(there).free // 2**20
        if free < wanted:
            raise ReleaseError(
                f"{tier}: disk: {path}: {free} MiB free, a release needs {wanted}",
                "look at `df -h` and `docker system df`; `docker image prune` removes images without a tag",
            )


def check_address(tier: str, address: str) -> None:
    """Wait up to ADDRESS_WAIT seconds for the private address; refuse to go on without it."""
    deadline = time.monotonic() + ADDRESS_WAIT
    while not is_local(address):
        if time.monotonic() > deadline:
            raise ReleaseError(
                f"{tier}: PRIVATE_ADDRESS: {address} is on no interface after {ADDRESS_WAIT} s",
                "a rebuilt droplet has a new address: run `up`; otherwise look at `ip address`",
            )
        time.sleep(0.5)


def is_local(address: str) -> bool:
    """Return whether an interface of this machine has the address: only then can a socket bind to it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
        return True


def check_data_volume(tier: str, description: Description) -> None:
    """Refuse to go on without the tier's data volume; make those of its directories that do not exist yet."""
    mount = description.mount
    if description.data and not mount.is_mount():
        raise ReleaseError(
            f"{tier}: {mount}: the data volume is not mounted; no database is started without it",
            f"systemctl status '{str(mount).strip('/').replace('/', '-')}.mount'",
        )
    for name, owner in description.data.items():
        path = mount / name
        if not path.exists():
            path.mkdir(mode=0o700)
            os.chown(path, owner, owner)
