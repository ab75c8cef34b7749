"""The cloud firewall: rules on the machine, outside the droplets, so that root in a droplet cannot touch them.

Chains of a cloud (P is `BC-<cloud>`):

    P-forward  from DOCKER-USER: between droplets, to other containers, to the outside. Ends in a drop per bridge
    P-output   from OUTPUT: the machine itself, which acts as "the internet" on the public bridge and is not in the VPC
    P-input    from INPUT: droplets never reach the machine's own services
    P-iN, P-eN what droplet N may receive, may send: RETURN allows, the last rule refuses

N is the droplet's place in the public subnet. Droplets are known by their fixed addresses. A droplet that no firewall
covers is closed (DigitalOcean would leave it open: here a forgotten tag is noticed at once).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_network

from localcloud.config import CloudConfig
from localcloud.digitalocean.backend import FirewallRule, FirewallSpec
from localcloud.errors import CloudError
from localcloud.machine.host import Host
from localcloud.machine.networks import bridge

_CHAIN_LENGTH = 28  # the kernel's limit for a chain's name, less its end
_LONGEST_SUFFIX = len("-forward")
_LINK_LOCAL = "169.254.0.0/16"  # the machine's own metadata service, when it is a cloud server itself
_ALL_PORTS = frozenset({"", "0", "all", "1-65535", "0-65535"})
_ESTABLISHED = "-m conntrack --ctstate ESTABLISHED,RELATED -j RETURN"
_LOCK_WAIT_S = 10


@dataclass(frozen=True, kw_only=True)
class Member:
    """A droplet as the filter sees it; `public` has its own address first, then reserved ones."""

    number: int
    public: tuple[IPv4Address, ...]
    private: IPv4Address
    tags: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Bridges:
    """Interface names of the two bridges, and the addresses that belong on each."""

    public: str
    vpc: str
    public_subnet: IPv4Network
    vpc_subnet: IPv4Network


def prefix(cloud: str) -> str:
    """Return the prefix of the cloud's chains; a long name is replaced by a hash."""
    plain = f"BC-{cloud}"
    if len(plain) + _LONGEST_SUFFIX <= _CHAIN_LENGTH:
        return plain
    return f"BC-{hashlib.sha256(cloud.encode()).hexdigest()[:12]}"


def render(
    chains: str, bridges: Bridges, members: Sequence[Member], firewalls: Sequence[FirewallSpec], current: str
) -> str:
    """Render the input of `iptables-restore --noflush`: one transaction that makes the chains exactly this.

    `current` is the output of `iptables-save -t filter`: our chains that are no longer needed are removed, and an
    existing jump is not added again.
    """
    rules: dict[str, list[str]] = {
        f"{chains}-forward": _forward(chains, bridges, members),
        f"{chains}-output": _output(chains, bridges, members),
        f"{chains}-input": _input(bridges),
    }
    for member in members:
        covering = [firewall for firewall in firewalls if member.tags & set(firewall.tags)]
        inbound = (rule for firewall in covering for rule in firewall.inbound)
        outbound = (rule for firewall in covering for rule in firewall.outbound)
        rules[f"{chains}-i{member.number}"] = [*_allowed(inbound, "-s", members), "-j DROP"]
        rules[f"{chains}-e{member.number}"] = [*_allowed(outbound, "-d", members), "-j DROP"]
    stale = [chain for chain in _present(chains, current) if chain not in rules]
    lines = ["*filter"]
    lines += [f":{chain} - [0:0]" for chain in (*rules, *stale)]
    lines += [f"-A {chain} {rule}" for chain, body in rules.items() for rule in body]
    lines += [f"-X {chain}" for chain in stale]
    lines += [f"-I {jump}" for jump in _jumps(chains) if f"-A {jump}" not in current.splitlines()]
    return "\n".join([*lines, "COMMIT", ""])


