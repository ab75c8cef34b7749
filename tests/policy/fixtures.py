"""A whole stack that breaks no rule, as the engine would send it; tests spoil one property of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from policy.checks import FIREWALL, RECORD, ZONE_SETTING
from policy.domain_rules import PULLS, PULLS_CERTIFICATE
from policy.machine_rules import ALERT, CHECK, CHECK_ALERT
from policy.resources import UNKNOWN, Resource
from policy.stack import Stack
from tests.unit.topology_support import ROOT, private_key, raw_settings, with_value
from topology.cloud_init import render_user_data
from topology.firewall import cloud_rules
from topology.keys import public_key
from topology.names import BUCKET, DROPLET, RESERVED_IP, VOLUME, VPC
from topology.project import Project, load_project
from topology.settings import SECRET_KEYS

COMMAND = "command:remote:Command"
PROVIDER = "pulumi:providers:digitalocean"
NAIVE_RULES = (*range(1, 17), 19, 20)
"""All but the two that are told from compose files: it has none."""
PASSWORD = "kAn4ry-of-the-database-0123456789"


def stack(name: str = "production", *, document: Mapping[str, Any] | None = None, ssl: str | None = None) -> Stack:
    """Load a tracked stack; `ssl` is another mode of TLS than its settings have."""
    project, settings = _tracked(name)
    if ssl is not None:
        cloudflare = project.settings.cloudflare.model_copy(update={"ssl": ssl})
        project = replace(project, settings=project.settings.model_copy(update={"cloudflare": cloudflare}))
    return Stack(
        project=project,
        file=Path(f"Pulumi.{name}.yaml"),
        document=document or {"config": {"basecommerce:settings": settings}},
        secrets={"postgres_password": PASSWORD, "host_key_edge": private_key(4)},
    )


@cache
def _tracked(name: str) -> tuple[Project, Any]:
    settings = raw_settings(name)
    return load_project(ROOT, name, settings, SECRET_KEYS), settings


def resource(kind: str, name: str, properties: Mapping[str, Any], **options: Any) -> Resource:
    """Make a resource as the program declares it."""
    urn = f"urn:pulumi:production::basecommerce::{kind}::{name}"
    return Resource(urn=urn, type=kind, name=name, properties=properties, **options)


def spoil(item: Resource, path: str, value: object) -> Resource:
    """Return a copy with the property at a dotted path changed."""
    return replace(item, properties=with_value(dict(item.properties), path, value))


def firewall(project: Project, name: str) -> Resource:
    """Return the cloud firewall that the rule table makes for a droplet."""
    rules = cloud_rules(project, name)
    inbound = [
        {
            "protocol": rule.protocol,
            "portRange": rule.port_range,
            "sourceAddresses": list(rule.source_addresses),
            "sourceTags": list(rule.source_tags),
        }
        for rule in rules.inbound
    ]
    outbound = [
        {
            "protocol": rule.protocol,
            "portRange": rule.port_range,
            "destinationAddresses": list(rule.destination_addresses),
        }
        for rule in rules.outbound
    ]
    properties = {
        "name": project.physical_name(name),
        "tags": [project.droplet_tag(name)],
        "inboundRules": inbound,
        "outboundRules": outbound,
    }
    return resource(FIREWALL, f"{name}-firewall", properties)


def droplet(project: Project, name: str, seed: int = 4) -> Resource:
    """Return a droplet as components/droplet.py declares it."""
    spec = project.droplet(name)
    properties = {
        "name": project.physical_name(name),
        "region": project.settings.region,
        "size": spec.size,
        "image": spec.image,
        "vpcUuid": UNKNOWN,
        "sshKeys": [UNKNOWN],
        "userData": render_user_data(project, name, public_key(private_key(1)), private_key(seed)),
        "tags": list(project.tags(name)),
        "monitoring": True,
        "ipv6": False,
    }
    return resource(
        DROPLET,
        f"{name}-droplet",
        properties,
        secret=frozenset({"userData"}),
        protect=True,
        ignore_changes=("userData", "sshKeys", "image"),
        dependencies=frozenset({firewall(project, name).urn}),
    )


def command(project: Project, *, proxy: bool, depends: Resource | None = None) -> Resource:
    """Return a command as components/remote.py declares it."""
    hop = {"host": UNKNOWN, "user": project.settings.ssh.user, "port": 22.0, "privateKey": "k", "hostKey": "h"}
    properties = {
        "connection": {**hop, **({"proxy": dict(hop)} if proxy else {})},
        "create": "# droplet 1\n# activate\nexec sudo -n bash -c 'tier=edge\nset -euo pipefail\ntrue\n'",
        "stdin": PASSWORD,
        "logging": "none",
        "addPreviousOutputInEnv": False,
    }
    return resource(
        COMMAND,
        "vertical-ready" if proxy else "edge-ready",
        properties,
        secret=frozenset({"connection", "stdin"}),
        secret_outputs=("stdout", "stderr"),
        property_dependencies={"connection": frozenset({depends.urn} if depends else ())},
    )


def record(domain: str, name: str) -> Resource:
    """Return a name of the stack."""
    properties = {"name": name, "type": "A", "content": UNKNOWN, "proxied": True, "ttl": 1.0, "zoneId": "z"}
    return resource(RECORD, f"dns-{name.replace(domain, 'apex')}", properties)


def whole(project: Project) -> dict[str, Resource]:
    """Return everything that a stack consists of, by a short name."""
    region, domain = project.settings.region, project.settings.domain
    edge, vertical, infra = (droplet(project, name) for name in ("edge", "vertical", "infra"))
    walls = {f"{name}-firewall": firewall(project, name) for name in project.inventory.droplets}
    alerts = {
        f"alert-{kind}": resource(
            ALERT, kind, {"type": f"v1/insights/droplet/{kind}", "tags": ["basecommerce"], "enabled": True}
        )
        for kind in ("cpu", "memory_utilization_percent", "disk_utilization_percent")
    }
    settings = {
        name: resource(ZONE_SETTING, name, {"settingId": name, "value": value, "zoneId": "z"})
        for name, value in (("ssl", "strict"), ("min_tls_version", "1.2"), ("always_use_https", "on"))
    }
    return {
        **walls,
        **alerts,
        **settings,
        "edge": edge,
        "vertical": vertical,
        "infra": infra,
        "vpc": resource(VPC, "vpc", {"name": project.physical_name("vpc"), "region": region}),
        "volume": resource(VOLUME, "data", {"name": project.physical_name("data"), "region": region}, protect=True),
        "address": resource(RESERVED_IP, "address", {"region": region, "ipAddress": UNKNOWN}, protect=True),
        "bucket": resource(
            BUCKET,
            "backups",
            {
                "acl": "private",
                "versioning": {"enabled": True},
                "lifecycleRules": [{"enabled": True, "noncurrentVersionExpiration": {"days": 30.0}}],
                "forceDestroy": False,
            },
            protect=True,
        ),
        "check": resource(
            CHECK, "health", {"name": project.physical_name("health"), "target": f"https://{domain}/health"}
        ),
        "check-alert": resource(CHECK_ALERT, "health", {"name": project.physical_name("health-down"), "type": "down"}),
        "apex": record(domain, domain),
        "wildcard": record(domain, f"*.{domain}"),
        "pulls": resource(PULLS, "pulls", {"enabled": True}),
        "pulls-certificate": resource(PULLS_CERTIFICATE, "pulls", {"certificate": "c", "privateKey": "k"}),
        "edge-command": command(project, proxy=False, depends=edge),
        "vertical-command": command(project, proxy=True, depends=vertical),
        "provider": resource(PROVIDER, "default_4_84_1", {"version": "4.84.1"}),
    }
