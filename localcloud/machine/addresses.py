"""Who gets which address: pure rules, so that two droplets, or a droplet and a helper, never get the same.

Public subnet (a /27): .1 the machine, .2 and .3 the stand-in and the registry, .4-.7 for Docker's other
containers, .8-.23 droplets, from .24 reserved addresses. VPC: .1 the machine, from .2 droplets; its top quarter is
for Docker's other containers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv4Network

from localcloud.errors import CloudError

DROPLETS_FROM = 8
RESERVED_FROM = 24
_OTHERS_FROM = 4
_OTHERS_PREFIX = 30


def gateway(subnet: IPv4Network) -> IPv4Address:
    """Return the machine's own address on a bridge."""
    return subnet[1]


def public_dynamic_range(subnet: IPv4Network) -> IPv4Network:
    """Return the part of the public subnet that Docker may assign on its own."""
    return IPv4Network((subnet[_OTHERS_FROM], _OTHERS_PREFIX))


def vpc_dynamic_range(subnet: IPv4Network) -> IPv4Network:
    """Return the part of the VPC that Docker may assign on its own: a droplet that is off keeps its address."""
    return list(subnet.subnets(prefixlen_diff=2))[-1]


def public_address(subnet: IPv4Network, taken: Collection[IPv4Address]) -> IPv4Address:
    """Choose a droplet's public address. Raises CloudError when all are taken."""
    return _lowest_free((subnet[n] for n in range(DROPLETS_FROM, RESERVED_FROM)), taken, f"droplets of {subnet}")


def private_address(vpc: IPv4Network, taken: Collection[IPv4Address]) -> IPv4Address:
    """Choose a droplet's address in the VPC. Raises CloudError when all are taken."""
    end = int(vpc_dynamic_range(vpc).network_address) - int(vpc.network_address)
    return _lowest_free((vpc[n] for n in range(2, end)), taken, f"VPC {vpc}")


def reserved_address(subnet: IPv4Network, taken: Collection[IPv4Address]) -> IPv4Address:
    """Choose a reserved address. Raises CloudError when all are taken."""
    candidates = (subnet[n] for n in range(RESERVED_FROM, subnet.num_addresses - 1))
    return _lowest_free(candidates, taken, f"reserved addresses of {subnet}")


def _lowest_free(candidates: Iterable[IPv4Address], taken: Collection[IPv4Address], where: str) -> IPv4Address:
    for address in candidates:
        if address not in taken:
            return address
    raise CloudError(f"{where}: no address is left\nhint: delete a droplet or a reserved address of this cloud")