def render_removal(chains: str, current: str) -> str:
    """Render the transaction that removes every chain and jump of the cloud; empty if there is none."""
    present = _present(chains, current)
    if not present:
        return ""
    jumps = [line for line in current.splitlines() if line.startswith("-A ") and line.split()[-1] in present]
    outside = [line for line in jumps if line.split()[1] not in present]
    lines = ["*filter", *(f":{chain} - [0:0]" for chain in present)]
    lines += [f"-D {line.removeprefix('-A ')}" for line in outside]
    lines += [f"-X {chain}" for chain in present]
    return "\n".join([*lines, "COMMIT", ""])


def render_ipv6(chains: str, bridges: Bridges, current: str) -> str:
    """Render the IPv6 side: nothing passes. The cloud has IPv4 only, but root in a droplet could switch IPv6 on."""
    chain = f"{chains}-forward"
    names = (bridges.public, bridges.vpc)
    lines = ["*filter", f":{chain} - [0:0]"]
    lines += [f"-A {chain} {way} {name} -j DROP" for way in ("-i", "-o") for name in names]
    jumps = [f"{hook} -j {chain}" for hook in ("FORWARD", "INPUT", "OUTPUT")]
    lines += [f"-I {jump}" for jump in jumps if f"-A {jump}" not in current.splitlines()]
    return "\n".join([*lines, "COMMIT", ""])


def bridges_of(config: CloudConfig, vpc_subnet: IPv4Network) -> Bridges:
    """Return the bridges of a cloud."""
    return Bridges(
        public=bridge(config, "p"),
        vpc=bridge(config, "v"),
        public_subnet=config.public_subnet,
        vpc_subnet=vpc_subnet,
    )


async def apply(
    host: Host, chains: str, bridges: Bridges, members: Sequence[Member], firewalls: Sequence[FirewallSpec]
) -> None:
    """Put the rules into the kernel, all or none. The caller holds the cloud's lock."""
    await check_bridge_filtering(host)
    current = (await host.run("iptables-save", "-t", "filter")).stdout
    if ":DOCKER-USER " not in current:
        raise CloudError("cloud firewall: no chain DOCKER-USER\nhint: start Docker with its option `iptables` on")
    await _restore(host, "iptables-restore", render(chains, bridges, members, firewalls, current))
    # A kernel without IPv6 needs no rules.
    current6 = await host.run("ip6tables-save", "-t", "filter", check=False)
    if current6.code == 0:
        await _restore(host, "ip6tables-restore", render_ipv6(chains, bridges, current6.stdout))


async def remove(config: CloudConfig, host: Host) -> None:
    """Remove the cloud's chains."""
    for save, restore in (("iptables-save", "iptables-restore"), ("ip6tables-save", "ip6tables-restore")):
        current = await host.run(save, "-t", "filter", check=False)
        text = render_removal(prefix(config.name), current.stdout) if current.code == 0 else ""
        if text:
            await _restore(host, restore, text)


async def check_bridge_filtering(host: Host) -> None:
    """Raise CloudError when the kernel hides bridged packets from iptables: no rule would have an effect."""
    result = await host.run("sysctl", "-n", "net.bridge.bridge-nf-call-iptables", check=False)
    if result.stdout.strip() != "1":
        raise CloudError(
            "cloud firewall: the machine does not filter bridged packets\n"
            "hint: modprobe br_netfilter && sysctl -w net.bridge.bridge-nf-call-iptables=1"
        )


async def _restore(host: Host, program: str, text: str) -> None:
    await host.run(program, "--noflush", "--wait", str(_LOCK_WAIT_S), stdin=text.encode())


