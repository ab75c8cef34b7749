"""The services that operators name, by the role of their droplet."""

from __future__ import annotations

from basec.facts import Facts, Host
from topology.errors import UsageError

SERVICES = {
    "infra": ("postgres", "redis", "relay", "engines"),
    "vertical": ("haproxy", "construction"),
    "edge": ("nginx", "auth"),
}


def host_of(facts: Facts, name: str, command: str) -> Host:
    """Find a host by name. Raises UsageError; for the name of a service, with the `command` that has it."""
    owner = next((host for host in facts.hosts.values() if name in SERVICES[host.role]), None)
    if owner is not None and name not in facts.hosts:
        raise UsageError(
            f"basec: {facts.environment}: {name!r} is a service, not a host",
            f"basec {command} {owner.name} {name} --env {facts.environment}",
        )
    return facts.host(name)


def services_of(host: Host, service: str | None = None) -> tuple[str, ...]:
    """Answer the services of a host, or the one that is named. Raises UsageError, which names the known ones."""
    known = SERVICES[host.role]
    if service is None:
        return known
    if service not in known:
        raise UsageError(f"basec: {host.name}: unknown service {service!r}", f"one of {', '.join(known)}")
    return (service,)
