"""The firewall plan: one rule table gives the cloud firewall, UFW and the DOCKER-USER chain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Literal

from topology.inventory import CLOUDFLARE, INTERNET, SSH_SOURCES, FirewallRule
from topology.names import SSH_PORT
from topology.project import Project

ANYWHERE = "0.0.0.0/0"


@dataclass(frozen=True, kw_only=True)
class InboundRule:
    """One inbound rule of the cloud firewall."""

    protocol: str
    port_range: str | None
    """`22` or `8000-8010`; None for icmp, where DigitalOcean refuses one."""
    source_addresses: tuple[str, ...]
    source_tags: tuple[str, ...]
    """Tags of peer droplets: a rebuilt droplet changes no firewall."""


@dataclass(frozen=True, kw_only=True)
class OutboundRule:
    """One outbound rule of the cloud firewall."""

    protocol: str
    port_range: str | None
    destination_addresses: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CloudRules:
    """The cloud firewall of one droplet; what is in neither list is dropped."""

    inbound: tuple[InboundRule, ...]
    outbound: tuple[OutboundRule, ...]


@dataclass(frozen=True, kw_only=True)
class HostRule:
    """One rule on the droplet itself: whether these sources may open this port. The first match decides."""

    name: str
    """The name in the rule table; used as the rule's comment."""
    protocol: str
    port: str
    """`22`, or `8000:8010` as UFW and iptables write a range."""
    sources: tuple[str, ...]
    """IPv4 ranges; a peer is its private address with /32."""
    action: Literal["allow", "deny"] = "allow"


def cloud_rules(project: Project, droplet: str) -> CloudRules:
    """Plan the cloud firewall of a droplet."""
    inbound = tuple(
        InboundRule(
            protocol=rule.protocol,
            port_range=port,
            source_addresses=_outside_vpc(project, rule),
            source_tags=tuple(project.droplet_tag(name) for name in _peers(project, rule)),
        )
        for rule in _rules_of(project, droplet)
        for port in rule.ports or (None,)
    )
    outbound = tuple(
        OutboundRule(
            protocol=rule.protocol,
            port_range=port,
            destination_addresses=(ANYWHERE if rule.to == INTERNET else str(project.settings.vpc_ip_range),),
        )
        for rule in project.inventory.egress
        for port in rule.ports or (None,)
    )
    return CloudRules(inbound=inbound, outbound=outbound)


def ufw_rules(project: Project, droplet: str, addresses: Mapping[str, str]) -> tuple[HostRule, ...]:
    """Plan what UFW admits on a droplet; `addresses` maps droplets to their private addresses.

    A public source such as 0.0.0.0/0 also covers the private network, where only named peers may do anything: its
    other machines are refused first.
    """
    return tuple(
        host_rule
        for rule in _rules_of(project, droplet)
        for port in rule.ports
        for host_rule in _host_rules(project, rule, port.replace("-", ":"), addresses)
    )


def _host_rules(project: Project, rule: FirewallRule, port: str, addresses: Mapping[str, str]) -> Iterator[HostRule]:
    vpc = project.settings.vpc_ip_range
    public = _addresses(project, rule)
    if any(vpc.overlaps(IPv4Network(source)) for source in public):
        yield HostRule(name=f"{rule.name}-vpc", protocol=rule.protocol, port=port, sources=(str(vpc),), action="deny")
    peers = tuple(f"{addresses[name]}/32" for name in _peers(project, rule))
    yield HostRule(name=rule.name, protocol=rule.protocol, port=port, sources=(*public, *peers))


def docker_user_rules(project: Project, droplet: str, addresses: Mapping[str, str]) -> tuple[HostRule, ...]:
    """Plan what the DOCKER-USER chain admits on a droplet; all other traffic to containers from outside is dropped.

    UFW never sees the published ports of containers: Docker forwards them before UFW's chains. Match the published
    port (`conntrack --ctorigdstport`), since the destination port is already the container's own there.
    """
    rules = ufw_rules(project, droplet, addresses)
    return tuple(rule for rule in rules if rule.port != str(SSH_PORT) and rule.action == "allow")


def rule_table(
    machine: tuple[HostRule, ...], containers: tuple[HostRule, ...], addresses: Mapping[str, str], droplet: str
) -> str:
    """Render the table that `apply-firewall.sh` reads, one rule a line.

    A container port that only peers may use must also have been aimed at the private address, so that a peer's
    address forged on the public network opens nothing.
    """
    peers = {f"{address}/32" for address in addresses.values()}
    lines = [
        f"ufw {rule.action} {rule.protocol} {rule.port} {source} {rule.name}"
        for rule in machine
        for source in rule.sources
    ]
    for rule in containers:
        destination = addresses[droplet] if set(rule.sources) <= peers else "any"
        lines += [f"docker {rule.protocol} {rule.port} {source} {destination}" for source in rule.sources]
    return "".join(f"{line}\n" for line in lines)


def first_boot_ssh_source(project: Project, droplet: str) -> str:
    """Return who may reach sshd before any peer's address is known: anyone on the bastion, the VPC on the others."""
    return ANYWHERE if droplet == project.inventory.bastion else str(project.settings.vpc_ip_range)


def _rules_of(project: Project, droplet: str) -> tuple[FirewallRule, ...]:
    return tuple(rule for rule in project.inventory.rules if rule.droplet == droplet)


def _peers(project: Project, rule: FirewallRule) -> tuple[str, ...]:
    return tuple(source for source in rule.sources if source in project.inventory.droplets)


def _outside_vpc(project: Project, rule: FirewallRule) -> tuple[str, ...]:
    """Cut the VPC's range out of public sources: for the cloud firewall, 0.0.0.0/0 includes every neighbour.

    It filters the private network as well (https://docs.digitalocean.com/products/networking/firewalls/), and it has
    no deny rules; so a range of 32 - n bits costs n more entries.
    """
    vpc = project.settings.vpc_ip_range
    parts: list[IPv4Network] = []
    for network in map(IPv4Network, _addresses(project, rule)):
        if vpc.subnet_of(network):
            parts += sorted(network.address_exclude(vpc))
        else:
            parts.append(network)
    return tuple(map(str, parts))


def _addresses(project: Project, rule: FirewallRule) -> tuple[str, ...]:
    named = {SSH_SOURCES: project.settings.ssh.sources, CLOUDFLARE: project.settings.cloudflare.ranges}
    return tuple(str(network) for source in rule.sources for network in named.get(source, ()))
