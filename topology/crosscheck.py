"""Rules between keys of the settings, and across settings, inventory and versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from topology.costs import CENTS, bill, billed_machines, dollars, total
from topology.errors import Problem
from topology.inventory import Inventory
from topology.names import LOCAL_STACK
from topology.settings import APPLICATIONS, REGION_RANGES, Settings
from topology.versions import Versions


def settings_problems(file: str, prefix: str, stack: str, settings: Settings) -> Iterator[Problem]:
    """Check rules that involve several settings, or the stack's name."""
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
    if not local and settings.environment != stack:
        yield Problem(
            file=file,
            path=f"{prefix}.environment",
            message=f"'{settings.environment}' does not match the stack '{stack}'",
            hint=f"write `environment: {stack}`",
        )
    yield from _zone_problems(file, prefix, settings)
    taken = REGION_RANGES.get(settings.region)
    if taken and settings.vpc_ip_range.overlaps(taken):
        yield Problem(
            file=file,
            path=f"{prefix}.vpc_ip_range",
            message=f"'{settings.vpc_ip_range}' overlaps {taken} (reserved by DigitalOcean in {settings.region})",
            hint="use another part of 10.0.0.0/8, such as 10.80.0.0/20",
        )


def _zone_problems(file: str, prefix: str, settings: Settings) -> Iterator[Problem]:
    """Check that visitors of every tenant find a certificate at Cloudflare.

    Source: https://developers.cloudflare.com/ssl/edge-certificates/universal-ssl/limitations/
    """
    domain, zone = settings.domain, settings.cloudflare.zone_name
    if domain != zone and not domain.endswith(f".{zone}"):
        yield Problem(
            file=file,
            path=f"{prefix}.cloudflare.zone_name",
            message=f"'{zone}' does not contain the domain '{domain}'",
            hint="write the zone's name as its overview page shows it: the domain itself, or a parent of it",
        )
    elif domain != zone and settings.cloudflare.certificate == "universal":
        yield Problem(
            file=file,
            path=f"{prefix}.domain",
            message=f"<tenant>.{domain} is deeper than the universal certificate of the zone '{zone}' covers: *.{zone}",
            hint=f"use a domain that is a zone of its own, such as {domain.removesuffix('.' + zone)}-{zone}; or order "
            f"an advanced certificate for {domain} and *.{domain}, and set `cloudflare.certificate: advanced`",
        )


def applications(inventory: Inventory) -> Mapping[str, str]:
    """Return the image name of each service of ours in `images.registry`; a further vertical gives its own name."""
    return {**APPLICATIONS, **{name: name for name in inventory.verticals if name not in APPLICATIONS}}


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
    if inventory:
        yield from _limit_problems(file, f"{prefix}.monthly_limit_usd", settings.monthly_limit_usd, inventory)
    known = [*versions.images.services, *(applications(inventory) if inventory else APPLICATIONS)] if versions else []
    for service in settings.images.services if versions else ():
        if service not in known:
            yield Problem(
                file=file,
                path=f"{prefix}.images.services.{service}",
                message=f"'{service}' is neither a service of versions.yaml nor an application",
                hint="use one of: " + ", ".join(known),
            )


def _limit_problems(file: str, path: str, limit_usd: int, inventory: Inventory) -> Iterator[Problem]:
    items = bill(billed_machines(inventory), inventory)
    cents = total(items)
    if cents is not None and cents > limit_usd * CENTS:
        listed = ", ".join(item.text for item in items if item.cents)
        yield Problem(
            file=file,
            path=path,
            message=f"{limit_usd} USD a month is less than inventory.yaml costs: {dollars(cents)} ({listed}); "
            "see rule BC06 in docs/policies.md",
            hint="make the inventory smaller, or raise the limit in the same change",
        )


def is_local(stack: str) -> bool:
    """Return whether a stack lives in a local cloud: `local` or `local-<suffix>`."""
    return stack == LOCAL_STACK or stack.startswith(f"{LOCAL_STACK}-")
