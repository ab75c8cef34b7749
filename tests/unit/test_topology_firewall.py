"""One rule table gives the cloud firewall, UFW and DOCKER-USER, and they agree."""

from __future__ import annotations

from ipaddress import IPv4Network, collapse_addresses
from pathlib import Path

import pytest

from tests.unit.topology_support import ADDRESSES, ROOT, project, tree_copy
from topology.firewall import HostRule, cloud_rules, docker_user_rules, first_boot_ssh_source, ufw_rules
from topology.project import Project

DROPLETS = ("infra", "vertical", "edge")
PUBLIC = "0.0.0.0/0"


def _inbound(droplet: str, tree: Project | None = None) -> set[tuple[str, str | None, tuple[str, ...]]]:
    rules = cloud_rules(tree or project(), droplet).inbound
    return {(rule.protocol, rule.port_range, (*rule.source_addresses, *rule.source_tags)) for rule in rules}


def _everywhere_but_the_vpc() -> tuple[str, ...]:
    return tuple(map(str, sorted(IPv4Network(PUBLIC).address_exclude(project().settings.vpc_ip_range))))


def _cloudflare() -> tuple[str, ...]:
    return tuple(str(network) for network in project().settings.cloudflare.ranges)


def test_edge_admits_http_from_cloudflare_and_ssh_from_the_setting_and_nothing_else() -> None:
    assert _inbound("edge") == {
        ("tcp", "80", _cloudflare()),
        ("tcp", "443", _cloudflare()),
        ("tcp", "22", _everywhere_but_the_vpc()),
    }


def test_a_public_source_leaves_out_the_private_network_and_nothing_else() -> None:
    (sources,) = (found for _, port, found in _inbound("edge") if port == "22")
    networks = [IPv4Network(source) for source in sources]
    vpc = project().settings.vpc_ip_range
    assert not any(network.overlaps(vpc) for network in networks)
    assert list(collapse_addresses([*networks, vpc])) == [IPv4Network(PUBLIC)]


def test_infra_admits_postgres_from_vertical_and_edge_and_redis_from_nobody() -> None:
    edge, vertical = "basecommerce-staging-edge", "basecommerce-staging-vertical"
    assert _inbound("infra") == {
        ("tcp", "22", (edge,)),
        ("tcp", "5432", (vertical, edge)),
    }


def test_vertical_admits_its_application_and_ssh_from_edge() -> None:
    edge = "basecommerce-staging-edge"
    assert _inbound("vertical") == {("tcp", "22", (edge,)), ("tcp", "8000", (edge,))}


def test_only_ssh_on_the_edge_is_open_to_everyone() -> None:
    wide = {IPv4Network(source): (droplet, port) for droplet in DROPLETS for _, port, found in _inbound(droplet)
            for source in found if "/" in source}  # fmt: skip
    assert {door for network, door in wide.items() if network.prefixlen < 8} == {("edge", "22")}


@pytest.mark.parametrize("droplet", DROPLETS)
def test_peers_are_tags_of_the_same_stack_in_the_cloud_firewall(droplet: str) -> None:
    for rule in cloud_rules(project("production"), droplet).inbound:
        assert all(tag.startswith("basecommerce-production-") for tag in rule.source_tags)


@pytest.mark.parametrize("droplet", DROPLETS)
def test_egress_is_names_clock_web_ping_and_the_private_network(droplet: str) -> None:
    rules = cloud_rules(project(), droplet).outbound
    assert {(rule.protocol, rule.port_range, rule.destination_addresses) for rule in rules} == {
        *(("tcp", port, (PUBLIC,)) for port in ("53", "80", "443")),
        *(("udp", port, (PUBLIC,)) for port in ("53", "123")),
        ("icmp", None, (PUBLIC,)),
        *((protocol, "1-65535", ("10.81.0.0/20",)) for protocol in ("tcp", "udp")),
    }


@pytest.mark.parametrize("droplet", DROPLETS)
def test_ports_are_given_for_tcp_and_udp_and_absent_for_icmp(droplet: str) -> None:
    rules = cloud_rules(project(), droplet)
    planned = [(r.protocol, r.port_range) for r in rules.inbound] + [(r.protocol, r.port_range) for r in rules.outbound]
    assert all((port is None) == (protocol == "icmp") for protocol, port in planned)


def test_ufw_admits_peers_by_their_private_address() -> None:
    assert ufw_rules(project(), "infra", ADDRESSES) == (
        HostRule(name="infra-ssh", protocol="tcp", port="22", sources=("10.81.0.4/32",)),
        HostRule(name="postgres", protocol="tcp", port="5432", sources=("10.81.0.3/32", "10.81.0.4/32")),
    )


@pytest.mark.parametrize("droplet", DROPLETS)
def test_ufw_and_cloud_firewall_open_the_same_ports(droplet: str) -> None:
    assert {(r.protocol, r.port) for r in ufw_rules(project(), droplet, ADDRESSES)} == {
        (protocol, port) for protocol, port, _ in _inbound(droplet)
    }


@pytest.mark.parametrize("droplet", DROPLETS)
def test_docker_user_has_the_ports_of_containers_and_not_sshd(droplet: str) -> None:
    everything = ufw_rules(project(), droplet, ADDRESSES)
    assert docker_user_rules(project(), droplet, ADDRESSES) == tuple(r for r in everything if r.port != "22")


def test_range_of_ports_is_written_as_each_firewall_wants_it(tmp_path: Path) -> None:
    path = tree_copy(tmp_path) / "inventory.yaml"
    path.write_text((ROOT / "inventory.yaml").read_text().replace("ports: [8000]", "ports: [8000-8010]"))
    tree = project(root=tmp_path)
    assert ("tcp", "8000-8010", ("basecommerce-staging-edge",)) in _inbound("vertical", tree)
    assert docker_user_rules(tree, "vertical", ADDRESSES)[0].port == "8000:8010"


def test_at_first_boot_the_bastion_admits_ssh_from_anywhere_and_others_from_the_vpc() -> None:
    assert {name: first_boot_ssh_source(project(), name) for name in DROPLETS} == {
        "edge": PUBLIC,
        "infra": "10.81.0.0/20",
        "vertical": "10.81.0.0/20",
    }


def test_the_private_network_is_refused_before_a_public_rule_of_ufw_that_covers_it() -> None:
    refused, admitted = (rule for rule in ufw_rules(project(), "edge", ADDRESSES) if rule.port == "22")
    vpc = str(project().settings.vpc_ip_range)
    assert refused == HostRule(name="edge-ssh-vpc", protocol="tcp", port="22", sources=(vpc,), action="deny")
    assert admitted == HostRule(name="edge-ssh", protocol="tcp", port="22", sources=(PUBLIC,))
