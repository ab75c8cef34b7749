"""What DigitalOcean accepts: its sizes, regions and naming rules, and its API's messages for the rest."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Network, NetmaskValueError, ip_network

from localcloud.provider.schema import Check, Kind, Property
from localcloud.provider.values import Value


@dataclass(frozen=True, kw_only=True)
class Size:
    """A droplet size: memory in MiB, disk in GiB, price in USD."""

    memory_mib: int
    vcpus: int
    disk_gib: int
    price_monthly: float

    @property
    def price_hourly(self) -> float:
        """The month is 672 hours at most. Source: https://docs.digitalocean.com/products/droplets/details/pricing/"""
        return round(self.price_monthly / 672, 5)


SIZES = {
    "s-1vcpu-512mb-10gb": Size(memory_mib=512, vcpus=1, disk_gib=10, price_monthly=4),
    "s-1vcpu-1gb": Size(memory_mib=1024, vcpus=1, disk_gib=25, price_monthly=6),
    "s-1vcpu-2gb": Size(memory_mib=2048, vcpus=1, disk_gib=50, price_monthly=12),
    "s-2vcpu-2gb": Size(memory_mib=2048, vcpus=2, disk_gib=60, price_monthly=18),
    "s-2vcpu-4gb": Size(memory_mib=4096, vcpus=2, disk_gib=80, price_monthly=24),
    "s-4vcpu-8gb": Size(memory_mib=8192, vcpus=4, disk_gib=160, price_monthly=48),
}
"""Basic droplets, regular CPU. Source: https://www.digitalocean.com/pricing/droplets"""

IMAGES = ("debian-13-x64",)
"""Images the local cloud has a root file system for."""

REGIONS = ("nyc1", "nyc2", "nyc3", "sfo2", "sfo3", "tor1", "ams3", "fra1", "lon1", "blr1", "sgp1", "syd1", "atl1")
"""Source: https://docs.digitalocean.com/platform/regional-availability/"""

RESERVED_RANGES = tuple(
    IPv4Network(text) for text in ("10.244.0.0/16", "10.245.0.0/16", "10.246.0.0/24", "10.229.0.0/16")
)
"""Source: https://docs.digitalocean.com/products/networking/vpc/concepts/plan-your-network/"""

PRIVATE_RANGES = tuple(IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
"""Source: RFC 1918 section 3."""

VPC_PREFIX_MIN, VPC_PREFIX_MAX = 16, 28
PORT_MAX = 65535
VOLUME_GIB_MAX = 16384
TAG_LENGTH_MAX = 255

ALERT_TYPES = (
    *(f"v1/insights/droplet/{what}" for what in ("load_1", "load_5", "load_15", "cpu", "disk_read", "disk_write")),
    *(f"v1/insights/droplet/{what}_utilization_percent" for what in ("memory", "disk")),
    *(f"v1/insights/droplet/{net}_{way}_bandwidth" for net in ("public", "private") for way in ("outbound", "inbound")),
)
"""Those on droplets; the local cloud has neither load balancers nor managed databases."""
WINDOWS = ("5m", "10m", "30m", "1h")
PERIODS = ("2m", "3m", "5m", "10m", "15m", "30m", "1h")
PROBE_REGIONS = ("us_east", "us_west", "eu_west", "se_asia")
PROJECT_NAME_MAX, PROJECT_TEXT_MAX = 175, 255


def check_size(value: Value) -> str | None:
    """Check a droplet size slug. Source: https://github.com/digitalocean/terraform-provider-digitalocean/issues/60"""
    if value in SIZES:
        return None
    return f"You specified an invalid size for Droplet creation: {value!r} (the local cloud has {', '.join(SIZES)})"


def check_image(value: Value) -> str | None:
    """Check an image slug. Source: https://github.com/digitalocean/terraform-provider-digitalocean/pull/1035"""
    if value in IMAGES:
        return None
    return f"You specified an invalid image for Droplet creation: {value!r} (the local cloud has {', '.join(IMAGES)})"


def check_region(value: Value) -> str | None:
    """Check the region of a VPC or a reserved IP. The message is ours: the API's own is not known."""
    return _check_region("The region is invalid", value)


def check_droplet_region(value: Value) -> str | None:
    """Check the region of a droplet. Source: https://github.com/digitalocean/api-v2/issues/52"""
    return _check_region("You specified an invalid region for Droplet creation", value)


def check_volume_region(value: Value) -> str | None:
    """Check the region of a volume. Source: https://github.com/thecodeteam/libstorage/issues/429"""
    return _check_region("Storage is not supported for this region", value)


def _check_region(words: str, value: Value) -> str | None:
    return None if value in REGIONS else f"{words}: {value!r} (known: {', '.join(REGIONS)})"


def check_tag(value: Value) -> str | None:
    """Check a tag. DigitalOcean folds case, so capitals would come back changed at the next refresh."""
    if isinstance(value, str) and len(value) <= TAG_LENGTH_MAX and re.fullmatch(r"[a-z0-9:_-]+", value):
        return None
    return (
        f"Tag name {value!r} is invalid: may only contain lower-case letters, numbers, colons, dashes and underscores, "
        f"{TAG_LENGTH_MAX} characters at most"
    )


def check_host_name(value: Value) -> str | None:
    """Check a droplet, firewall or VPC name."""
    if isinstance(value, str) and re.fullmatch(r"[a-zA-Z0-9]([a-zA-Z0-9.-]{0,253}[a-zA-Z0-9])?", value):
        return None
    return f"Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -): {value!r}"


def check_volume_name(value: Value) -> str | None:
    """Check a volume name."""
    if isinstance(value, str) and re.fullmatch(r"[a-z][a-z0-9-]{0,63}", value):
        return None
    return f"name must begin with a letter and hold lower-case letters, numbers and dashes, 64 at most: {value!r}"


def check_volume_size(value: Value) -> str | None:
    """Check a volume size in GiB."""
    if isinstance(value, int) and 1 <= value <= VOLUME_GIB_MAX:
        return None
    return f"disk size must be between 1GB and {VOLUME_GIB_MAX}GB: {value!r}"


def check_ip_range(value: Value) -> str | None:
    """Check a VPC range."""
    try:
        network = IPv4Network(str(value))
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        return f"This range/size is not valid CIDR notation: {value!r} ({error})"
    if not VPC_PREFIX_MIN <= network.prefixlen <= VPC_PREFIX_MAX:
        return f"This size is not valid: {value!r} (between /{VPC_PREFIX_MIN} and /{VPC_PREFIX_MAX})"
    if not any(network.subnet_of(private) for private in PRIVATE_RANGES):
        return f"This range is not a private one: {value!r} (RFC 1918)"
    taken = next((reserved for reserved in RESERVED_RANGES if network.overlaps(reserved)), None)
    return f"This range/size is in use by DigitalOcean: {value!r} overlaps {taken}" if taken else None


def check_source(value: Value) -> str | None:
    """Check an address or range of a firewall rule."""
    try:
        ip_network(str(value))
    except ValueError:
        return f"address {value!r} must be a valid IP address or CIDR without host bits"
    return None


def check_protocol(value: Value) -> str | None:
    """Check a rule's protocol."""
    return None if value in ("tcp", "udp", "icmp") else f"expected protocol to be one of [tcp udp icmp], got {value}"


def check_port_range(value: Value) -> str | None:
    """Check `22` or `8000-9000`."""
    match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", str(value))
    if match:
        first, last = int(match[1]), int(match[2] or match[1])
        if 1 <= first <= last <= PORT_MAX:
            return None
    return f"ports must be a port or a range between 1-{PORT_MAX}, as '22' or '1-{PORT_MAX}': {value!r}"


def check_public_key(value: Value) -> str | None:
    """Check an OpenSSH public key."""
    return None if _key_blob(value) else "Key invalid, key should be of the format `<type> <base64> [comment]`"


def key_fingerprint(public_key: str) -> str:
    """Return the MD5 fingerprint, the form DigitalOcean uses as an id. Raises ValueError."""
    blob = _key_blob(public_key)
    if blob is None:
        raise ValueError("not an OpenSSH public key")
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[index : index + 2] for index in range(0, len(digest), 2))


