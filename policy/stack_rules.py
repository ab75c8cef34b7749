"""BC17 to BC20, BC22 and BC23: the files of the stack, and the names of resources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from policy.checks import FIREWALL, SSH_KEY, TAG, Finding
from policy.compose_rules import clear_lines, compose_violations, read_bundle
from policy.host_rules import host_violations
from policy.machine_rules import CHECK, CHECK_ALERT
from policy.resources import Resource, Unknown
from policy.server_files import network
from policy.server_rules import server_violations
from policy.stack import Stack
from policy.stack_secrets import SHORTEST, clear_secrets, shared_secrets, weak_secrets
from topology.bundle import build_bundle, list_sources
from topology.errors import ConfigurationError, Problem
from topology.mounts import table
from topology.names import CLOUD_STACKS, DROPLET, PROJECT, SALT_KEY, SETTINGS_KEY, VOLUME, VPC
from topology.policy_rules import RULES, Violation
from topology.secret_texts import tracked_secrets

PROJECT_GROUP = "digitalocean:index/project:Project"
NAMED = (DROPLET, VOLUME, VPC, FIREWALL, SSH_KEY, CHECK, CHECK_ALERT, PROJECT_GROUP)
PROVIDERS = "pulumi:providers:"
CLOUD_FILES = tuple(f"Pulumi.{name}.yaml" for name in CLOUD_STACKS)


def shipped_files(stack: Stack) -> Iterator[Violation]:
    """BC17, BC18, BC19, BC22: every tier as it would be shipped, and every droplet as it would be born."""
    project = stack.project
    try:
        sources = list_sources(project.root)
    except ConfigurationError as error:
        yield from map(_unshippable, error.problems)
        return
    for name, spec in project.inventory.droplets.items():
        yield from host_violations(project, name)
        try:
            bundle = build_bundle(project, name, sources)
        except ConfigurationError as error:
            yield from map(_unshippable, error.problems)
            continue
        document, files = read_bundle(bundle), bundle.files
        yield from compose_violations(project, name, document)
        yield from clear_lines(spec.tier, files)
        yield from server_violations(project, spec.tier, document, files)


def _unshippable(problem: Problem) -> Violation:
    return Violation(
        rule=RULES["BC19" if "secret" in problem.message else "BC18"],
        resource=problem.file,
        found=problem.message,
        wanted="a file that can be shipped",
        fix=problem.hint,
    )


def kept_secrets(stack: Stack) -> Iterator[Finding]:
    """BC19: the stack's own file, the tracked ones, and what else git keeps."""
    file = stack.file.name
    # Most are checked twice: a dry run judges a copy, whose filled-in values may hide what the tracked file has.
    for name, path in dict.fromkeys(
        (name, path) for name, each in [*stack.tracked.items(), (file, stack.document)] for path in clear_secrets(each)
    ):
        again = f"then basec init --env {_stack_of(name) or stack.project.stack}"
        fix = f"remove it from {name}, {again}; a token must be replaced at its provider, since git keeps the old one"
        yield Finding(place=f"{name}: {path}", found="a secret in clear", wanted="an encrypted value", fix=fix)
    again = f"then basec init --env {stack.project.stack}"
    for key, fault in weak_secrets(stack.secrets):
        yield Finding(
            place=f"{file}: {key}",
            found=f"this secret {fault}",
            wanted=f"{SHORTEST} or more random characters",
            fix=f"remove it from {file}, since `init` keeps what is there; {again}",
        )
    for name in tracked_secrets(stack.project.root):
        fix = f"remove it from {name}, and replace it: git keeps the old one"
        yield Finding(
            place=name, found="a private key or a token in clear", wanted="no secret in a tracked file", fix=fix
        )
    for other, document in _beside(stack):
        for key in shared_secrets(stack.document, document):
            what = "it and all encrypted values" if key == SALT_KEY else "it"
            fix = f"remove {what} from {file}, {again}; if it is a token, enter another one"
            yield Finding(place=f"{file}: {key}", found=f"the same as in {other}", wanted="secrets of its own", fix=fix)


def _stack_of(file: str) -> str:
    """Return the stack of a file; empty for the project's own."""
    return file.removeprefix("Pulumi").removesuffix(".yaml").removeprefix(".")


def _beside(stack: Stack) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the files of the other cloud stacks, if this is a cloud stack."""
    file = stack.file.name
    yield from (
        (other, stack.tracked[other])
        for other in CLOUD_FILES
        if file in CLOUD_FILES and other != file and other in stack.tracked
    )


def separate_stacks(stack: Stack) -> Iterator[Finding]:
    """BC23: what only one stack of an account can have."""
    settings = stack.project.settings
    for other, document in _beside(stack):
        theirs = table(table(document.get("config")).get(SETTINGS_KEY))
        zone = table(theirs.get("cloudflare"))
        pairs = {
            "domain": (settings.domain, theirs.get("domain")),
            "cloudflare.zone_id": (settings.cloudflare.zone_id, zone.get("zone_id")),
            "cloudflare.zone_name": (settings.cloudflare.zone_name, zone.get("zone_name")),
        }
        same = [f"{key}: {mine}" for key, (mine, their) in pairs.items() if mine == their]
        theirs_range = network(str(theirs.get("vpc_ip_range")))
        if theirs_range and theirs_range.overlaps(settings.vpc_ip_range):
            same.append(f"vpc_ip_range: {settings.vpc_ip_range}")
        for found in same:
            key = found.partition(":")[0]
            fix = f"write another {key} into {stack.file.name}; docs/settings.md explains it"
            place = f"{stack.file.name}: {SETTINGS_KEY}.{key}"
            yield Finding(place=place, found=f"{found}, as in {other}", wanted=f"a {key} of its own", fix=fix)


def named_after_stack(resource: Resource, stack: Stack) -> Iterator[Finding]:
    """BC20: names and tags."""
    project = stack.project
    prefix = project.physical_name("")
    name = resource.get("name")
    if resource.type in (*NAMED, TAG) and not isinstance(name, Unknown) and not str(name or "").startswith(prefix):
        yield Finding(found=f"name: {name or 'chosen by the provider'}", wanted=f"{prefix}<name>")
    if resource.type == DROPLET:
        missing = [tag for tag in (PROJECT, f"stack:{project.stack}") if tag not in resource.texts("tags")]
        if missing:
            found = ", ".join(resource.texts("tags")) or "none"
            yield Finding(found=f"tags: {found}", wanted=f"also {', '.join(missing)}")


def pinned_provider(resource: Resource, stack: Stack) -> Iterator[Finding]:
    """BC20: a provider's version is the one of requirements.txt."""
    if not resource.type.startswith(PROVIDERS):
        return
    wanted = stack.pins.get(resource.type.removeprefix(PROVIDERS))
    version = resource.get("version")
    if wanted is None:
        yield Finding(found=f"provider {resource.type}, which is not pinned", wanted="a pin in requirements.txt")
    elif version != wanted:
        fix = "install requirements.txt (scripts/bootstrap), and pass no version"
        yield Finding(
            found=f"version: {version or 'any'}", wanted=f"version: {wanted}, as in requirements.txt", fix=fix
        )
