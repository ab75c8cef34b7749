"""BC01 to BC04, and BC21: the firewalls outside the droplets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from policy.checks import FIREWALL, Finding, of_type
from policy.resources import Resource, Unknown
from policy.stack import Stack
from topology.inventory import CLOUDFLARE, SSH_SOURCES
from topology.names import DROPLET, HTTP_PORT, HTTPS_PORT, SSH_PORT

WEB_PORTS = (str(HTTP_PORT), str(HTTPS_PORT))
EGRESS_PORTS = {"tcp": {"53", *WEB_PORTS}, "udp": {"53", "123"}}
"""DNS, packages and images, NTP. icmp has no ports."""
NUMBERED_SOURCES = ("sourceDropletIds", "sourceLoadBalancerUids", "sourceKubernetesIds")
Network = IPv4Network | IPv6Network


def no_public_ingress(resource: Resource, stack: Stack) -> Iterator[Finding]:
    """BC01: a public source fits `ssh.sources` or `cloudflare.ranges`, on the edge's ports for them."""
    if resource.type != FIREWALL:
        return
    for rule in resource.tables("inboundRules"):
        allowed = _allowed_sources(stack, stack.droplet_of_tags(resource.texts("tags")), _port(rule))
        strange = [
            str(network)
            for network in _networks(rule, "sourceAddresses")
            if not _inside(network, (stack.project.settings.vpc_ip_range, *allowed))
        ]
        if strange:
            settings = "ssh.sources" if _port(rule) == str(SSH_PORT) else "cloudflare.ranges"
            wanted = f"on the edge only ranges of {settings}; elsewhere no public source"
            yield Finding(found=f"{_text(rule)} from {_few(strange)}", wanted=wanted)


def one_firewall_first(resources: Sequence[Resource], _stack: Stack) -> Iterator[Finding]:
    """BC02: each droplet has one firewall, and depends on it."""
    firewalls = of_type(resources, FIREWALL)
    for droplet in of_type(resources, DROPLET):
        tags = set(droplet.texts("tags"))
        by_tag = [wall for wall in firewalls if tags & set(wall.texts("tags"))]
        by_id = [wall for wall in firewalls if droplet.urn in wall.property_dependencies.get("dropletIds", ())]
        count = len(by_tag) + len(by_id)
        if count != 1:
            found = ", ".join(wall.label for wall in (*by_tag, *by_id)) or "none"
            fix = "keep the one that inventory.yaml makes, and put the others' rules into its table `firewall`"
            yield Finding(
                resource=droplet,
                found=f"{count} firewalls: {found}",
                wanted="exactly one firewall, by tag",
                fix=fix if count else "",
            )
        elif by_id:
            found = f"{by_id[0].label} names the droplet by its id, so it is made after it"
            yield Finding(resource=droplet, found=found, wanted="a firewall that exists when the droplet is made")
        elif by_tag[0].urn not in _made_before(droplet, resources):
            found = f"nothing makes it wait for {by_tag[0].label}"
            yield Finding(resource=droplet, found=found, wanted="a droplet that depends on its firewall")


def _made_before(resource: Resource, resources: Sequence[Resource]) -> set[str]:
    """Return the URNs of all that must exist first: what it depends on, and what its parents depend on."""
    known = {item.urn: item for item in resources}
    before: set[str] = set()
    waiting = [resource.urn]
    while waiting:
        item = known.get(waiting.pop())
        new = {*item.dependencies, item.parent} - before if item else set()
        before |= new
        waiting += new
    return before


def only_named_peers(resource: Resource, stack: Stack) -> Iterator[Finding]:
    """BC03: sources and ports are those of the inventory's rule table; the VPC's range is not a peer."""
    if resource.type != FIREWALL:
        return
    inventory, project = stack.project.inventory, stack.project
    name = stack.droplet_of_tags(resource.texts("tags"))
    if name is None:
        tags = ", ".join(resource.texts("tags")) or "none"
        wanted = "the tag of one droplet of inventory.yaml, such as " + stack.edge_tag
        yield Finding(found=f"tags: {tags}", wanted=wanted, fix="pass the tag as `tags`")
        return
    table = inventory.open_ports(name)
    for rule in resource.tables("inboundRules"):
        sources = table.get((str(rule.get("protocol")), _port(rule)))
        if sources is None:
            wanted = f"only ports that inventory.yaml opens on {name}"
            fix = f"close it, or open it for {name} in the table `firewall` of inventory.yaml"
            yield Finding(found=f"{_text(rule)} is open", wanted=wanted, fix=fix)
            continue
        public = {SSH_SOURCES, CLOUDFLARE} & set(sources)
        addresses = list(_networks(rule, "sourceAddresses"))
        if addresses and not public:
            wanted = f"tags of {', '.join(sources)}, and no address"
            yield Finding(found=f"{_text(rule)} from {_few(list(map(str, addresses)))}", wanted=wanted)
        vpc = project.settings.vpc_ip_range
        inside = [str(network) for network in addresses if public and network.version == 4 and network.overlaps(vpc)]
        if inside:
            yield Finding(
                found=f"{_text(rule)} from {_few(inside)}, which contains the VPC {vpc}",
                wanted="public ranges with the VPC cut out: neighbours are admitted only by name",
                fix="take the rules from topology/firewall.py, which cuts it out",
            )
        yield from _told_by_number(rule, f"tags of {', '.join(sources)}")
        peers = {project.droplet_tag(source) for source in sources if source in inventory.droplets}
        strange = sorted({tag for tag in rule.get("sourceTags") or () if isinstance(tag, str)} - peers)
        if strange:
            wanted = f"tags of {', '.join(sources)}"
            yield Finding(found=f"{_text(rule)} from tags {', '.join(strange)}", wanted=wanted)


