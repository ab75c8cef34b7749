"""DigitalOcean's resource types, as far as the local cloud has them."""

from __future__ import annotations

from localcloud.digitalocean.resources.machines import (
    Droplet,
    ReservedIp,
    ReservedIpAssignment,
    Volume,
    VolumeAttachment,
)
from localcloud.digitalocean.resources.monitoring import (
    MonitorAlert,
    Project,
    ProjectResources,
    UptimeAlert,
    UptimeCheck,
)
from localcloud.digitalocean.resources.network import Firewall, SshKey, Tag, Vpc
from localcloud.provider.handler import Handler, Package


def package() -> Package:
    """All types of this provider."""
    handlers: tuple[type[Handler], ...] = (
        Vpc,
        Tag,
        SshKey,
        Firewall,
        Droplet,
        Volume,
        VolumeAttachment,
        ReservedIp,
        ReservedIpAssignment,
        MonitorAlert,
        UptimeCheck,
        UptimeAlert,
        Project,
        ProjectResources,
    )
    return Package("digitalocean", [handler() for handler in handlers])