def _forward(chains: str, bridges: Bridges, members: Sequence[Member]) -> list[str]:
    rules = [f"-i {name} -d {_LINK_LOCAL} -j DROP" for name in (bridges.public, bridges.vpc)]
    rules.append(_ESTABLISHED)
    # Otherwise a private address, sent over the public bridge, would count as that peer.
    rules.append(f"-i {bridges.public} ! -s {bridges.public_subnet} -j DROP")
    rules.append(f"-i {bridges.vpc} ! -s {bridges.vpc_subnet} -j DROP")
    for member in members:
        rules += [f"-o {bridges.public} -d {address}/32 -j {chains}-i{member.number}" for address in member.public]
        rules.append(f"-o {bridges.vpc} -d {member.private}/32 -j {chains}-i{member.number}")
    # -g: a RETURN in the droplet's own chain leaves this chain too, so that only strangers reach the rules below.
    for member in members:
        rules += [f"-i {bridges.public} -s {address}/32 -g {chains}-e{member.number}" for address in member.public]
        rules.append(f"-i {bridges.vpc} -s {member.private}/32 -g {chains}-e{member.number}")
    # Strangers: the stand-in, the registry and other containers may talk on their own bridge (a droplet among the
    # receivers was checked above). An address invented by root in a droplet is such a stranger: no way out.
    rules += [f"-i {name} -o {name} -j RETURN" for name in (bridges.public, bridges.vpc)]
    rules += [f"{way} {name} -j DROP" for way in ("-i", "-o") for name in (bridges.public, bridges.vpc)]
    return rules


def _output(chains: str, bridges: Bridges, members: Sequence[Member]) -> list[str]:
    rules = [_output_established(name) for name in (bridges.public, bridges.vpc)]
    rules += [
        f"-o {bridges.public} -d {address}/32 -j {chains}-i{member.number}"
        for member in members
        for address in member.public
    ]
    return [*rules, f"-o {bridges.vpc} -j DROP"]


def _output_established(name: str) -> str:
    return f"-o {name} {_ESTABLISHED}"


def _input(bridges: Bridges) -> list[str]:
    names = (bridges.public, bridges.vpc)
    return [f"-i {name} {_ESTABLISHED}" for name in names] + [f"-i {name} -j DROP" for name in names]


def _allowed(rules: Iterable[FirewallRule], side: str, members: Sequence[Member]) -> list[str]:
    """Yield each rule once for each peer, in a fixed order, without repeats."""
    lines: dict[str, None] = {}
    for rule in rules:
        for peer in _peers(rule, members):
            lines[f"{side} {peer} {_service(rule)}-j RETURN"] = None
    return list(lines)


def _peers(rule: FirewallRule, members: Sequence[Member]) -> list[str]:
    # IPv6 peers (`::/0`) are for the real cloud.
    peers = [str(net) for net in (ip_network(a, strict=False) for a in rule.addresses) if isinstance(net, IPv4Network)]
    for member in members:
        if member.tags & set(rule.tags):
            peers += [f"{address}/32" for address in (*member.public, member.private)]
    return peers


def _service(rule: FirewallRule) -> str:
    protocol = rule.protocol.lower()
    if protocol not in {"tcp", "udp", "icmp"}:
        raise CloudError(f"firewall: protocol {rule.protocol!r} is not one of tcp, udp, icmp")
    if protocol == "icmp" or rule.ports in _ALL_PORTS:
        return f"-p {protocol} "
    return f"-p {protocol} -m {protocol} --dport {rule.ports.replace('-', ':')} "


def _jumps(chains: str) -> list[str]:
    return [f"DOCKER-USER -j {chains}-forward", f"OUTPUT -j {chains}-output", f"INPUT -j {chains}-input"]


def _present(chains: str, current: str) -> list[str]:
    """List the existing chains of this cloud, without those of a cloud whose name begins with this one's."""
    names = [line[1:].split()[0] for line in current.splitlines() if line.startswith(":")]
    return [name for name in names if name.startswith(f"{chains}-") and _is_own(name.removeprefix(f"{chains}-"))]


def _is_own(suffix: str) -> bool:
    return suffix in {"forward", "output", "input"} or (suffix[:1] in {"i", "e"} and suffix[1:].isdigit())
