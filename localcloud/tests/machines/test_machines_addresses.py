"""Address rules: nobody meets anybody else."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from localcloud.errors import CloudError
from localcloud.machine import addresses

PUBLIC = IPv4Network("198.51.100.224/27")
VPC = IPv4Network("10.77.250.0/24")


def test_the_first_droplet_gets_the_eighth_public_address() -> None:
    assert addresses.public_address(PUBLIC, ()) == IPv4Address("198.51.100.232")


def test_a_droplet_gets_the_lowest_address_that_is_free() -> None:
    taken = {IPv4Address("10.77.250.2"), IPv4Address("10.77.250.4")}
    assert addresses.private_address(VPC, taken) == IPv4Address("10.77.250.3")


def test_reserved_addresses_begin_at_the_twenty_fourth() -> None:
    assert addresses.reserved_address(PUBLIC, ()) == IPv4Address("198.51.100.248")


def test_the_broadcast_address_is_never_reserved() -> None:
    taken = {PUBLIC[n] for n in range(24, 31)}
    with pytest.raises(CloudError, match=r"reserved addresses of 198\.51\.100\.224/27: no address is left"):
        addresses.reserved_address(PUBLIC, taken)


def test_droplets_never_take_a_reserved_address() -> None:
    with pytest.raises(CloudError, match="no address is left"):
        addresses.public_address(PUBLIC, {PUBLIC[n] for n in range(8, 24)})


def test_docker_gives_other_containers_no_address_of_ours() -> None:
    ours = {PUBLIC[n] for n in (0, 1, 2, 3)} | {PUBLIC[n] for n in range(8, 32)}
    assert not ours & set(addresses.public_dynamic_range(PUBLIC))


@pytest.mark.parametrize("ip_range", ["10.20.0.0/16", "10.77.1.0/24", "10.77.1.0/28"])
def test_a_vpc_s_droplets_stay_out_of_docker_s_range(ip_range: str) -> None:
    vpc = IPv4Network(ip_range)
    dynamic = addresses.vpc_dynamic_range(vpc)
    taken = {vpc[n] for n in range(2, int(dynamic.network_address) - int(vpc.network_address))}
    with pytest.raises(CloudError, match="no address is left"):
        addresses.private_address(vpc, taken)
    assert dynamic.subnet_of(vpc)