def _told_by_number(rule: Mapping[str, Any], wanted: str) -> Iterator[Finding]:
    """Find sources given by number: the table has only names."""
    if keys := [key for key in NUMBERED_SOURCES if rule.get(key)]:
        yield Finding(found=f"{_text(rule)} from {', '.join(keys)}", wanted=wanted)


def way_in(resources: Sequence[Resource], stack: Stack) -> Iterator[Finding]:
    """BC21: the edge's sshd is open to `ssh.sources`, every other one to the edge."""
    firewalls = of_type(resources, FIREWALL)
    for droplet in of_type(resources, DROPLET):
        name = stack.droplet_of_tags(droplet.texts("tags"))
        if name is None:
            continue
        tag = stack.project.droplet_tag(name)
        rules = [
            rule
            for wall in firewalls
            if tag in wall.texts("tags")
            for rule in wall.tables("inboundRules")
            if rule.get("protocol") == "tcp" and _covers(_port(rule), SSH_PORT)
        ]
        wanted = "tcp 22 from " + ("every range of ssh.sources" if tag == stack.edge_tag else "the edge's tag")
        if not any(_admits(rule, stack, public=tag == stack.edge_tag) for rule in rules):
            yield Finding(resource=droplet, found="tcp 22: closed to operators", wanted=wanted)


def _admits(rule: Mapping[str, Any], stack: Stack, *, public: bool) -> bool:
    if not public:
        tags = rule.get("sourceTags") or ()
        return stack.edge_tag in tags or any(isinstance(tag, Unknown) for tag in tags)
    open_to = list(_networks(rule, "sourceAddresses"))
    asked = stack.project.settings.ssh.sources
    return all(any(source.overlaps(network) for network in open_to if network.version == 4) for source in asked)


def _covers(ports: str, port: int) -> bool:
    low, _, high = ports.partition("-")
    return low.isdigit() and int(low) <= port <= int(high if high.isdigit() else low)


def narrow_egress(resource: Resource, stack: Stack) -> Iterator[Finding]:
    """BC04: only DNS, web and NTP leave for the internet."""
    if resource.type != FIREWALL:
        return
    for rule in resource.tables("outboundRules"):
        protocol = str(rule.get("protocol"))
        away = [
            network
            for network in _networks(rule, "destinationAddresses")
            if not _inside(network, (stack.project.settings.vpc_ip_range,))
        ]
        if away and protocol != "icmp" and _port(rule) not in EGRESS_PORTS.get(protocol, ()):
            wanted = "to the internet only tcp 53, 80, 443, udp 53, 123 and icmp; anything else to the VPC"
            yield Finding(found=f"{_text(rule)} to {_few(list(map(str, away)))}", wanted=wanted)


def _allowed_sources(stack: Stack, droplet: str | None, port: str) -> tuple[IPv4Network, ...]:
    """Return what the internet may reach of a droplet: SSH of the bastion alone, and the web ports of each edge."""
    settings, inventory = stack.project.settings, stack.project.inventory
    if port == str(SSH_PORT) and droplet == inventory.bastion:
        return tuple(settings.ssh.sources)
    if port in WEB_PORTS and droplet in inventory.edges:
        return tuple(settings.cloudflare.ranges)
    return ()


def _networks(rule: Mapping[str, Any], key: str) -> Iterator[Network]:
    for address in rule.get(key) or ():
        if isinstance(address, str):  # one that is not known yet is judged by `up`, before the firewall is made
            yield ip_network(address, strict=False)


def _inside(network: Network, allowed: Sequence[IPv4Network]) -> bool:
    return isinstance(network, IPv4Network) and any(network.subnet_of(wide) for wide in allowed)


def _port(rule: Mapping[str, Any]) -> str:
    return str(rule.get("portRange") or "")


def _text(rule: Mapping[str, Any]) -> str:
    return f"{rule.get('protocol')} {_port(rule)}".strip()


def _few(texts: list[str]) -> str:
    """List at most three: a public source without the VPC is a dozen ranges."""
    return ", ".join(texts[:3]) + (f" and {len(texts) - 3} more" if len(texts) > 3 else "")
