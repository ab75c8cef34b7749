"""The resource types in the official SDKs: names, types and what is required, read from their classes."""

from __future__ import annotations

import collections.abc
import sys
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import pulumi
import pulumi_cloudflare.authenticated_origin_pulls_certificate as origin_pulls_certificate
import pulumi_cloudflare.authenticated_origin_pulls_settings as origin_pulls_settings
import pulumi_cloudflare.dns_record
import pulumi_cloudflare.zone_setting
import pulumi_digitalocean as digitalocean
from pulumi_cloudflare import origin_ca_certificate
from pulumi_command import remote

from localcloud.provider.schema import Kind

RESOURCES: dict[str, type] = {
    "digitalocean:index/vpc:Vpc": digitalocean.Vpc,
    "digitalocean:index/tag:Tag": digitalocean.Tag,
    "digitalocean:index/sshKey:SshKey": digitalocean.SshKey,
    "digitalocean:index/firewall:Firewall": digitalocean.Firewall,
    "digitalocean:index/droplet:Droplet": digitalocean.Droplet,
    "digitalocean:index/volume:Volume": digitalocean.Volume,
    "digitalocean:index/volumeAttachment:VolumeAttachment": digitalocean.VolumeAttachment,
    "digitalocean:index/reservedIp:ReservedIp": digitalocean.ReservedIp,
    "digitalocean:index/reservedIpAssignment:ReservedIpAssignment": digitalocean.ReservedIpAssignment,
    "digitalocean:index/monitorAlert:MonitorAlert": digitalocean.MonitorAlert,
    "digitalocean:index/uptimeCheck:UptimeCheck": digitalocean.UptimeCheck,
    "digitalocean:index/uptimeAlert:UptimeAlert": digitalocean.UptimeAlert,
    "digitalocean:index/project:Project": digitalocean.Project,
    "digitalocean:index/projectResources:ProjectResources": digitalocean.ProjectResources,
    "cloudflare:index/dnsRecord:DnsRecord": pulumi_cloudflare.dns_record.DnsRecord,
    "cloudflare:index/originCaCertificate:OriginCaCertificate": origin_ca_certificate.OriginCaCertificate,
    "cloudflare:index/authenticatedOriginPullsCertificate:AuthenticatedOriginPullsCertificate": (
        origin_pulls_certificate.AuthenticatedOriginPullsCertificate
    ),
    "cloudflare:index/authenticatedOriginPullsSettings:AuthenticatedOriginPullsSettings": (
        origin_pulls_settings.AuthenticatedOriginPullsSettings
    ),
    "cloudflare:index/zoneSetting:ZoneSetting": pulumi_cloudflare.zone_setting.ZoneSetting,
    "command:remote:Command": remote.Command,
}

_SCALARS: dict[object, Kind] = {
    str: Kind.STRING,
    int: Kind.INTEGER,
    float: Kind.NUMBER,
    bool: Kind.BOOLEAN,
    typing.Any: Kind.ANY,
}


@dataclass(frozen=True, kw_only=True)
class Typed:
    """A property of the SDK. `element`: of a list; `fields`: of a map, or of the maps in a list."""

    kind: Kind
    required: bool
    element: Kind | None = None
    fields: Mapping[str, Typed] | None = None


def inputs(type_name: str) -> dict[str, Typed]:
    """Read the input properties, under their names on the wire."""
    resource = RESOURCES[type_name]
    return _properties(getattr(sys.modules[resource.__module__], f"{resource.__name__}Args"))


def outputs(type_name: str) -> dict[str, Typed]:
    """Read the outputs; `required` = the SDK promises a value."""
    return _properties(RESOURCES[type_name])


def flat(properties: Mapping[str, Typed], path: str = "") -> dict[str, Typed]:
    """List properties with those inside them: `connection`, `connection.host`, ..."""
    listed: dict[str, Typed] = {}
    for name, typed in properties.items():
        listed[path + name] = typed
        listed |= flat(typed.fields or {}, f"{path}{name}.")
    return listed


def _properties(owner: type) -> dict[str, Typed]:
    getters = [member.fget for member in vars(owner).values() if isinstance(member, property) and member.fget]
    return {getter._pulumi_name: _typed(getter.__annotations__["return"], owner) for getter in getters}  # type: ignore[attr-defined]


def _typed(annotation: object, owner: type) -> Typed:
    parts = _parts(annotation)
    required = type(None) not in parts
    for part in parts:
        if part in _SCALARS:  # an enumeration of texts is offered beside `str`
            return Typed(kind=_SCALARS[part], required=required)
    (part,) = [part for part in parts if part is not type(None)]
    origin = typing.get_origin(part)
    if origin is collections.abc.Sequence:
        element = _typed(typing.get_args(part)[0], owner)
        return Typed(kind=Kind.LIST, required=required, element=element.kind, fields=element.fields)
    if origin is collections.abc.Mapping:
        return Typed(kind=Kind.MAP, required=required)
    assert isinstance(part, typing.ForwardRef), part
    named = _named(part.__forward_arg__, owner)
    if issubclass(named, Enum):
        return Typed(kind=Kind.STRING, required=required)
    return Typed(kind=Kind.MAP, required=required, fields=_properties(named))


def _parts(annotation: object) -> list[object]:
    """Take apart `Input[...]`, `Output[...]` and `Optional[...]`."""
    if typing.get_origin(annotation) is pulumi.Output:
        return _parts(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) is not typing.Union:
        return [annotation]
    arguments = [
        argument
        for argument in typing.get_args(annotation)
        if typing.get_origin(argument) is not collections.abc.Awaitable and argument != typing.ForwardRef("Output[T]")
    ]
    return [part for argument in arguments for part in _parts(argument)]


def _named(name: str, owner: type) -> type:
    """Find a class that the SDK names in a text, as `FirewallInboundRuleArgs` or `outputs.Connection`."""
    found: object = sys.modules[owner.__module__]
    for part in name.split("."):
        found = getattr(found, part)
    assert isinstance(found, type), name
    return found
