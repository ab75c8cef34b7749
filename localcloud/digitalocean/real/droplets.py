"""Droplets: created, found again, changed and removed. container.py describes their containers."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from localcloud.backend import Progress
from localcloud.digitalocean.backend import DropletSpec, DropletState
from localcloud.digitalocean.real import container
from localcloud.digitalocean.real.firewalls import Firewalls
from localcloud.digitalocean.real.vpcs import VPCS, vpc_network
from localcloud.errors import CloudError, NotReadyError
from localcloud.machine import addresses, labels
from localcloud.machine.context import Cloud
from localcloud.machine.host import inspect, labelled
from localcloud.machine.networks import ensure_public_network
from localcloud.machine.store import Document, Store

DROPLETS = "droplets"
SETTLE_S = 1.0
"""How long a new container must run before it counts as created."""

SSH_DEADLINE_S = 90.0
"""sshd answers after about 2 seconds on an idle machine; cloud-init runs before it."""

_ENGINE_PID = Path("/run/docker.pid")
_LOG_LINES = 20
_EVENT_S = 120.0  # after a killed run, the event counts as ended
_ID_DIGITS = 9  # as DigitalOcean's today


async def _no_image() -> str:
    raise CloudError("droplets: there is no image to create one from")


@dataclass(frozen=True)
class Droplets:
    """The droplets of a cloud."""

    cloud: Cloud
    image: Callable[[], Awaitable[str]] = _no_image
    """Returns the droplets' image, built if missing; only needed to create a droplet."""

    async def create(self, urn: str, spec: DropletSpec, progress: Progress) -> DropletState:
        """Create a droplet. One of the same URN and spec is adopted, any other of that URN is rebuilt."""
        image = await self.image()
        existing = self.cloud.store.find(DROPLETS, urn=urn)
        if existing is not None:
            if await self._is_adoptable(existing, spec):
                await progress("found, made by an earlier run")
                await self.start(existing)
                return await self._change(existing, spec)
            await progress("removing what an earlier run left")
            await self.delete(existing)
        await self._remove_strays(urn)
        await ensure_public_network(self.cloud.config, self.cloud.host)
        identity = await self._reserve(urn, spec)
        await progress("creating the container")
        await self._create_container(image, urn, spec, identity)
        # Closed before it starts: the filter already knows the addresses.
        async with self.cloud.store.lock():
            await Firewalls(self.cloud).apply()
        await progress("booting")
        await self.start(identity.id)
        _mark_created(self.cloud.store, identity.id)
        await progress("waiting for sshd")
        await self.wait_for_ssh(identity.id)
        return state_of(_require(self.cloud.store, identity.id), "active")

    async def start(self, droplet_id: str) -> None:
        """Start a droplet, unless it runs, and check that it keeps running. Raises CloudError with its log."""
        name = _require(self.cloud.store, droplet_id)["container"]
        before = _restarts(await inspect(self.cloud.host, "container", name))
        await self.cloud.host.run("docker", "container", "start", name)
        await asyncio.sleep(SETTLE_S)
        found = await inspect(self.cloud.host, "container", name)
        if found is None or not found["State"]["Running"] or _restarts(found) > before:
            code = found["State"]["ExitCode"] if found else "unknown"
            raise CloudError(
                f"droplet {name}: does not keep running (exit code {code})\n{await self._last_lines(name)}"
            )

    async def wait_for_ssh(self, droplet_id: str) -> None:
        """Wait until sshd answers inside the droplet. Raises NotReadyError with the last lines of its journal."""
        document = _require(self.cloud.store, droplet_id)
        name = document["container"]
        deadline = asyncio.get_running_loop().time() + SSH_DEADLINE_S
        # Asked from inside: from outside the cloud firewall may rightly block it. Not by connecting: sshd would count
        # that as a failed login.
        probe = ("docker", "container", "exec", name, "sh", "-c", "ss -Hltn 'sport = :22' | grep -q .")
        while (await self.cloud.host.run(*probe, check=False)).code != 0:
            if asyncio.get_running_loop().time() > deadline:
                reasons = (f"droplet {name}: sshd did not answer within {SSH_DEADLINE_S:.0f} seconds",)
                raise NotReadyError((*reasons, await self._last_lines(name)), droplet_id, _outputs(document))
            await asyncio.sleep(0.2)

    async def update(self, droplet_id: str, spec: DropletSpec, progress: Progress) -> DropletState:
        """Change what a droplet can change: name, tags, size. Raises NotReadyError while sshd does not answer."""
        await progress("changing the droplet")
        return await self._change(droplet_id, spec)

    async def _change(self, droplet_id: str, spec: DropletSpec) -> DropletState:
        """Change what a droplet can change: name, tags, size. Raises NotReadyError while sshd does not answer."""
        document = _require(self.cloud.store, droplet_id)
        if spec.size != document["size"]:
            await self._resize(droplet_id, document, spec)
        async with self.cloud.store.lock():
            changed = {"name": spec.name, "tags": list(spec.tags), "size": spec.size, "memory_mib": spec.memory_mib}
            self.cloud.store.write(DROPLETS, droplet_id, {**document, **changed})  # without the event: it has ended
            await Firewalls(self.cloud).apply()
        found = await self.read(droplet_id)
        if found is None:
            raise CloudError(f"droplet {droplet_id}: not found")
        if found.status == "active":
            await self.wait_for_ssh(droplet_id)
        return found

    async def _resize(self, droplet_id: str, document: Document, spec: DropletSpec) -> None:
        """Resize a droplet as the official provider does: power off, resize, power on. No shutdown."""
        name = document["container"]
        self.cloud.store.write(DROPLETS, droplet_id, {**document, "pending_until": time.time() + _EVENT_S})
        await self.cloud.host.run("docker", "container", "kill", name, check=False)  # it may be off already
        await self.cloud.host.run("docker", "container", "wait", name)
        await self.cloud.host.run("docker", "container", "update", *container.memory_limits(spec.memory_mib), name)
        await self.start(droplet_id)

    async def read(self, droplet_id: str) -> DropletState | None:
        """Return the droplet as it is, None if its record or its container is gone."""
        document = self.cloud.store.read(DROPLETS, droplet_id)
        if document is None:
            return None
        found = await inspect(self.cloud.host, "container", document["container"])
        if found is None or found["Config"]["Labels"].get(labels.ID) != droplet_id:
            return None
        return state_of(document, "active" if found["State"]["Running"] else "off")

    async def delete(self, droplet_id: str) -> None:
        """Shut a droplet down and remove it with its Docker data. Its block volumes stay."""
        document = self.cloud.store.read(DROPLETS, droplet_id)
        if document is None:
            return
        if await self.read(droplet_id) is not None:
            # A clean shutdown first, so that a data volume is unmounted and not just dropped.
            await self.cloud.host.run("docker", "container", "stop", document["container"], check=False)
            await self.cloud.host.run("docker", "container", "rm", "--force", "--volumes", document["container"])
        volume = container.docker_volume(self.cloud.config, droplet_id)
        await self.cloud.host.run("docker", "volume", "rm", "--force", volume)
        shutil.rmtree(self.cloud.disk(droplet_id), ignore_errors=True)
        async with self.cloud.store.lock():
            self.cloud.store.delete(DROPLETS, droplet_id)
            await Firewalls(self.cloud).apply()

    async def _is_adoptable(self, droplet_id: str, spec: DropletSpec) -> bool:
        document = _require(self.cloud.store, droplet_id)
        if not document["created"] or document["spec_hash"] != container.spec_hash(spec):
            return False
        return await self.read(droplet_id) is not None

    async def _remove_strays(self, urn: str) -> None:
        """Remove containers of this URN whose record is gone."""
        wanted = (f"{labels.CLOUD}={self.cloud.config.name}", f"{labels.KIND}=droplet", f"{labels.URN}={urn}")
        for stray in await labelled(self.cloud.host, "container", *wanted):
            await self.cloud.host.run("docker", "container", "rm", "--force", "--volumes", stray)

    async def _reserve(self, urn: str, spec: DropletSpec) -> container.Identity:
        """Choose id and addresses and record them, under the lock, before anything is created."""
        async with self.cloud.store.lock():
            vpc = self.cloud.store.read(VPCS, spec.vpc_id)
            if vpc is None:
                raise CloudError(f"droplet {spec.name}: vpc_uuid {spec.vpc_id!r} not found")
            others = self.cloud.store.all(DROPLETS)
            public = addresses.public_address(
                self.cloud.config.public_subnet, {IPv4Address(other["public"]) for other in others.values()}
            )
            private = addresses.private_address(
                IPv4Network(vpc["ip_range"]), {IPv4Address(other["private"]) for other in others.values()}
            )
            droplet_id = _new_id(others)
            name = container.container_name(self.cloud.config, spec.name)
            if any(other["container"] == name for other in others.values()):
                name = f"{name}-{droplet_id}"  # DigitalOcean allows two droplets of one name, Docker does not
            identity = container.Identity(id=droplet_id, container=name, public=public, private=private)
            self.cloud.store.write(
                DROPLETS,
                droplet_id,
                {
                    "id": droplet_id,
                    "urn": urn,
                    "container": name,
                    "public": str(public),
                    "private": str(private),
                    "spec_hash": container.spec_hash(spec),
                    "created": False,
                    "name": spec.name,
                    "region": spec.region,
                    "image": spec.image,
                    "size": spec.size,
                    "memory_mib": spec.memory_mib,
                    "vpc_id": spec.vpc_id,
                    "tags": list(spec.tags),
                },
            )
            return identity

    async def _create_container(self, image: str, urn: str, spec: DropletSpec, identity: container.Identity) -> None:
        disk = self.cloud.disk(identity.id)
        (disk / "by-id").mkdir(parents=True, exist_ok=True)
        own = {labels.CLOUD: self.cloud.config.name, labels.KIND: "droplet-docker", labels.URN: urn}
        volume = container.docker_volume(self.cloud.config, identity.id)
        await self.cloud.host.run("docker", "volume", "create", *labels.arguments(own), volume)
        arguments = container.create_arguments(
            self.cloud.config, urn, spec, identity, image=image, disk=disk.resolve(), engine_status=_engine_status()
        )
        await self.cloud.host.run("docker", "container", "create", *arguments)
        network = vpc_network(self.cloud.config)
        await self.cloud.host.run(
            "docker", "network", "connect", f"--ip={identity.private}", network, identity.container
        )
        seed = container.seed_archive(spec, identity, await asyncio.to_thread(_machine_resolvers))
        await self.cloud.host.run("docker", "container", "cp", "-", f"{identity.container}:/", stdin=seed)

    async def _last_lines(self, name: str) -> str:
        """Return the end of the droplet's journal, or of its container's log when it does not run."""
        journal = (
            "docker",
            "container",
            "exec",
            name,
            "journalctl",
            "--no-pager",
            "--output=cat",
            f"--lines={_LOG_LINES}",
        )
        result = await self.cloud.host.run(*journal, check=False)
        if result.code != 0:
            result = await self.cloud.host.run("docker", "container", "logs", f"--tail={_LOG_LINES}", name, check=False)
        return (result.stdout + result.stderr).strip() or "(its log is empty)"


