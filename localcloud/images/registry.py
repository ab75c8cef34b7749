"""The registry of one cloud: what its droplets pull from, at `registry.localcloud.internal:80`.

It serves the cache's storage read-only; `python -m localcloud images` puts images into it.
"""

from __future__ import annotations

from localcloud.config import CloudConfig
from localcloud.images.build import machine_recipes
from localcloud.machine import service
from localcloud.machine.host import Host, LinuxHost

KIND = "registry"
_NOBODY = "65534:65534"
"""The storage is readable for everybody, so the registry runs as the user nobody."""


async def ensure(config: CloudConfig, host: Host | None = None) -> None:
    """Run the registry on the public network; nothing happens if it already runs as described. Raises CloudError."""
    storage = config.cache / "registry"
    storage.mkdir(parents=True, exist_ok=True)  # otherwise the engine creates it, owned by root
    wanted = service.Service(
        kind=KIND,
        address=str(config.registry_address),
        image=machine_recipes().reference("registry"),
        options=(
            *("--user", _NOBODY, "--memory", "128m", "--pids-limit", "64"),
            *("--volume", f"{storage}:/var/lib/registry:ro"),
        ),
    )
    await service.ensure(config, wanted, host or LinuxHost())


async def remove(config: CloudConfig, host: Host | None = None) -> None:
    """Remove the registry's container. The images stay in the cache."""
    await service.remove(config, KIND, host or LinuxHost())
