"""What exists: droplets, sizes, the firewall's rule table. Read from `inventory.yaml`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from topology.errors import Problem
from topology.files import read_model
from topology.rules import (
    Day,
    Flag,
    Frozen,
    Listed,
    Name,
    Number,
    Section,
    Table,
    choice,
    no_repeats,
    not_empty,
    pattern,
    refuse,
    whole_number,
)

STORE_ROLE, APPLICATION_ROLE, EDGE_ROLE = "infra", "vertical", "edge"
ROLES = (STORE_ROLE, APPLICATION_ROLE, EDGE_ROLE)
"""In the order of the work: each finds what it speaks to."""
PROTOCOLS = ("tcp", "udp", "icmp")
SSH_SOURCES = "ssh_sources"
CLOUDFLARE = "cloudflare"
INTERNET = "internet"
VPC = "vpc"
MEANT_OTHERWISE = {
    CLOUDFLARE: "Cloudflare's ranges in the rule table",
    "private": "a droplet's own address in compose files, PRIVATE_ADDRESS",
}
"""Words that are no name of a droplet."""
SSH_PORT = 22
HIGHEST_PORT = 65535

Slug = Annotated[
    str,
    BeforeValidator(
        pattern(
            "a DigitalOcean slug",
            r"[a-z0-9]+(-[a-z0-9]+)*",
            "use lower-case letters, digits and '-', as `doctl compute size list` does",
        )
    ),
]
PORTS_HINT = "write a port such as 22, or a range such as 8000-8010"


def _ports(value: object) -> str:
    """A port or a range of ports: such as `22` or `8000-8010`."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not re.fullmatch(r"\d{1,5}(-\d{1,5})?", text):
        refuse(f"{value!r} is not a port or a range of ports", PORTS_HINT)
    numbers = [int(part) for part in text.split("-")]
    if not all(1 <= number <= HIGHEST_PORT for number in numbers):
        refuse(f"{text} is outside the ports 1 to {HIGHEST_PORT}", PORTS_HINT)
    if numbers != sorted(set(numbers)):
        refuse(f"{text} is a range that does not rise", PORTS_HINT)
    return "-".join(str(number) for number in numbers)


Ports = Annotated[str, BeforeValidator(_ports)]
PortList = Annotated[tuple[Ports, ...], Listed, AfterValidator(no_repeats("ports"))]


def _ports_fit_protocol(protocol: str, ports: tuple[str, ...]) -> None:
    """DigitalOcean wants ports for tcp and udp, and refuses them for icmp."""
    if protocol == "icmp" and ports:
        refuse(f"icmp has no ports, but ports is [{', '.join(ports)}]", "remove `ports`")
    if protocol != "icmp" and not ports:
        refuse(f"{protocol} needs ports", "add `ports: [...]`")


class SizeSpec(Section):
    """One droplet size. Source: https://www.digitalocean.com/pricing/droplets (basic, regular CPU)."""

    memory_mib: Annotated[Number, AfterValidator(whole_number("an amount of memory in MiB", 512, 1_048_576))]
    vcpus: Annotated[Number, AfterValidator(whole_number("a number of virtual CPUs", 1, 128))]
    disk_gib: Annotated[Number, AfterValidator(whole_number("a disk size in GiB", 10, 20_000))]
    price_usd: Annotated[Number, AfterValidator(whole_number("a price in USD a month", 1, 10_000))]


class PriceSpec(Section):
    """Prices of what is no droplet size, in whole cents, and the day of every price in the file."""

    date: Day
    volume_gib_cents: Annotated[Number, AfterValidator(whole_number("a price in cents a month", 0, 100_000))]
    """Source: https://docs.digitalocean.com/products/volumes/details/pricing/"""
    uptime_check_cents: Annotated[Number, AfterValidator(whole_number("a price in cents a month", 0, 100_000))]
    """Of one check. Source: https://docs.digitalocean.com/products/uptime/details/pricing/"""
    reserved_ip_cents: Annotated[Number, AfterValidator(whole_number("a price in cents a month", 0, 100_000))]
    """Of an assigned one. Source: https://docs.digitalocean.com/products/networking/reserved-ips/details/pricing/"""


class VolumeSpec(Section):
    """A block volume of a droplet; it outlives the droplet."""

    name: Name
    size_gib: Annotated[Number, AfterValidator(whole_number("a volume size in GiB", 1, 16_384))]
    """DigitalOcean sells 1 GiB to 16 TiB. Source: https://docs.digitalocean.com/products/volumes/details/limits/"""
    filesystem: Annotated[str, BeforeValidator(choice("a file system", "ext4"))]
    label: Annotated[
        str,
        BeforeValidator(
            pattern(
                "a file system label",
                r"[A-Za-z0-9_-]{1,16}",
                "use at most 16 letters, digits, '_' and '-' (the limit of ext4)",
            )
        ),
    ]


