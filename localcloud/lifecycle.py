"""The whole cloud at once: start what exists but is stopped, or remove every trace. Both can be repeated."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterable
from ipaddress import IPv4Network
from pathlib import Path

from localcloud.cloudflare import certificates
from localcloud.cloudflare.real import edge, records
from localcloud.config import CloudConfig
from localcloud.digitalocean.real import firewalls, packet_filter, reserved_ips, volumes, vpcs
from localcloud.digitalocean.real.droplets import DROPLETS, Droplets
from localcloud.digitalocean.real.firewalls import Firewalls
from localcloud.digitalocean.real.volumes import Volumes
from localcloud.digitalocean.real.vpcs import Vpcs
from localcloud.errors import CloudError, NotReadyError
from localcloud.images import registry
from localcloud.machine import documents, labels, networks
from localcloud.machine.context import Cloud
from localcloud.machine.host import Host, labelled

Report = Callable[[str], None]
"""Prints one line for the user."""

_OWN_FOLDERS = (
    *(vpcs.VPCS, DROPLETS, firewalls.FIREWALLS, volumes.VOLUMES, reserved_ips.RESERVED),
    *(records.RECORDS, records.RECORD_URNS, "disk", "cloudflare", certificates.FOLDER),
)


async def power_on(config: CloudConfig, progress: Report, host: Host | None = None) -> None:
    """Start what exists: networks, loop devices, packet filter, registry, stand-in, then the droplets."""
    cloud = Cloud.of(config, host)
    await networks.ensure_public_network(config, cloud.host)
    for document in cloud.store.all(vpcs.VPCS).values():
        await Vpcs(cloud).ensure_network(document["urn"], IPv4Network(document["ip_range"]))
    renewed = await _connect_volumes(cloud)
    async with cloud.store.lock():
        await Firewalls(cloud).apply()
    await asyncio.gather(registry.ensure(config, cloud.host), edge.ensure(config, cloud.host))
    known = cloud.store.all(DROPLETS)
    results = await asyncio.gather(
        *(_power_on_droplet(cloud, droplet_id, droplet_id in renewed, progress) for droplet_id in known),
        return_exceptions=True,
    )
    _raise_first(results)


async def down(config: CloudConfig, progress: Report, host: Host | None = None) -> None:
    """Remove every container, network, volume, loop device, packet-filter rule and record of the cloud."""
    cloud = Cloud.of(config, host)
    own = f"{labels.CLOUD}={config.name}"
    for remove in (edge.remove, registry.remove):
        await remove(config, cloud.host)
    containers = await labelled(cloud.host, "container", own)
    if containers:
        progress(f"removing {len(containers)} containers")
        await cloud.host.run("docker", "container", "rm", "--force", "--volumes", *containers)
    for name in (vpcs.vpc_network(config), networks.public_network(config)):
        await networks.remove_network(cloud.host, name, force=True)
    docker_volumes = await labelled(cloud.host, "volume", own)
    if docker_volumes:
        await cloud.host.run("docker", "volume", "rm", "--force", *docker_volumes)
    await _release_loops(cloud)
    async with cloud.store.lock():
        await packet_filter.remove(config, cloud.host)
    _remove_state(cloud.store.directory)
    progress("removed")


async def _power_on_droplet(cloud: Cloud, droplet_id: str, renewed: bool, progress: Report) -> None:
    droplets = Droplets(cloud)
    found = await droplets.read(droplet_id)
    document = cloud.store.read(DROPLETS, droplet_id)
    if found is None or document is None or not document["created"]:
        return  # half-made, or removed by hand: the engine handles it
    if found.status == "active" and renewed:
        # Docker restarted it before its disk was there, so what needs the disk has failed to start.
        progress(f"restarting {document['name']}: its volume was missing")
        await cloud.host.run("docker", "container", "stop", document["container"])
    elif found.status == "active":
        return
    else:
        progress(f"starting {document['name']}")
    await droplets.start(droplet_id)
    try:
        await droplets.wait_for_ssh(droplet_id)
    except NotReadyError as error:
        # Reported, but no reason to stop: the engine may be about to repair or replace this droplet.
        progress(str(error))


async def _connect_volumes(cloud: Cloud) -> set[str]:
    """Restore the loop device and node of each attached volume; return the droplets that had lost theirs."""
    own, renewed = Volumes(cloud), set()
    for volume_id, document in cloud.store.all(volumes.VOLUMES).items():
        if await own.attached(volume_id) is not None and await own.connect(volume_id):
            renewed.add(document["droplet_id"])
    return renewed


async def _release_loops(cloud: Cloud) -> None:
    """Detach every loop device over a file of this cloud, also one whose record is gone."""
    for name in (await Volumes(cloud).loop_devices()).values():
        await cloud.host.run("losetup", "--detach", name)


def _remove_state(directory: Path) -> None:
    # Only what this package wrote: others may keep files beside ours.
    for folder in (*(directory / name for name in _OWN_FOLDERS), *directory.glob(f"{documents.FOLDER}*")):
        shutil.rmtree(folder, ignore_errors=True)
    (directory / "lock").unlink(missing_ok=True)


def _raise_first(results: Iterable[BaseException | None]) -> None:
    errors = [result for result in results if isinstance(result, BaseException)]
    for error in errors:
        if not isinstance(error, CloudError):
            raise error
    if errors:
        raise CloudError("\n".join(str(error) for error in errors))
