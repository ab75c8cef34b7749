"""What exists: droplets, sizes, the firewall's rule table. Read from `inventory.yaml`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self, get_args

from pydantic import BeforeValidator, Field, StrictBool, StrictInt, WithJsonSchema, model_validator

from topology.errors import Problem
from topology.fields import Day, Expected, Name, Section, Some, Table, Unique, refuse
from topology.files import read_model

Role = Literal["infra", "vertical", "edge"]
STORE_ROLE: Final = "infra"
APPLICATION_ROLE: Final = "vertical"
EDGE_ROLE: Final = "edge"
ROLES: tuple[Role, ...] = get_args(Role)
"""In the order of the work: each role needs only those before it."""
Protocol = Literal["tcp", "udp", "icmp"]
SSH_SOURCES = "ssh_sources"
CLOUDFLARE = "cloudflare"
INTERNET: Final = "internet"
VPC: Final = "vpc"
MEANT_OTHERWISE = {
    CLOUDFLARE: "Cloudflare's ranges in the rule table",
    "private": "a droplet's own address in compose files, PRIVATE_ADDRESS",
}
"""Words that cannot name a droplet."""
OURS = frozenset(
    {
        *("auth", "engines", "migrate", "postgres", "redis", "relay", "haproxy", "nginx"),  # services of other tiers
        "private",  # PRIVATE_ADDRESS is a droplet's own
        *("backups", "scripts"),  # beside the tiers' directories on a droplet
        *("metadata", "prune", "scrub", "swap", "watchdog"),  # units of the host have the same prefix
    }
)
"""Words that cannot name a vertical or its folder."""
HIGHEST_PORT = 65535

Slug = Annotated[
    str,
    Field(pattern="^[a-z0-9]+(-[a-z0-9]+)*$"),
    Expected("a DigitalOcean slug", "use lower-case letters, digits and '-', as `doctl compute size list` does"),
]
PORTS_HINT = "write a port such as 22, or a range such as 8000-8010"


def _ports(value: object) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not re.fullmatch(r"[0-9]{1,5}(-[0-9]{1,5})?", text):
        refuse(f"{value!r} is not a port or a range of ports", PORTS_HINT)
    numbers = [int(part) for part in text.split("-")]
    if not all(1 <= number <= HIGHEST_PORT for number in numbers):
        refuse(f"{text} is outside the range 1 to {HIGHEST_PORT}", PORTS_HINT)
    if numbers != sorted(set(numbers)):
        refuse(f"{text} is not an ascending range", PORTS_HINT)
    return "-".join(str(number) for number in numbers)


Ports = Annotated[
    str,
    BeforeValidator(_ports),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": HIGHEST_PORT},
                {"type": "string", "pattern": "^[0-9]{1,5}(-[0-9]{1,5})?$"},
            ],
            "patternErrorMessage": PORTS_HINT,
        }
    ),
]
"""One port, or a range of them."""


def _ports_fit_protocol(protocol: Protocol, ports: tuple[str, ...]) -> None:
    """Check ports: DigitalOcean requires them for tcp and udp, and refuses them for icmp."""
    if protocol == "icmp" and ports:
        refuse(f"icmp has no ports, but ports is [{', '.join(ports)}]", "remove `ports`")
    if protocol != "icmp" and not ports:
        refuse(f"{protocol} requires ports", "add `ports: [...]`")


class SizeSpec(Section):
    """One droplet size (basic, regular CPU)."""

    # Source: https://www.digitalocean.com/pricing/droplets
    memory_mib: Annotated[StrictInt, Field(ge=512, le=1_048_576)]
    """Memory in MiB."""
    vcpus: Annotated[StrictInt, Field(ge=1, le=128)]
    """Number of virtual CPUs."""
    disk_gib: Annotated[StrictInt, Field(ge=10, le=20_000)]
    """The root disk in GiB."""
    price_usd: Annotated[StrictInt, Field(ge=1, le=10_000)]
    """USD a month."""


Cents = Annotated[StrictInt, Field(ge=0, le=100_000)]


class PriceSpec(Section):
    """Prices of everything except droplet sizes, in whole cents, and the date of every price in the file."""

    date: Day
    """When the prices were copied, those of `sizes` too."""
    # Source: https://docs.digitalocean.com/products/volumes/details/pricing/
    volume_gib_cents: Cents
    """One GiB of a volume, in USD cents a month."""
    # Source: https://docs.digitalocean.com/products/uptime/details/pricing/
    uptime_check_cents: Cents
    """One uptime check, in USD cents a month."""
    # Source: https://docs.digitalocean.com/products/networking/reserved-ips/details/pricing/
    reserved_ip_cents: Cents
    """One assigned reserved IP, in USD cents a month."""


class VolumeSpec(Section):
    """A block volume of a droplet; it outlives the droplet."""

    name: Name
    """DigitalOcean knows it as `basecommerce-<stack>-<name>`."""
    # Source: https://docs.digitalocean.com/products/volumes/details/limits/
    size_gib: Annotated[StrictInt, Field(ge=1, le=16_384)]
    """DigitalOcean sells 1 GiB to 16 TiB."""
    filesystem: Literal["ext4"]
    """The file system that it is formatted with, once."""
    label: Annotated[
        str,
        Field(pattern="^[A-Za-z0-9_-]{1,16}$"),
        Expected("a file system label", "use at most 16 letters, digits, '_' and '-' (the limit of ext4)"),
    ]
    """The label of its file system. A volume with another label is refused: it belongs to another machine."""


class DropletSpec(Section):
    """One droplet. Its role decides which user data it gets, and its tier which compose project."""

    role: Role
    """Decides the user data, the secrets, and the place in the order of the work."""
    size: Slug
    """One of `sizes`."""
    image: Slug
    """One of `images`. A change is for new machines only."""
    aliases: Unique[Name] = ()
    """Other names that operators may use for it."""
    vertical: Name | None = None
    """The vertical (application) that a droplet of role `vertical` runs."""
    compose: Name | None = None
    """The folder below `compose/`, if its name is not that of the vertical or the role."""
    reserved_ip: StrictBool = False
    """Whether it has an address that outlives it; the first edge needs one, as DNS points at it."""
    volume: VolumeSpec | None = None

    @property
    def tier(self) -> str:
        """What runs there: the folder below `compose/`, and the name of the project and its unit on the droplet."""
        return self.compose or self.vertical or self.role

    @model_validator(mode="after")
    def _vertical_fits_role(self) -> Self:
        if self.role == APPLICATION_ROLE and self.vertical is None:
            refuse("role vertical requires the key `vertical`", "add `vertical: construction`")
        if self.role != APPLICATION_ROLE and self.vertical is not None:
            refuse(f"role {self.role} runs no vertical, but vertical is '{self.vertical}'", "remove `vertical`")
        if self.role != APPLICATION_ROLE and self.compose is not None:
            refuse(f"role {self.role} has a fixed folder, but compose is '{self.compose}'", "remove `compose`")
        return self


class FirewallRule(Section):
    """One line of the rule table: who may open which ports of which droplet."""

    name: Name
    """Its name in messages and in comments of the rules."""
    droplet: Name
    """Whose ports these are."""
    protocol: Protocol
    """Protocol of the admitted traffic."""
    ports: Unique[Ports] = ()
    """Required for tcp and udp; icmp has none."""
    sources: Annotated[
        Some[
            Annotated[
                str,
                Field(pattern="^[a-z][a-z0-9_-]*$"),
                Expected("a source", "use ssh_sources, cloudflare or the name of a droplet"),
            ]
        ],
        Field(alias="from"),
    ]
    """Droplets, `ssh_sources` (setting `ssh.sources`) or `cloudflare` (setting `cloudflare.ranges`)."""

    @model_validator(mode="after")
    def _check_ports(self) -> Self:
        _ports_fit_protocol(self.protocol, self.ports)
        return self


class EgressRule(Section):
    """One rule for outgoing connections of all droplets; without rules all are blocked."""

    protocol: Protocol
    """Protocol of the admitted traffic."""
    ports: Unique[Ports] = ()
    """Required for tcp and udp; icmp has none."""
    to: Literal["internet", "vpc"]
    """Anywhere, or the other droplets only."""

    @model_validator(mode="after")
    def _check_ports(self) -> Self:
        _ports_fit_protocol(self.protocol, self.ports)
        return self


class Inventory(Section):
    """Everything of `inventory.yaml`."""

    sizes: Table[Slug, SizeSpec]
    """Sizes that droplets may name."""
    prices: PriceSpec
    """What everything else costs a month, and when it was looked up."""
    regions: Some[Slug]
    """Regions that settings may name: those with VPC, volumes and reserved IPs."""
    images: Some[Slug]
    """Images that droplets may name."""
    droplets: Table[Name, DropletSpec]
    """In the order in which they are made within a role."""
    rules: Annotated[Some[FirewallRule], Field(alias="firewall")]
    """The one rule table: what is not in it is closed."""
    egress: Unique[EgressRule]
    """What every droplet may open."""

    def resolve(self, name: str) -> str:
        """Return the droplet that `name` or alias means, e.g. `platform` -> `infra`. Raises KeyError."""
        for droplet, spec in self.droplets.items():
            if name == droplet or name in spec.aliases:
                return droplet
        raise KeyError(name)

    def by_role(self, role: Role) -> tuple[str, ...]:
        """Return the droplets of a role, in the order of the file."""
        return tuple(name for name, spec in self.droplets.items() if spec.role == role)

    @property
    def stages(self) -> tuple[tuple[str, ...], ...]:
        """The droplets in the order of the work: stage by stage, those of one stage at the same time."""
        return tuple(self.by_role(role) for role in ROLES)

    @property
    def verticals(self) -> tuple[str, ...]:
        """Return the applications, in the order of the file."""
        return tuple(spec.vertical for spec in self.droplets.values() if spec.vertical)

    @property
    def serving(self) -> Mapping[str, str]:
        """Return the droplet of each tier that runs on only one: its peers know it by the tier's name."""
        tiers = [spec.tier for spec in self.droplets.values()]
        return {spec.tier: name for name, spec in self.droplets.items() if tiers.count(spec.tier) == 1}

    @property
    def store(self) -> str:
        """The droplet of PostgreSQL and Redis."""
        return self.by_role(STORE_ROLE)[0]

    def open_ports(self, droplet: str) -> Mapping[tuple[str, str], tuple[str, ...]]:
        """Return the sources of a droplet's rules by protocol and port; several rules for one port add up."""
        found: dict[tuple[str, str], tuple[str, ...]] = {}
        for rule in (rule for rule in self.rules if rule.droplet == droplet):
            for port in rule.ports or ("",):
                found[rule.protocol, port] = (*found.get((rule.protocol, port), ()), *rule.sources)
        return found

    @property
    def edges(self) -> tuple[str, ...]:
        """The droplets that Cloudflare speaks to."""
        return self.by_role(EDGE_ROLE)

    @property
    def bastion(self) -> str:
        """The droplet that DNS points at, and the way in for SSH: the first edge."""
        return self.edges[0]


