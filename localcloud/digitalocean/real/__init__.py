"""DigitalOcean's machines and networks, made of containers, bridges, loop devices and packet-filter rules."""

from __future__ import annotations

import asyncio
from pathlib import Path

from localcloud.config import CloudConfig
from localcloud.digitalocean.backend import Backend
from localcloud.digitalocean.real.droplets import Droplets
from localcloud.digitalocean.real.firewalls import Firewalls
from localcloud.digitalocean.real.reserved_ips import ReservedIps
from localcloud.digitalocean.real.ssh_keys import SshKeys
from localcloud.digitalocean.real.volumes import Volumes
from localcloud.digitalocean.real.vpcs import Vpcs
from localcloud.machine.context import Cloud
from localcloud.machine.documents import Documents
from localcloud.machine.host import Host


def backend(config: CloudConfig, host: Host | None = None, image: str | None = None) -> Backend:
    """Build the back-end. `image` is an existing droplet image; by default the cache's is used, built if missing."""
    cloud = Cloud.of(config, host)
    return Backend(
        vpcs=Vpcs(cloud),
        droplets=Droplets(cloud, _Image(config.cache, image)),
        firewalls=Firewalls(cloud),
        volumes=Volumes(cloud),
        reserved_ips=ReservedIps(cloud),
        ssh_keys=SshKeys(cloud),
        documents=Documents(cloud),
    )


class _Image:
    """The droplets' image: requested by several droplets at once, built by one."""

    def __init__(self, cache: Path, name: str | None) -> None:
        self._cache = cache
        self._name = name
        self._lock = asyncio.Lock()

    async def __call__(self) -> str:
        async with self._lock:
            if self._name is None:
                # Imported late: building images is a separate room, and most calls do not need it.
                from localcloud.images import build  # noqa: PLC0415

                self._name = await asyncio.to_thread(build.droplet_image, self._cache)
            return self._name