def _key_blob(value: Value) -> bytes | None:
    parts = str(value).split()
    if len(parts) < 2 or not re.fullmatch(r"[a-z0-9@.-]+", parts[0]):
        return None
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except (binascii.Error, ValueError):
        return None
    name = parts[0].encode()
    return blob if blob[:4] == len(name).to_bytes(4, "big") and blob[4 : 4 + len(name)] == name else None


def check_key_id(value: Value) -> str | None:
    """Check an SSH key reference of a droplet."""
    if isinstance(value, str) and value.isdecimal():
        return None
    return f"{value!r} are invalid key identifiers for Droplet creation (the local cloud takes ids, not fingerprints)"


NAME = Property(kind=Kind.STRING, required=True, check=check_host_name)
REGION = Property(kind=Kind.STRING, required=True, replace=True, check=check_region)
"""Properties that several types share."""


def check_email(value: Value) -> str | None:
    """Check an address by its form. The real API requires a verified one of the team, with the same message.

    Source: https://github.com/digitalocean/openapi/pull/830
    """
    if isinstance(value, str) and re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s.]+", value):
        return None
    return f"invalid email {value!r}"


def one_of(name: str, *allowed: str) -> Check:
    """Check that a value is allowed, as the official provider does."""

    def check(value: Value) -> str | None:
        return None if value in allowed else f"expected {name} to be one of [{' '.join(allowed)}], got {value}"

    return check


def length(name: str, low: int, high: int) -> Check:
    """Check the length of a string as the official provider does."""

    def check(value: Value) -> str | None:
        if low <= len(str(value)) <= high:
            return None
        return f"expected length of {name} to be in the range ({low} - {high}), got {value}"

    return check


def check_alert_limit(value: Value) -> str | None:
    """Check the limit of an alert."""
    at_least = isinstance(value, int | float) and value >= 0
    return None if at_least else f"expected value to be at least (0.000000), got {value}"


def check_environment(value: Value) -> str | None:
    """Check a project's environment; the official provider takes any case."""
    words = ("Development", "Staging", "Production")
    return None if str(value).capitalize() in words else one_of("environment", *words)(value)


def check_urn(value: Value) -> str | None:
    """Check what a project may contain here: droplets and volumes.

    Source of the words: https://github.com/digitalocean/terraform-provider-digitalocean/issues/1264
    """
    if re.fullmatch(r"do:(droplet:\d+|volume:[0-9a-f-]{36})", str(value)):
        return None
    if re.match(r"do:(reservedip|floatingip):", str(value)):
        return f"Cannot move a Reserved IP with an associated droplet: {value!r}"
    return f"the local cloud does not implement {value!r} in a project (only do:droplet:<id> or do:volume:<id>)"