def has_pending_event(cloud: Cloud, droplet_id: str) -> bool:
    """Return whether a power event of the droplet is running."""
    document = cloud.store.read(DROPLETS, droplet_id) or {}
    return float(document.get("pending_until", 0)) > time.time()


def state_of(document: Document, status: str) -> DropletState:
    """Return what DigitalOcean would report about a recorded droplet."""
    return DropletState(
        id=document["id"],
        ipv4_address=document["public"],
        ipv4_address_private=document["private"],
        status=status,
    )


def _machine_resolvers() -> str:
    # systemd-resolved lists the real servers in a second file; the first names only its own loopback address.
    for path in (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")):
        with contextlib.suppress(OSError):
            found = container.resolvers(path.read_text())
            if found:
                return found
    return ""


def _engine_status() -> str:
    """Return the kernel's status of Docker's engine, nothing if it cannot be found."""
    try:
        return Path(f"/proc/{int(_ENGINE_PID.read_text())}/status").read_text()
    except (OSError, ValueError):
        return ""


def _mark_created(store: Store, droplet_id: str) -> None:
    store.write(DROPLETS, droplet_id, {**_require(store, droplet_id), "created": True})


def _require(store: Store, droplet_id: str) -> Document:
    document = store.read(DROPLETS, droplet_id)
    if document is None:
        raise CloudError(f"droplet {droplet_id}: not found")
    return document


def _restarts(found: Mapping[str, Any] | None) -> int:
    return int(found["RestartCount"]) if found else 0


def _outputs(document: Document) -> dict[str, object]:
    return {
        "ipv4_address": document["public"],
        "ipv4_address_private": document["private"],
        "status": "active",
    }


def _new_id(others: Mapping[str, Document]) -> str:
    low = 10 ** (_ID_DIGITS - 1)
    while True:
        candidate = str(low + secrets.randbelow(9 * low))
        if candidate not in others:
            return candidate
