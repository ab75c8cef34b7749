"""The two bridges of a cloud: the public network, and the VPC, which has no way out.

Their interface names are fixed, so that the packet filter can name them.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import asdict
from ipaddress import IPv4Network

from localcloud.account import Account, check_vpc_goes
from localcloud.backend import VpcSpec
from localcloud.config import CloudConfig
from localcloud.errors import CloudError
from localcloud.machine import addresses, labels
from localcloud.machine.host import CommandError, Host, LinuxHost, inspect
from localcloud.machine.store import Store

VPCS = "vpcs"
_DEFAULT_MTU = 1500


def public_network(config: CloudConfig) -> str:
    """Name the public network."""
    return config.physical("public")


def vpc_network(config: CloudConfig) -> str:
    """Name the VPC's network: one a cloud."""
    return config.physical("vpc")


def bridge(config: CloudConfig, end: str) -> str:
    """Name a bridge interface, `p` (public) or `v` (VPC): Linux allows 15 characters, a cloud's name may be longer."""
    return f"bc-{hashlib.sha256(config.name.encode()).hexdigest()[:8]}-{end}"


async def ensure_public_network(config: CloudConfig, host: Host | None = None) -> None:
    """Make the public network when it is missing."""
    host = host or LinuxHost()
    name = public_network(config)
    # Several droplets and the registry ask for it at the same moment.
    async with Store(config.state).lock():
        found = await inspect(host, "network", name)
        if found is None:
            subnet = config.public_subnet
            dynamic = addresses.public_dynamic_range(subnet)
            await _create(host, config, name, "p", subnet=subnet, dynamic=dynamic, urn="", internal=False)
        else:
            _check_subnet(found, name, config.public_subnet)


async def ensure_vpc_network(config: CloudConfig, host: Host, urn: str, ip_range: IPv4Network) -> None:
    """Make the VPC's network when it is missing."""
    name = vpc_network(config)
    found = await inspect(host, "network", name)
    if found is None:
        dynamic = addresses.vpc_dynamic_range(ip_range)
        await _create(host, config, name, "v", subnet=ip_range, dynamic=dynamic, urn=urn, internal=True)
    else:
        _check_subnet(found, name, ip_range)


async def create_vpc(config: CloudConfig, host: Host, store: Store, urn: str, spec: VpcSpec) -> str:
    """Make the VPC; a half-made one of the same URN is finished."""
    async with store.lock():
        existing = store.find(VPCS, urn=urn)
        if existing is None and store.all(VPCS):
            raise CloudError(
                "vpc: this cloud has one already\nhint: the local cloud keeps one VPC a stack; delete that"
            )
        ip_range = IPv4Network(spec.ip_range)
        if ip_range.overlaps(config.public_subnet):
            raise CloudError(f"vpc: ip_range {ip_range} overlaps the public network {config.public_subnet}")
        vpc_id = existing or str(uuid.uuid4())
        document = {"urn": urn, **asdict(spec), "default": Account.of(config.state).is_fresh}
        store.write(VPCS, vpc_id, document)
        await ensure_vpc_network(config, host, urn, ip_range)
        return vpc_id


def update_vpc(store: Store, vpc_id: str, spec: VpcSpec) -> None:
    """Change the name; the provider replaces the VPC for the rest."""
    document = store.read(VPCS, vpc_id)
    if document is None:
        raise CloudError(f"vpc {vpc_id}: not found")
    store.write(VPCS, vpc_id, {**document, **asdict(spec), "default": document.get("default", False)})


async def read_vpc(config: CloudConfig, host: Host, store: Store, vpc_id: str) -> VpcSpec | None:
    """Answer the VPC as it is, None when its record or its network is gone."""
    document = store.read(VPCS, vpc_id)
    if document is None or await inspect(host, "network", vpc_network(config)) is None:
        return None
    return VpcSpec(
        name=document["name"],
        region=document["region"],
        ip_range=document["ip_range"],
        default=document.get("default", False),
    )


async def delete_vpc(config: CloudConfig, host: Host, store: Store, vpc_id: str) -> None:
    """Remove the VPC. Raises CloudError while something is connected to it."""
    document = store.read(VPCS, vpc_id)
    if document is None:
        return
    check_vpc_goes(default=document.get("default", False))
    await remove_network(host, vpc_network(config))
    store.delete(VPCS, vpc_id)


async def remove_network(host: Host, name: str, *, force: bool = False) -> None:
    """Remove a network; `force` first takes off what is still connected to it."""
    found = await inspect(host, "network", name)
    if found is None:
        return
    members = [member["Name"] for member in (found.get("Containers") or {}).values()]
    if members and not force:
        raise CloudError(f"vpc: network {name} still has members: {', '.join(sorted(members))}")
    for member in members:
        await host.run("docker", "network", "disconnect", "--force", name, member, check=False)
    await host.run("docker", "network", "rm", name)


async def _create(
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
        # A bridge with a larger MTU than the machine's own way out loses big packets silently (TLS hangs).
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
    """Answer the MTU of the interface that the machine's default route uses, in bytes."""
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
            f"network {name}: has subnet {', '.join(map(str, subnets))}, {wanted} is wanted\nhint: make down"
        )
