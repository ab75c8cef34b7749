"""Keep one service container of a cloud (registry, Cloudflare stand-in) as its caller describes it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from localcloud.config import CloudConfig
from localcloud.errors import CloudError
from localcloud.machine import labels
from localcloud.machine.host import Host, inspect
from localcloud.machine.networks import ensure_public_network, public_network


@dataclass(frozen=True, kw_only=True)
class Service:
    """A container of the cloud's own on the public network."""

    kind: str
    """`registry` or `cloudflare`: the last part of its name, and its label."""
    address: str
    image: str
    options: tuple[str, ...]
    """Of `docker create`."""
    command: tuple[str, ...] = ()


async def ensure(config: CloudConfig, service: Service, host: Host) -> None:
    """Create the container, start it, or recreate it if its description has changed. Raises CloudError."""
    await ensure_public_network(config, host)
    name = config.physical(service.kind)
    wanted = hashlib.sha256(json.dumps(asdict(service)).encode()).hexdigest()
    found = await inspect(host, "container", name)
    if found is not None and found["Config"]["Labels"].get(labels.SPEC) != wanted:
        await host.run("docker", "container", "rm", "--force", name)
        found = None
    if found is None:
        await _create(config, service, host, wanted)
    if found is None or not found["State"]["Running"]:
        await host.run("docker", "container", "start", name)


async def remove(config: CloudConfig, kind: str, host: Host) -> None:
    """Remove the container, if it is there."""
    await host.run("docker", "container", "rm", "--force", config.physical(kind), check=False)


async def running(config: CloudConfig, kind: str, host: Host) -> bool:
    found = await inspect(host, "container", config.physical(kind))
    return found is not None and bool(found["State"]["Running"])


async def _create(config: CloudConfig, service: Service, host: Host, wanted: str) -> None:
    if await inspect(host, "image", service.image) is None:
        raise CloudError(f"{service.kind}: image {service.image}: not built\nhint: python -m localcloud images")
    own = {labels.CLOUD: config.name, labels.KIND: service.kind, labels.SPEC: wanted}
    await host.run(
        *("docker", "container", "create", "--name", config.physical(service.kind), *labels.arguments(own)),
        *("--network", public_network(config), "--ip", service.address, "--restart", "unless-stopped"),
        # Nothing of ours in these containers needs to write, or a capability: low ports are free in containers.
        *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", *service.options),
        *(service.image, *service.command),
    )
