"""What a check is: it gets a resource (or all of them, or none) and the stack, and yields what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from policy.resources import Resource
from policy.stack import Stack


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What breaks a rule. No text may hold the value of a secret."""

    found: str
    wanted: str
    fix: str = ""
    """Only if it differs from the rule's own."""
    resource: Resource | None = None
    """Which of all resources; None for the one that is checked."""
    place: str = ""
    """Instead of a resource: a place in a file."""
    advisory: bool = False


ResourceCheck = Callable[[Resource, Stack], Iterator[Finding]]
StackCheck = Callable[[Sequence[Resource], Stack], Iterator[Finding]]
FileCheck = Callable[[Stack], Iterator[Finding]]

FIREWALL = "digitalocean:index/firewall:Firewall"
SSH_KEY = "digitalocean:index/sshKey:SshKey"
TAG = "digitalocean:index/tag:Tag"
RECORD = "cloudflare:index/dnsRecord:DnsRecord"
ZONE_SETTING = "cloudflare:index/zoneSetting:ZoneSetting"
COMMANDS = ("command:remote:Command", "command:local:Command")
"""`local` runs on the caller's machine, with the same leaks."""
REMOTE = ("command:remote:Command", "command:remote:CopyToRemote", "command:remote:CopyFile")


def of_type(resources: Sequence[Resource], *types: str) -> list[Resource]:
    """Return the resources of these types."""
    return [resource for resource in resources if resource.type in types]
