"""Rules between keys: of one file, and across settings, inventory and versions."""

from __future__ import annotations

from collections.abc import Iterator

from topology.errors import Problem
from topology.inventory import CLOUDFLARE, ROLES, SSH_SOURCES, Inventory
from topology.settings import REGION_RANGES, Settings
from topology.versions import Versions


def inventory_problems(file: str, inventory: Inventory) -> tuple[Problem, ...]:
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
        if spec.role == "edge" and not spec.reserved_ip:
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
        if len(names) > 1:
            yield Problem(
                file=file,
                path=f"droplets.{names[1]}.role",
                message=f"'{role}' is already the role of {names[0]}",
                hint="one droplet a role, for now",
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


def settings_problems(file: str, prefix: str, stack: str, settings: Settings) -> Iterator[Problem]:
    """Check what no single setting can know."""
    local = is_local(stack)
    if local and settings.domain != "localhost":
        yield Problem(
            file=file,
            path=f"{prefix}.domain",
            message=f"'{settings.domain}' is not served by a local stack",
            hint="use localhost: every browser resolves *.localhost to this machine",
        )
    if not local and settings.domain == "localhost":
        yield Problem(
            file=file,
            path=f"{prefix}.domain",
            message="'localhost' is only for local stacks",
            hint="write the full name in lower case, such as basecommerce.com.br",
        )
    taken = REGION_RANGES.get(settings.region)
    if taken and settings.vpc_ip_range.overlaps(taken):
        yield Problem(
            file=file,
            path=f"{prefix}.vpc_ip_range",
            message=f"'{settings.vpc_ip_range}' overlaps {taken} (reserved by DigitalOcean in {settings.region})",
            hint="use another part of 10.0.0.0/8, such as 10.80.0.0/20",
        )


def shared_problems(
    file: str, prefix: str, settings: Settings, inventory: Inventory | None, versions: Versions | None
) -> Iterator[Problem]:
    """Check settings against the files that could be read."""
    if inventory and settings.region not in inventory.regions:
        yield Problem(
            file=file,
            path=f"{prefix}.region",
            message=f"'{settings.region}' is not an allowed region",
            hint="use one of: " + ", ".join(inventory.regions),
        )
    for service in settings.images.services if versions else ():
        if versions and service not in versions.images.services:
            yield Problem(
                file=file,
                path=f"{prefix}.images.services.{service}",
                message=f"'{service}' is not a service of versions.yaml",
                hint="use one of: " + ", ".join(versions.images.services),
            )


def is_local(stack: str) -> bool:
    """Tell whether a stack lives in a local cloud: `local` or `local-<suffix>`."""
    return stack == "local" or stack.startswith("local-")
