"""The bridges of a cloud: the public network, which all its parts share, and how a network is created.

Their interface names are fixed, so that the packet filter can name them.
"""

from __future__ import annotations

import hashlib
import json
from ipaddress import IPv4Network

from localcloud.config import CloudConfig
from localcloud.errors import CloudError
from localcloud.machine import addresses, labels
from localcloud.machine.host import CommandError, Host, LinuxHost, inspect
from localcloud.machine.store import Store

_DEFAULT_MTU = 1500


def public_network(config: CloudConfig) -> str:
    """Return the name of the public network."""
    return config.physical("public")


def bridge(config: CloudConfig, end: str) -> str:
    """Return a bridge's name, `p` (public) or `v` (VPC): Linux allows 15 characters, a cloud's name may be longer."""
    return f"bc-{hashlib.sha256(config.name.encode()).hexdigest()[:8]}-{end}"


async def ensure_public_network(config: CloudConfig, host: Host | None = None) -> None:
    """Create the public network when it is missing."""
    host = host or LinuxHost()
    name = public_network(config)
    # Several droplets and the registry need it at the same moment.
    async with Store(config.state).lock():
        subnet = config.public_subnet
        dynamic = addresses.public_dynamic_range(subnet)
        await ensure(host, config, name, "p", subnet=subnet, dynamic=dynamic, urn="", internal=False)


async def remove_network(host: Host, name: str, *, force: bool = False) -> None:
    """Remove a network; `force` first disconnects what is still on it."""
    found = await inspect(host, "network", name)
    if found is None:
        return
    members = [member["Name"] for member in (found.get("Containers") or {}).values()]
    if members and not force:
        raise CloudError(f"vpc: network {name} still has members: {', '.join(sorted(members))}")
    for member in members:
        await host.run("docker", "network", "disconnect", "--force", name, member, check=False)
    await host.run("docker", "network", "rm", name)


async def ensure(
    host: Host,
    config: CloudConfig,
    name: str,
    end: str,
    *,
    subnet: IPv4Network,
    dynamic: IPv4Network,
    urn: str,
    internal: bool,
) -> None:
    """Create a network when it is missing. Raises CloudError when another network has its subnet, or it has another."""
    found = await inspect(host, "network", name)
    if found is not None:
        _check_subnet(found, name, subnet)
        return
    own = {labels.CLOUD: config.name, labels.KIND: "network", labels.URN: urn}
    mtu = await _machine_mtu(host)
    result = await host.run(
        "docker",
        "network",
        "create",
        "--driver=bridge",
        *(("--internal",) if internal else ()),
        f"--subnet={subnet}",
        f"--gateway={addresses.gateway(subnet)}",
        f"--ip-range={dynamic}",
        f"--opt=com.docker.network.bridge.name={bridge(config, end)}",
        # A bridge with a larger MTU than the machine's own default route loses big packets silently (TLS hangs).
        f"--opt=com.docker.network.driver.mtu={mtu}",
        *labels.arguments(own),
        name,
        check=False,
    )
    if "overlaps" in result.stderr:
        raise CloudError(
            f"network {name}: another network of this machine holds part of {subnet}\n"
            "hint: find it with `docker network ls` and `ip route`, remove it, or give this cloud another subnet"
        )
    if result.code != 0:
        raise CommandError("docker network create", result)


async def _machine_mtu(host: Host) -> int:
    """Return the MTU of the interface that the machine's default route uses, in bytes."""
    result = await host.run("ip", "-json", "-4", "route", "show", "default", check=False)
    routes = json.loads(result.stdout or "[]") if result.code == 0 else []
    if not routes:
        return _DEFAULT_MTU
    links = json.loads((await host.run("ip", "-json", "link", "show", "dev", routes[0]["dev"])).stdout)
    return int(links[0]["mtu"])


def _check_subnet(found: object, name: str, wanted: IPv4Network) -> None:
    if not isinstance(found, dict):
        return
    subnets = [entry.get("Subnet") for entry in (found.get("IPAM") or {}).get("Config") or []]
    if str(wanted) not in subnets:
        raise CloudError(
            f"network {name}: has subnet {', '.join(map(str, subnets))}, expected {wanted}\nhint: make down"
        )
