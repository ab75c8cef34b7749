"""Which changed property replaces a resource: the table of the official providers' `ForceNew`, property by property."""

from __future__ import annotations

import inspect
import re

import pulumi_cloudflare.dns_record
import pulumi_digitalocean as digitalocean
import pytest
from pulumi_command import remote

from localcloud.plugin import PACKAGES, package
from localcloud.providers.handler import Handler

REPLACES: dict[str, set[str]] = {
    "digitalocean:index/vpc:Vpc": {"region", "ipRange"},
    "digitalocean:index/tag:Tag": {"name"},
    "digitalocean:index/sshKey:SshKey": {"publicKey"},
    "digitalocean:index/firewall:Firewall": set(),
    "digitalocean:index/droplet:Droplet": {
        "image",
        "region",
        "sshKeys",
        "userData",
        "monitoring",
        "dropletAgent",
        "vpcUuid",
        "publicNetworking",
    },
    "digitalocean:index/volume:Volume": {"name", "region", "description"},
    "digitalocean:index/volumeAttachment:VolumeAttachment": {"dropletId", "volumeId"},
    "digitalocean:index/reservedIp:ReservedIp": {"region"},
    "digitalocean:index/reservedIpAssignment:ReservedIpAssignment": {"dropletId", "ipAddress"},
    "cloudflare:index/dnsRecord:DnsRecord": {"zoneId"},
    "command:remote:Command": {"triggers"},
}
"""Source: the schemas of terraform-provider-digitalocean, terraform-provider-cloudflare 5 and pulumi-command 1.2.1."""

SDK_CLASSES: dict[str, type] = {
    "digitalocean:index/vpc:Vpc": digitalocean.Vpc,
    "digitalocean:index/tag:Tag": digitalocean.Tag,
    "digitalocean:index/sshKey:SshKey": digitalocean.SshKey,
    "digitalocean:index/firewall:Firewall": digitalocean.Firewall,
    "digitalocean:index/droplet:Droplet": digitalocean.Droplet,
    "digitalocean:index/volume:Volume": digitalocean.Volume,
    "digitalocean:index/volumeAttachment:VolumeAttachment": digitalocean.VolumeAttachment,
    "digitalocean:index/reservedIp:ReservedIp": digitalocean.ReservedIp,
    "digitalocean:index/reservedIpAssignment:ReservedIpAssignment": digitalocean.ReservedIpAssignment,
    "cloudflare:index/dnsRecord:DnsRecord": pulumi_cloudflare.dns_record.DnsRecord,
    "command:remote:Command": remote.Command,
}

HANDLERS = [loaded.handler(name) for loaded in map(package, PACKAGES) for name in loaded.type_names]


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def test_exactly_the_types_of_the_program_are_implemented() -> None:
    assert {handler.type_name for handler in HANDLERS} == set(REPLACES)


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.type_name)
def test_the_replacing_properties_are_those_of_the_official_provider(handler: Handler) -> None:
    replacing = {name for name, schema in handler.properties.items() if schema.replace}
    assert replacing == REPLACES[handler.type_name]


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.type_name)
def test_every_property_exists_in_the_official_sdk(handler: Handler) -> None:
    source = inspect.getsource(SDK_CLASSES[handler.type_name]._internal_init)  # type: ignore[attr-defined]
    assert set(handler.properties) <= {camel(name) for name in re.findall(r"^\s+(\w+): .*=\s*None,$", source, re.M)}


def test_only_commands_are_made_before_the_old_one_goes() -> None:
    first = {handler.type_name for handler in HANDLERS if not handler.delete_before_replace}
    assert first == {"command:remote:Command"}
