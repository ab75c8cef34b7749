"""BC11 to BC13: names and the zone in front of the edge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address

from policy.checks import RECORD, ZONE_SETTING, Finding, of_type
from policy.resources import Resource, Unknown
from policy.stack import Stack
from topology.names import DROPLET
from topology.settings import PRIVATE_RANGES

PULLS = "cloudflare:index/authenticatedOriginPullsSettings:AuthenticatedOriginPullsSettings"
PULLS_CERTIFICATE = "cloudflare:index/authenticatedOriginPullsCertificate:AuthenticatedOriginPullsCertificate"
ADDRESS_TYPES = ("A", "AAAA", "CNAME")
STRICT = {
    "ssl": ("strict",),
    "min_tls_version": ("1.2", "1.3"),
    "always_use_https": ("on",),
}
"""Settings of the zone, and the values that are strict enough."""
STRICT_FIX = "set `cloudflare.ssl: strict`; components/zone_settings.py and origin_tls.py declare what it needs"


def proxied(resource: Resource, stack: Stack) -> Iterator[Finding]:
    """BC11: Cloudflare stands before every address of ours, and private addresses are not in DNS."""
    if resource.type != RECORD:
        return
    kind, content = resource.get("type"), resource.get("content")
    if kind in ADDRESS_TYPES and resource.get("proxied") is not True and not _elsewhere(kind, content, stack):
        yield Finding(found=f"{kind} {resource.get('name')}: proxied: off", wanted="proxied: true")
    if kind == "A" and isinstance(content, str) and _is_private(content):
        yield Finding(
            found=f"{kind} {resource.get('name')}: points at {content}, a private address",
            wanted="the edge's reserved address",
        )


def _is_private(address: str) -> bool:
    return any(IPv4Address(address) in network for network in PRIVATE_RANGES)


def _elsewhere(kind: object, content: object, stack: Stack) -> bool:
    """Return whether an alias leads to another domain, such as a mail service that verifies ours by it."""
    domain = stack.project.settings.domain
    return kind == "CNAME" and isinstance(content, str) and not f".{content}".endswith(f".{domain}")


def no_droplet_in_dns(resources: Sequence[Resource], _stack: Stack) -> Iterator[Finding]:
    """BC11: no record of any kind is made from a droplet."""
    droplets = {droplet.urn: droplet for droplet in of_type(resources, DROPLET)}
    addresses = {
        str(address): droplet
        for droplet in droplets.values()
        for key in ("ipv4Address", "ipv4AddressPrivate")
        if isinstance(address := droplet.get(key), str)
    }
    for record in of_type(resources, RECORD):
        named = [droplets[urn] for urn in sorted(record.property_dependencies.get("content", ())) if urn in droplets]
        content = record.get("content")
        if isinstance(content, str) and content in addresses:
            named.append(addresses[content])
        if named:
            yield Finding(
                resource=record,
                found=f"{record.get('type')} {record.get('name')}: leads to {named[0].label} itself",
                wanted="the edge's reserved address, behind Cloudflare",
            )


def strict_setting(resource: Resource, stack: Stack) -> Iterator[Finding]:
    """BC12: no setting of the zone is weaker than strict."""
    if resource.type != ZONE_SETTING or not _strict(stack):
        return
    name, value = resource.get("settingId"), resource.get("value")
    allowed = STRICT.get(str(name))
    if allowed and not isinstance(value, Unknown) and str(value) not in allowed:
        yield Finding(found=f"{name}: {value}", wanted=f"{name}: {' or '.join(allowed)}", fix=STRICT_FIX)


def strict_zone(resources: Sequence[Resource], stack: Stack) -> Iterator[Finding]:
    """BC12: all parts of strict are declared. A stack without records is not checked."""
    if not _strict(stack) or not of_type(resources, RECORD):
        return
    declared = {str(setting.get("settingId")) for setting in of_type(resources, ZONE_SETTING)}
    missing = [name for name in STRICT if name not in declared]
    if not any(pulls.get("enabled") is True for pulls in of_type(resources, PULLS)):
        missing.append("authenticated origin pulls")
    if not of_type(resources, PULLS_CERTIFICATE):
        missing.append("our own client certificate for them")
    if missing:
        yield Finding(
            place=f"zone {stack.project.settings.cloudflare.zone_id}",
            found=f"not declared: {', '.join(missing)}",
            wanted="ssl strict, TLS 1.2 or newer, https always, origin pulls by our own certificate",
            fix=STRICT_FIX,
        )


def _strict(stack: Stack) -> bool:
    return not stack.is_local or stack.project.settings.cloudflare.ssl == "strict"


def shallow_names(resource: Resource, stack: Stack) -> Iterator[Finding]:
    """BC13: the domain, or one label below it."""
    if resource.type != RECORD or resource.get("type") not in ADDRESS_TYPES or resource.get("proxied") is not True:
        return
    name, domain = resource.get("name"), stack.project.settings.domain
    if not isinstance(name, str) or name == domain:
        return
    label = name.removesuffix(f".{domain}")
    if label == name:
        yield Finding(found=f"name: {name}", wanted=f"a full name: {domain} or <label>.{domain}")
    elif "." in label:
        yield Finding(found=f"name: {name}", wanted=f"at most one label before {domain}")
