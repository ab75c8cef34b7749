"""What an `up` leaves for the other commands: `.basec/<env>/{inventory.yaml,known_hosts,ssh_config}`, without secrets.

With these, `smoke` and `ssh` need neither the engine nor, while the private agent holds the login key, the passphrase.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import yaml

from basec.environments import Environment
from basec.hosts.agent import socket_path
from basec.io.files import NO_DOCUMENT, damaged, write_private
from basec.local.cloud import StandIn
from basec.session import Session
from topology.costs import Billed
from topology.errors import UsageError
from topology.fleet import services_of
from topology.inventory import EDGE_ROLE, STORE_ROLE, DropletSpec
from topology.names import HTTP_PORT, HTTPS_PORT, PROJECT

CONTROL_PERSIST_S = 60
CONNECT_TIMEOUT_S = 10


@dataclass(frozen=True, kw_only=True)
class HostFacts:
    """One droplet as operators reach it."""

    name: str
    ip: str
    private_ip: str
    user: str
    role: str
    tier: str
    """What runs there: a folder below `compose/`."""
    services: tuple[str, ...]
    aliases: tuple[str, ...]
    template: str = ""
    """Digest of the user data that a new machine would get; empty if an older `up` did not write it."""
    machine: Billed | None = None
    """What of it is billed; None if an older `up` did not write it."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """One environment as its last `up` left it."""

    environment: str
    domain: str
    stand_in: StandIn | None
    """None if Cloudflare itself serves https."""
    hosts: Mapping[str, HostFacts]

    def host(self, name: str) -> HostFacts:
        """Find a host by name or alias. Raises UsageError, which names the known ones."""
        for host in self.hosts.values():
            if name == host.name or name in host.aliases:
                return host
        known = ", ".join(sorted({*self.hosts, *(alias for host in self.hosts.values() for alias in host.aliases)}))
        raise UsageError(f"basec: {self.environment}: unknown host {name!r}", f"one of {known}")

    @property
    def bastion(self) -> HostFacts | None:
        """The way in, and where DNS points to: the first edge. None if an `up` ended before it was made."""
        return next((host for host in self.hosts.values() if host.role == EDGE_ROLE), None)

    @property
    def store(self) -> HostFacts:
        """The host of PostgreSQL and Redis. Raises UsageError where there is none."""
        return self._one(f"has the role {STORE_ROLE}", lambda host: host.role == STORE_ROLE)

    def serving(self, service: str) -> HostFacts:
        """Find the host where a service runs. Raises UsageError where there is none."""
        return self._one(f"runs {service}", lambda host: service in host.services)

    def _one(self, what: str, fits: Callable[[HostFacts], bool]) -> HostFacts:
        for host in self.hosts.values():
            if fits(host):
                return host
        name = self.environment
        raise UsageError(f"basec: {name}: the last `up` left no host that {what}", f"basec up --env {name}")

    def url(self, tenant: str) -> str:
        """Return a tenant's address as a person types it."""
        host, stand_in = f"{tenant}.{self.domain}", self.stand_in
        if stand_in is None:
            return f"https://{host}"
        if stand_in.https_port is None:
            return f"http://{host}" + ("" if stand_in.http_port == HTTP_PORT else f":{stand_in.http_port}")
        return f"https://{host}" + ("" if stand_in.https_port == HTTPS_PORT else f":{stand_in.https_port}")


def load(environment: Environment) -> Facts:
    """Read what the last `up` wrote. Raises UsageError when there was none, or when the file is damaged."""
    path = environment.hosts_file
    refresh = f"basec {'up' if environment.is_local else 'inventory refresh'} --env {environment.name}"
    try:
        facts = _read(environment, yaml.safe_load(path.read_text()))
    except FileNotFoundError:
        raise UsageError(
            f"basec: {environment.name}: this environment was never brought up from here "
            f"(.basec/{environment.name}/{path.name} is missing)",
            refresh,
        ) from None
    except (*NO_DOCUMENT, yaml.YAMLError) as error:
        raise damaged(environment.name, path, error, refresh) from None
    # It has absolute paths, which change when the clone is moved or copied.
    write_private(environment.facts_dir / "ssh_config", _ssh_config(environment, facts))
    return facts


def _read(environment: Environment, document: Any) -> Facts:
    hosts = {
        name: HostFacts(
            name=name,
            ip=str(IPv4Address(host["ip"])),
            private_ip=str(IPv4Address(host["private_ip"])),
            user=host["user"],
            role=host["role"],
            tier=(tier := host.get("tier", host["role"])),
            services=tuple(host["services"]) if "services" in host else services_of(environment.root, tier),
            aliases=tuple(host.get("aliases", ())),
            template=host.get("template", ""),
            machine=Billed.read(host),
        )
        for name, host in document[environment.name].items()
    }
    if not hosts:
        raise ValueError("no hosts")
    platform = document["platform"]
    stand_in = None
    if "http_port" in platform:
        stand_in = StandIn(
            http_port=int(platform["http_port"]),
            https_port=platform.get("https_port"),
            ca_file=environment.public_ca_file,
        )
    return Facts(environment=environment.name, domain=str(platform["domain"]), stand_in=stand_in, hosts=hosts)


