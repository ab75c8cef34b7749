"""Find hosts and services by the names that operators type."""

from __future__ import annotations

from collections.abc import Sequence

from basec.hosts.facts import Facts, HostFacts
from topology.errors import UsageError

ALL = "all"
"""Means every host, for commands that take several."""


def host_of(facts: Facts, name: str, command: str) -> HostFacts:
    """Find a host by name or alias. Raises UsageError; for the name of a service, with the `command` for its host.

    `command` is what was typed before the host, such as `compose restart {}`; `{}` stands for the host.
    """
    owner = next((host for host in facts.hosts.values() if name in host.services), None)
    if owner is not None and name not in facts.hosts:
        words = command.format(owner.name, service=name)
        raise UsageError(
            f"basec: {facts.environment}: {name!r} is a service, not a host",
            f"basec {words} --env {facts.environment}",
        )
    return facts.host(name)


def hosts_of(facts: Facts, names: Sequence[str], command: str) -> list[HostFacts]:
    """Find hosts by name; none, or `all`, means every host. Raises UsageError as `host_of` does."""
    if not names or ALL in names:
        return list(facts.hosts.values())
    return [host_of(facts, name, command) for name in names]


def services_of(host: HostFacts, service: str | None = None) -> tuple[str, ...]:
    """Return the services of a host, or the given one. Raises UsageError, which lists the known ones."""
    if service is None:
        return host.services
    if service not in host.services:
        raise UsageError(f"basec: {host.name}: unknown service {service!r}", f"one of {', '.join(host.services)}")
    return (service,)
