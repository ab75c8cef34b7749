"""Write the table of resource types in the README from the resource types: `python -m localcloud.tests.type_table`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from localcloud.plugin import PACKAGES, package
from localcloud.provider.schema import Property

README = Path(__file__).resolve().parents[1] / "README.md"
HEAD = "| type | implemented (**bold**: a change replaces) | refused |\n| --- | --- | --- |\n"
DO = "digitalocean:index"
VPC, TAG, SSH_KEY, FIREWALL = f"{DO}/vpc:Vpc", f"{DO}/tag:Tag", f"{DO}/sshKey:SshKey", f"{DO}/firewall:Firewall"
DROPLET, VOLUME, VOLUME_ATTACHMENT = (
    f"{DO}/droplet:Droplet",
    f"{DO}/volume:Volume",
    f"{DO}/volumeAttachment:VolumeAttachment",
)
RESERVED_IP, ASSIGNMENT = f"{DO}/reservedIp:ReservedIp", f"{DO}/reservedIpAssignment:ReservedIpAssignment"
MONITOR_ALERT, UPTIME_CHECK, UPTIME_ALERT = (
    f"{DO}/monitorAlert:MonitorAlert",
    f"{DO}/uptimeCheck:UptimeCheck",
    f"{DO}/uptimeAlert:UptimeAlert",
)
PROJECT, PROJECT_RESOURCES = f"{DO}/project:Project", f"{DO}/projectResources:ProjectResources"
DNS, COMMAND = "cloudflare:index/dnsRecord:DnsRecord", "command:remote:Command"
CF = "cloudflare:index"
ORIGIN_CA = f"{CF}/originCaCertificate:OriginCaCertificate"
PULLS_CERTIFICATE = f"{CF}/authenticatedOriginPullsCertificate:AuthenticatedOriginPullsCertificate"
PULLS_SETTINGS = f"{CF}/authenticatedOriginPullsSettings:AuthenticatedOriginPullsSettings"
ZONE_SETTING = f"{CF}/zoneSetting:ZoneSetting"

REFUSED: dict[str, set[str]] = {
    FIREWALL: {
        "dropletIds",
        *(f"inboundRules.source{what}" for what in ("DropletIds", "KubernetesIds", "LoadBalancerUids")),
        *(f"outboundRules.destination{what}" for what in ("DropletIds", "KubernetesIds", "LoadBalancerUids")),
        *("inboundRules.action", "outboundRules.action"),
    },
    DROPLET: {"backupPolicy", "gpuPartitionMode", "ipv6Address", "privateNetworking", "volumeIds"},
    VOLUME: {"filesystemType", "initialFilesystemLabel", "initialFilesystemType", "snapshotId"},
    RESERVED_IP: {"dropletId", "ipAddress"},
    MONITOR_ALERT: {"alerts.slacks", "entities"},
    UPTIME_ALERT: {"notifications.slacks"},
    PROJECT: {"resources"},
    DNS: {"data", "includeShadowMetadata", "priority", "privateRouting", "settings", "tags"},
    ZONE_SETTING: {"enabled"},
    COMMAND: {
        "environment",
        *(f"connection.{hop}{name}" for hop in ("", "proxy.") for name in ("agentSocketPath", "password")),
    },
}
"""Properties of the SDK that the local cloud does not have, besides those inside of a refused one."""

HANDLERS = {name: loaded.handler(name) for loaded in map(package, PACKAGES) for name in loaded.type_names}


def flat(properties: Mapping[str, Property], path: str = "") -> dict[str, Property]:
    """List properties with those inside them: `connection`, `connection.host`, ..."""
    listed: dict[str, Property] = {}
    for name, schema in properties.items():
        listed[path + name] = schema
        listed |= flat(schema.items or {}, f"{path}{name}.")
    return listed


def implemented(type_name: str) -> dict[str, Property]:
    refused = REFUSED.get(type_name, set())
    return {path: schema for path, schema in flat(HANDLERS[type_name].properties).items() if path not in refused}


def rows() -> list[str]:
    """Return one row a type."""
    found = []
    for type_name in sorted(HANDLERS):
        schemas = implemented(type_name)
        ours = ", ".join(f"**{path}**" if schemas[path].replace else path for path in sorted(schemas))
        refused = ", ".join(sorted(REFUSED.get(type_name, set()))) or "-"
        found.append(f"| `{type_name.rpartition(':')[2]}` | {ours} | {refused} |")
    return found


def written() -> str:
    """Return the README with the table of now."""
    before, _, after = README.read_text().partition(HEAD)
    rest = after.partition("\n\n")[2]
    return before + HEAD + "\n".join(rows()) + "\n\n" + rest


if __name__ == "__main__":
    README.write_text(written())
    sys.stdout.write(f"{README}: {len(HANDLERS)} types\n")
