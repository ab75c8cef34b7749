"""How one stack differs from another: the object `basecommerce:settings`, and the names of its secrets."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictBool, StrictInt

from topology.fields import Cidr, Day, Expected, Fqdn, Image, ImageTag, Name, Section, Some, Table, refuse
from topology.logins import DATABASE_SERVICES, REDIS_COMMANDS, database_password, redis_password
from topology.names import CLOUDFLARE_TOKEN, DEMO_PASSWORD, DIGITALOCEAN_TOKEN, HOST_KEY, LOGIN_KEY
from topology.system_names import SYSTEM_NAMES

TLS_KEYS = ("origin_private_key", "origin_csr", "origin_pull_certificate", "origin_pull_private_key")
"""Used in both modes of `cloudflare.ssl`: the edge serves 443 in each, so that a switch changes only Cloudflare."""

PASSWORD_KEYS = (
    *map(database_password, DATABASE_SERVICES),
    "redis_password",
    *map(redis_password, REDIS_COMMANDS),
    "token_key",
)

SECRET_KEYS = (
    *PASSWORD_KEYS,
    LOGIN_KEY,
    f"{HOST_KEY}infra",
    f"{HOST_KEY}vertical",
    f"{HOST_KEY}edge",
    *TLS_KEYS,
    DIGITALOCEAN_TOKEN,
    CLOUDFLARE_TOKEN,
)
"""Secrets of every stack; a key without a namespace belongs to `basecommerce:`. Further droplets add `host_key_*`."""

OPTIONAL_SECRET_KEYS = (DEMO_PASSWORD,)
"""Known, but only on local stacks."""

PRIVATE_RANGES = tuple(IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
"""Source: RFC 1918 section 3."""

RESERVED_RANGES: Mapping[IPv4Network, str] = {
    IPv4Network("10.244.0.0/16"): "reserved by DigitalOcean",
    IPv4Network("10.245.0.0/16"): "reserved by DigitalOcean",
    IPv4Network("10.246.0.0/24"): "reserved by DigitalOcean",
    IPv4Network("10.229.0.0/16"): "reserved by DigitalOcean",
    IPv4Network("172.29.0.0/24"): "Docker's own bridge on every droplet",
    IPv4Network("172.30.0.0/22"): "the compose networks of the tiers",
    IPv4Network("172.31.0.0/16"): "networks that Docker numbers itself",
}
"""DigitalOcean: https://docs.digitalocean.com/products/networking/vpc/concepts/plan-your-network/ and its release notes
of 7 March 2025 (10.229.0.0/16); Docker: `cloud-init/base.yaml.j2` and `compose/*/compose.yaml`."""

REGION_RANGES: Mapping[str, IPv4Network] = {"nyc1": IPv4Network("10.10.0.0/16")}
"""Reserved by DigitalOcean in one region. Source: as above."""

SMALLEST_RANGE, LARGEST_RANGE = 28, 16
"""Prefix lengths of a VPC. Source: https://docs.digitalocean.com/glossary/network-size-range/"""

MOST_OF_THE_INTERNET = 8
"""A shorter prefix among Cloudflare's ranges would open the shop's ports to a large part of the internet."""


def _vpc_range(network: IPv4Network) -> IPv4Network:
    if not LARGEST_RANGE <= network.prefixlen <= SMALLEST_RANGE:
        refuse(f"'{network}' is not between /{LARGEST_RANGE} and /{SMALLEST_RANGE}", "use a /20, such as 10.80.0.0/20")
    if not any(network.subnet_of(private) for private in PRIVATE_RANGES):
        refuse(f"'{network}' is not a private range", "use a part of 10.0.0.0/8, such as 10.80.0.0/20")
    for reserved, owner in RESERVED_RANGES.items():
        if network.overlaps(reserved):
            refuse(f"'{network}' overlaps {reserved} ({owner})", "use another part of 10.0.0.0/8, such as 10.80.0.0/20")
    return network


def _proxy_range(network: IPv4Network) -> IPv4Network:
    if network.prefixlen < MOST_OF_THE_INTERNET:
        refuse(
            f"'{network}' is too wide for a range of Cloudflare",
            "copy the ranges from https://www.cloudflare.com/ips-v4",
        )
    return network


def _new_user(name: str) -> str:
    if name in SYSTEM_NAMES:
        refuse(f"'{name}' is already a user or group of the image", USER_HINT)
    return name