def write(
    environment: Environment,
    outputs: Mapping[str, Any],
    droplets: Mapping[str, DropletSpec],
    stand_in: StandIn | None,
) -> Facts:
    """Write the three files from the stack's exports, and from the inventory's facts about each droplet."""
    bastion = next(name for name, spec in droplets.items() if spec.role == EDGE_ROLE)
    hosts = {
        name: HostFacts(
            name=name,
            ip=str(outputs["edge_reserved_ip"] if name == bastion else droplet["public_ip"]),
            private_ip=str(droplet["private_ip"]),
            user=str(outputs["ssh_user"]),
            role=spec.role,
            tier=spec.tier,
            services=services_of(environment.root, spec.tier),
            aliases=spec.aliases,
            template=str(droplet.get("template_digest", "")),
            machine=Billed.read(droplet),
        )
        for name, spec in droplets.items()
        if (droplet := outputs["droplets"].get(name))
    }
    facts = Facts(environment=environment.name, domain=str(outputs["domain"]), stand_in=stand_in, hosts=hosts)
    directory = environment.facts_dir
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(directory / "known_hosts", _known_hosts(facts, outputs["host_public_keys"]))
    write_private(directory / "ssh_config", _ssh_config(environment, facts))
    write_private(environment.hosts_file, _inventory(facts))
    return facts


def renew(session: Session, outputs: Mapping[str, Any]) -> Facts:
    """Write the three files from the stack's exports, the inventory and the local cloud."""
    droplets = session.project.inventory.droplets
    stand_in = session.cloud.stand_in if session.environment.is_local else None
    return write(session.environment, outputs, droplets, stand_in)


def host_alias(environment: str, host: str) -> str:
    """Return a host's name in known_hosts: made of environment and name, since addresses are reused."""
    return f"{PROJECT}-{environment}-{host}"


def _inventory(facts: Facts) -> str:
    hosts = {
        host.name: {
            "ip": host.ip,
            "private_ip": host.private_ip,
            "user": host.user,
            "role": host.role,
            "tier": host.tier,
            "services": list(host.services),
            **({"aliases": list(host.aliases)} if host.aliases else {}),
            **({"template": host.template} if host.template else {}),
            **(asdict(host.machine) if host.machine else {}),
        }
        for host in facts.hosts.values()
    }
    platform: dict[str, object] = {"domain": facts.domain}
    if facts.stand_in is not None:
        platform |= {"http_port": facts.stand_in.http_port, "https_port": facts.stand_in.https_port}
    return "# Written by `basec up`; no secrets.\n" + yaml.safe_dump(
        {facts.environment: hosts, "platform": platform}, sort_keys=False
    )


def _known_hosts(facts: Facts, public_keys: Mapping[str, str]) -> str:
    return "".join(
        f"{host_alias(facts.environment, name)} {' '.join(key.split()[:2])}\n"
        for name, key in sorted(public_keys.items())
    )


def _ssh_config(environment: Environment, facts: Facts) -> str:
    """Render the SSH config: pinned host keys, keys from the private agent only, only the bastion dialled directly."""
    directory: Path = environment.facts_dir
    blocks = [
        "# Written by `basec up`: ssh -F <this file> HOST",
        "Host *",
        f"  UserKnownHostsFile {_quoted(directory / 'known_hosts')}",
        "  GlobalKnownHostsFile /dev/null",
        "  StrictHostKeyChecking yes",
        "  HostKeyAlgorithms ssh-ed25519",
        f"  IdentityAgent {_quoted(socket_path(environment))}",
        "  IdentityFile none",
        "  PasswordAuthentication no",
        "  KbdInteractiveAuthentication no",
        "  ForwardAgent no",
        f"  ConnectTimeout {CONNECT_TIMEOUT_S}",
        # A host that hangs is dropped after 20 s, an idle session is not.
        "  ServerAliveInterval 5",
        "  ServerAliveCountMax 4",
        "  LogLevel ERROR",
        "  ControlMaster auto",
        f"  ControlPath {_quoted(socket_path(environment).parent / 'ssh-%C')}",
        f"  ControlPersist {CONTROL_PERSIST_S}",
    ]
    bastion = facts.bastion
    for host in facts.hosts.values():
        blocks += [
            "",
            f"Host {' '.join((host.name, *host.aliases))}",
            f"  HostName {host.ip if host is bastion else host.private_ip}",
            f"  User {host.user}",
            f"  HostKeyAlias {host_alias(facts.environment, host.name)}",
        ]
        if bastion is not None and host is not bastion:
            blocks.append(f"  ProxyJump {bastion.name}")
    return "\n".join(blocks) + "\n"


def _quoted(path: Path) -> str:
    return f'"{path}"'