def droplet_of(resource: str, droplets: Iterable[str]) -> str:
    """Return the droplet that a resource's name begins with, or an empty string; `front-two-host` is not `front`'s."""
    about = resource.removeprefix("cloud-firewall-")
    named = [name for name in droplets if about == name or about.startswith(f"{name}-")]
    return max(named, key=len, default="")


def load_inventory(path: Path) -> Inventory:
    """Read and check `inventory.yaml`. Raises ConfigurationError with every problem of the file."""
    return read_model(path, Inventory, _inventory_problems)


Found = Iterator[tuple[str, str, str]]
"""Key, what is wrong, and the hint."""


def _inventory_problems(file: str, inventory: Inventory) -> tuple[Problem, ...]:
    """Check rules that involve several keys of `inventory.yaml`."""
    checks = (_droplet_problems, _name_problems, _role_problems, _rule_problems)
    found = (problem for check in checks for problem in check(inventory))
    return tuple(Problem(file=file, path=path, message=message, hint=hint) for path, message, hint in found)


def _droplet_problems(inventory: Inventory) -> Found:
    for name, spec in inventory.droplets.items():
        key = f"droplets.{name}"
        if spec.size not in inventory.sizes:
            hint = "use one of: " + ", ".join(inventory.sizes) + "; or add it to `sizes`"
            yield f"{key}.size", f"'{spec.size}' is not in the table of sizes", hint
        if spec.image not in inventory.images:
            hint = "use one of: " + ", ".join(inventory.images)
            yield f"{key}.image", f"'{spec.image}' is not among the allowed images", hint
        if name in inventory.by_role(EDGE_ROLE)[:1] and not spec.reserved_ip:
            message = "is false, but DNS points at the edge's reserved IP"
            yield f"{key}.reserved_ip", message, "write `reserved_ip: true`"