USER_HINT = "use a new name such as basec"
LoginUser = Annotated[
    str,
    # Names with `_` in front are for Debian's packages: https://www.debian.org/doc/debian-policy/ch-opersys.html#users-and-groups
    Field(pattern="^[a-z][a-z0-9_-]{0,31}$"),
    Expected("a login name", USER_HINT),
    AfterValidator(_new_user),
]
ZoneId = Annotated[
    str,
    Field(pattern="^[0-9a-f]{32}$"),
    Expected("a zone id", "copy the 32 hexadecimal digits from the zone's overview page, and put them in quotes"),
]
Registry = Annotated[
    str,
    Field(pattern=r"^[a-z0-9]+([.-][a-z0-9]+)*(:[0-9]{1,5})?(/[a-z0-9]+([._-][a-z0-9]+)*)*$"),
    Expected("an image registry", "write host and path without a tag, such as ghcr.io/procopio420/basecommerce"),
]
Email = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9._%+-]{1,64}@([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$"),
    Expected(
        "an e-mail address", "write an address such as ops@basecommerce.com.br; the account must have verified it"
    ),
]
Percent = Annotated[StrictInt, Field(ge=1, le=99)]


class SshSettings(Section):
    """Who may log in, and from where."""

    user: LoginUser
    """The user that operators and `up` log in as, root by `sudo`; the image must not have it already."""
    sources: Some[Cidr]
    """Who may reach port 22 of the edge. 0.0.0.0/0 is allowed: keys only, and hosted CI has no fixed address."""


class CloudflareSettings(Section):
    """The zone in front of the edge."""

    zone_id: ZoneId
    """The zone at Cloudflare in which records and TLS are set; no secret."""
    zone_name: Fqdn
    """The zone's apex: `domain` itself, or a parent of it with `certificate: advanced`."""
    certificate: Literal["universal", "advanced"] = "universal"
    """What Cloudflare shows visitors: `universal` covers apex and one level, `advanced` what was ordered by hand."""
    ssl: Literal["flexible", "strict"]
    """How Cloudflare connects to the edge: `strict` by checked TLS; `flexible` in clear, on local stacks only."""
    ranges: Some[Annotated[Cidr, AfterValidator(_proxy_range)]]
    """The only sources of ports 80 and 443: Cloudflare's published ranges, none wider than /8."""
    ranges_date: Day
    """When `ranges` was copied; `basec cloudflare ranges --refresh` renews both, and preview warns after 90 days."""


APPLICATIONS = {
    "auth": "auth",
    "construction": "construction",
    "relay": "outbox-relay",
    "engines": "engines-worker",
}
"""Services whose images are ours, and that image's name in `images.registry`."""


class ImageSettings(Section):
    """Where the applications' images come from, and their tag."""

    registry: Registry
    """Where droplets pull auth, construction, relay and engines from."""
    tag: ImageTag
    """Which build of the applications runs: a commit, a day, a full version. A tag that moves (`latest`) is refused."""
    services: Table[Name, Image]
    """Overrides `<registry>/<application>:<tag>`, or an image of `versions.yaml`, by service name."""


class AlertSettings(Section):
    """Who gets mail when a droplet exceeds a limit for five minutes, or the shop is down or slow."""

    emails: Some[Email]
    """Addresses of the DigitalOcean team's members, each verified: the API refuses others."""
    cpu_percent: Percent
    """Limit for all CPUs of a droplet."""
    memory_percent: Percent
    """Limit for a droplet's memory; the tiers are planned to take 79 % of it."""
    disk_percent: Percent
    """Limit for a droplet's root disk; DigitalOcean does not watch volumes."""
    latency_ms: Annotated[StrictInt, Field(ge=100, le=60_000)]
    """How long the health page may take, from DigitalOcean's probes to Cloudflare and the edge."""


class Settings(Section):
    """The object `basecommerce:settings` of one stack."""

    domain: Fqdn
    """The base domain; each tenant is a name directly below it. `localhost` on local stacks, and only there."""
    environment: Literal["production", "staging", "development"]
    """Name of the environment that auth gets. Only `development` serves the applications' descriptions (`/docs`)."""
    region: Name
    """Where droplets, volume and address are: one of the inventory's `regions`."""
    vpc_ip_range: Annotated[Cidr, AfterValidator(_vpc_range)]
    """IP range of the stack's private network. /16 to /28, clear of those of DigitalOcean, Docker, other stacks."""
    protect: StrictBool
    """Whether the engine refuses to delete droplets, volume and reserved IP."""
    monthly_limit_usd: Annotated[StrictInt, Field(ge=1, le=100_000)]
    """The most that the stack may cost a month, in USD; not less than its inventory costs by `inventory.yaml`."""
    release_watch_seconds: Annotated[StrictInt, Field(ge=0, le=600)] = 60
    """How long a new release is watched while the old one can still take over; 0: not at all."""
    ssh: SshSettings
    cloudflare: CloudflareSettings
    images: ImageSettings
    alerts: AlertSettings


STRICT_ZONE: Mapping[str, str] = {"ssl": "strict", "always_use_https": "on", "min_tls_version": "1.2"}
FLEXIBLE_ZONE: Mapping[str, str] = {"ssl": "flexible"}


def zone_settings(settings: Settings) -> Mapping[str, str]:
    """Return the values of the zone's settings, by Cloudflare's setting id."""
    return STRICT_ZONE if settings.cloudflare.ssl == "strict" else FLEXIBLE_ZONE


def host_key_secret(droplet: str) -> str:
    """Return the name of the secret that holds a droplet's SSH host key, e.g. `host_key_edge`."""
    return HOST_KEY + droplet.replace("-", "_")


def is_password(name: str) -> bool:
    """Return whether a program makes this secret, of random characters, so that nobody types it."""
    return name in PASSWORD_KEYS or name.startswith(database_password(""))