class DropletSpec(Section):
    """One droplet. Its role decides which compose project (tier) and which user data it gets."""

    role: Annotated[str, BeforeValidator(choice("a role", *ROLES))]
    """Decides the user data, the secrets, and the place in the order of the work."""
    size: Slug
    """One of `sizes`."""
    image: Slug
    """One of `images`. A change is for new machines only."""
    aliases: Annotated[tuple[Name, ...], Listed, AfterValidator(no_repeats("aliases"))] = ()
    """Other names that operators may use for it."""
    vertical: Name | None = None
    """The vertical (application) that a droplet of role `vertical` runs."""
    compose: Name | None = None
    """The folder below `compose/`, where it has another name than the vertical or the role."""
    reserved_ip: Flag = False
    """Whether it has an address that outlives it; the first edge needs one, as DNS points at it."""
    volume: Annotated[VolumeSpec, Table] | None = None

    @property
    def tier(self) -> str:
        """What runs there: the folder below `compose/`, and the name of the project and its unit on the droplet."""
        return self.compose or self.vertical or self.role

    @model_validator(mode="after")
    def _vertical_fits_role(self) -> Self:
        if self.role == APPLICATION_ROLE and self.vertical is None:
            refuse("role vertical needs to know which vertical it runs", "add `vertical: construction`")
        if self.role != APPLICATION_ROLE and self.vertical is not None:
            refuse(f"role {self.role} runs no vertical, but vertical is '{self.vertical}'", "remove `vertical`")
        return self


class FirewallRule(Section):
    """One line of the rule table: who may open which ports of which droplet."""

    name: Name
    """What messages and comments of the rules call it."""
    droplet: Name
    """Whose ports these are."""
    protocol: Annotated[str, BeforeValidator(choice("a protocol", *PROTOCOLS))]
    ports: PortList = ()
    """Of tcp and udp; icmp has none."""
    sources: Annotated[
        tuple[
            Annotated[
                str,
                BeforeValidator(pattern("a source", r"[a-z][a-z0-9_-]*", "name ssh_sources, cloudflare or a droplet")),
            ],
            ...,
        ],
        Listed,
        AfterValidator(not_empty("sources")),
        Field(alias="from"),
    ]
    """Droplets, `ssh_sources` (setting `ssh.sources`) or `cloudflare` (setting `cloudflare.ranges`)."""

    @model_validator(mode="after")
    def _check_ports(self) -> Self:
        _ports_fit_protocol(self.protocol, self.ports)
        return self


class EgressRule(Section):
    """One line of what every droplet may open; no line means no way out."""

    protocol: Annotated[str, BeforeValidator(choice("a protocol", *PROTOCOLS))]
    ports: PortList = ()
    """Of tcp and udp; icmp has none."""
    to: Annotated[str, BeforeValidator(choice("a destination", INTERNET, VPC))]

    @model_validator(mode="after")
    def _check_ports(self) -> Self:
        _ports_fit_protocol(self.protocol, self.ports)
        return self


class Inventory(Section):
    """Everything of `inventory.yaml`."""

    sizes: Annotated[Mapping[Slug, Annotated[SizeSpec, Table]], Table, Frozen]
    """Sizes that droplets may name."""
    prices: Annotated[PriceSpec, Table]
    """What the rest costs by the month, and when it was looked up."""
    regions: Annotated[tuple[Slug, ...], Listed, AfterValidator(not_empty("regions"))]
    """Regions that settings may name: those with VPC, volumes and reserved IPs."""
    images: Annotated[tuple[Slug, ...], Listed, AfterValidator(not_empty("images"))]
    """Images that droplets may name."""
    droplets: Annotated[Mapping[Name, Annotated[DropletSpec, Table]], Table, Frozen]
    rules: Annotated[
        tuple[Annotated[FirewallRule, Table], ...], Listed, AfterValidator(not_empty("rules")), Field(alias="firewall")
    ]
    egress: Annotated[tuple[Annotated[EgressRule, Table], ...], Listed, AfterValidator(no_repeats("egress rules"))]

    def resolve(self, name: str) -> str:
        """Give the droplet that `name` or alias means, e.g. `platform` -> `infra`. Raises KeyError."""
        for droplet, spec in self.droplets.items():
            if name == droplet or name in spec.aliases:
                return droplet
        raise KeyError(name)

    def by_role(self, role: str) -> tuple[str, ...]:
        """Name the droplets of a role, in the order of the file."""
        return tuple(name for name, spec in self.droplets.items() if spec.role == role)

    @property
    def stages(self) -> tuple[tuple[str, ...], ...]:
        """The droplets in the order of the work: those of a stage stand side by side, each stage before the next."""
        return tuple(self.by_role(role) for role in ROLES)

    @property
    def verticals(self) -> tuple[str, ...]:
        """Name the applications, in the order of the file."""
        return tuple(spec.vertical for spec in self.droplets.values() if spec.vertical)

    @property
    def serving(self) -> Mapping[str, str]:
        """Give the droplet of each tier that runs on one alone: its peers know it by the tier's name."""
        tiers = [spec.tier for spec in self.droplets.values()]
        return {spec.tier: name for name, spec in self.droplets.items() if tiers.count(spec.tier) == 1}

    @property
    def store(self) -> str:
        """The droplet of PostgreSQL and Redis."""
        return self.by_role(STORE_ROLE)[0]

    @property
    def bastion(self) -> str:
        """The droplet that DNS points at, and the way in for SSH: the first edge."""
        return self.by_role(EDGE_ROLE)[0]


