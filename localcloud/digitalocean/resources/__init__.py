"""DigitalOcean's resource types, as far as the local cloud has them: checks, replacements, outputs.

Which properties replace is copied from the official provider (pulumi-digitalocean 4.84.1, a bridge of
terraform-provider-digitalocean: `ForceNew` in its schemas); tests/test_fidelity.py holds the table.
"""

from __future__ import annotations

from localcloud.digitalocean.backend import Backend
from localcloud.digitalocean.resources.account import SshKey, Tag
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
from localcloud.digitalocean.resources.network import Firewall, Vpc
from localcloud.provider.handler import Handler, Package


def package() -> Package:
    """All types of this provider."""
    handlers: tuple[type[Handler[Backend]], ...] = (
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