def _name_problems(inventory: Inventory) -> Found:
    taken: dict[str, str] = {name: name for name in inventory.droplets}
    taken |= dict.fromkeys((SSH_SOURCES, CLOUDFLARE), "the rule table")
    for name, meaning in MEANT_OTHERWISE.items():
        if name in inventory.droplets:
            yield f"droplets.{name}", f"'{name}' already means {meaning}", "choose another name"
    for name, spec in inventory.droplets.items():
        for index, alias in enumerate(spec.aliases):
            if alias in taken:
                yield (
                    f"droplets.{name}.aliases.{index}",
                    f"'{alias}' already means {taken[alias]}",
                    "choose another alias",
                )
            taken.setdefault(alias, name)


def _role_problems(inventory: Inventory) -> Found:
    for role in ROLES:
        if not inventory.by_role(role):
            yield "droplets", f"no droplet has the role {role}", f"add one with `role: {role}`"
    for name in inventory.by_role(STORE_ROLE)[1:]:
        message = f"'{STORE_ROLE}' is already the role of {inventory.store}"
        yield f"droplets.{name}.role", message, "keep one: there is one PostgreSQL"
    for name, spec in inventory.droplets.items():
        key = "compose" if spec.compose else "vertical"
        if spec.role == APPLICATION_ROLE and spec.tier in (*OURS, STORE_ROLE, EDGE_ROLE):
            hint = f"write another `{key}`, and rename the folder below compose/"
            yield f"droplets.{name}.{key}", f"'{spec.tier}' already has another meaning on a droplet", hint
        if spec.vertical in OURS and key == "compose":
            hint = "write another `vertical`: logins and images are named after it"
            yield f"droplets.{name}.vertical", f"'{spec.vertical}' is a service of the platform", hint
        first = next(other for other, known in inventory.droplets.items() if known.tier == spec.tier)
        if first != name and spec.role == APPLICATION_ROLE:
            hint = f"write another `{key}`, with a folder below compose/"
            yield f"droplets.{name}.{key}", f"'{spec.tier}' runs on {first} already", hint


def _rule_problems(inventory: Inventory) -> Found:
    droplets = ", ".join(inventory.droplets)
    names: set[str] = set()
    for index, rule in enumerate(inventory.rules):
        key = f"firewall.{index}"
        if rule.name in names:
            yield f"{key}.name", f"'{rule.name}' is already a rule", "choose another name"
        names.add(rule.name)
        if rule.droplet not in inventory.droplets:
            yield f"{key}.droplet", f"'{rule.droplet}' is not a droplet", f"use one of: {droplets}"
        for position, source in enumerate(rule.sources):
            if source not in (SSH_SOURCES, CLOUDFLARE) and source not in inventory.droplets:
                hint = f"use {SSH_SOURCES}, {CLOUDFLARE} or one of: {droplets}"
                yield f"{key}.from.{position}", f"'{source}' is not a source", hint