def load_inventory(path: Path) -> Inventory:
    """Read and check `inventory.yaml`. Raises ConfigurationError with every problem of the file."""
    return read_model(path, Inventory, _inventory_problems)


def _inventory_problems(file: str, inventory: Inventory) -> tuple[Problem, ...]:
    """Check what no single key of `inventory.yaml` can know."""
    return (
        *_droplet_problems(file, inventory),
        *_name_problems(file, inventory),
        *_role_problems(file, inventory),
        *_rule_problems(file, inventory),
    )


def _droplet_problems(file: str, inventory: Inventory) -> Iterator[Problem]:
    for name, spec in inventory.droplets.items():
        if spec.size not in inventory.sizes:
            yield Problem(
                file=file,
                path=f"droplets.{name}.size",
                message=f"'{spec.size}' is not in the table of sizes",
                hint="use one of: " + ", ".join(inventory.sizes) + "; or add it to `sizes`",
            )
        if spec.image not in inventory.images:
            yield Problem(
                file=file,
                path=f"droplets.{name}.image",
                message=f"'{spec.image}' is not among the allowed images",
                hint="use one of: " + ", ".join(inventory.images),
            )
        if name in inventory.by_role(EDGE_ROLE)[:1] and not spec.reserved_ip:
            yield Problem(
                file=file,
                path=f"droplets.{name}.reserved_ip",
                message="is false, but DNS points at the edge's reserved IP",
                hint="write `reserved_ip: true`",
            )


def _name_problems(file: str, inventory: Inventory) -> Iterator[Problem]:
    taken: dict[str, str] = {name: name for name in inventory.droplets}
    for special in (SSH_SOURCES, CLOUDFLARE):
        taken[special] = "the rule table"
    for name, meaning in MEANT_OTHERWISE.items():
        if name in inventory.droplets:
            message, hint = f"'{name}' already means {meaning}", "choose another name"
            yield Problem(file=file, path=f"droplets.{name}", message=message, hint=hint)
    for name, spec in inventory.droplets.items():
        for index, alias in enumerate(spec.aliases):
            if alias in taken:
                yield Problem(
                    file=file,
                    path=f"droplets.{name}.aliases.{index}",
                    message=f"'{alias}' already means {taken[alias]}",
                    hint="choose another alias",
                )
            taken.setdefault(alias, name)


def _role_problems(file: str, inventory: Inventory) -> Iterator[Problem]:
    for role in ROLES:
        names = inventory.by_role(role)
        if not names:
            yield Problem(
                file=file,
                path="droplets",
                message=f"no droplet has the role {role}",
                hint=f"add one with `role: {role}`",
            )
    for name in inventory.by_role(STORE_ROLE)[1:]:
        yield Problem(
            file=file,
            path=f"droplets.{name}.role",
            message=f"'{STORE_ROLE}' is already the role of {inventory.store}",
            hint="keep one: there is one PostgreSQL",
        )
    for name, spec in inventory.droplets.items():
        first = next(other for other, known in inventory.droplets.items() if known.tier == spec.tier)
        if first != name and spec.role != STORE_ROLE and {inventory.droplets[first].role, spec.role} != {EDGE_ROLE}:
            yield Problem(
                file=file,
                path=f"droplets.{name}",
                message=f"its tier '{spec.tier}' runs on {first} already",
                hint="give it another `vertical`, with a folder below compose/",
            )


def _rule_problems(file: str, inventory: Inventory) -> Iterator[Problem]:
    droplets = ", ".join(inventory.droplets)
    names: set[str] = set()
    for index, rule in enumerate(inventory.rules):
        path = f"firewall.{index}"
        if rule.name in names:
            yield Problem(
                file=file, path=f"{path}.name", message=f"'{rule.name}' is already a rule", hint="choose another name"
            )
        names.add(rule.name)
        if rule.droplet not in inventory.droplets:
            yield Problem(
                file=file,
                path=f"{path}.droplet",
                message=f"'{rule.droplet}' is not a droplet",
                hint=f"use one of: {droplets}",
            )
        for position, source in enumerate(rule.sources):
            if source not in (SSH_SOURCES, CLOUDFLARE) and source not in inventory.droplets:
                yield Problem(
                    file=file,
                    path=f"{path}.from.{position}",
                    message=f"'{source}' is not a source",
                    hint=f"use {SSH_SOURCES}, {CLOUDFLARE} or one of: {droplets}",
                )
