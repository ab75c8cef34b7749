"""BC17 to BC20: the files of the stack, and what is called how."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from policy.checks import DROPLET, FIREWALL, SSH_KEY, TAG, VOLUME, VPC, Finding
from policy.machine_rules import CHECK, CHECK_ALERT
from policy.resources import Resource, Unknown
from policy.stack import Stack
from topology.bundle import build_bundle
from topology.compose_rules import compose_violations, read_bundle
from topology.files import read_yaml
from topology.policy_rules import Violation
from topology.project import PROJECT
from topology.stack_file import SHORTEST, clear_secrets, shared_secrets, weak_secrets

PROJECT_GROUP = "digitalocean:index/project:Project"
NAMED = (DROPLET, VOLUME, VPC, FIREWALL, SSH_KEY, CHECK, CHECK_ALERT, PROJECT_GROUP)
PROVIDERS = "pulumi:providers:"
CLOUD_FILES = ("Pulumi.staging.yaml", "Pulumi.production.yaml")


def compose_projects(stack: Stack) -> Iterator[Violation]:
    """BC17, BC18: every tier as it would be shipped."""
    project = stack.project
    for name, spec in project.inventory.droplets.items():
        yield from compose_violations(project, name, read_bundle(build_bundle(project, spec.role)))


def kept_secrets(_resources: Sequence[Resource], stack: Stack) -> Iterator[Finding]:
    """BC19: the stack's own file, and the other cloud stack's beside it."""
    file = stack.file.name
    again = f"then basec init --env {stack.project.stack}"
    for path in clear_secrets(stack.document.get("config")):
        fix = f"remove it from {file}, {again}; a token must be made anew at its provider, as git keeps the old one"
        yield Finding(place=f"{file}: {path}", found="a secret in clear", wanted="an encrypted value", fix=fix)
    for key, fault in weak_secrets(stack.secrets):
        yield Finding(
            place=f"{file}: {key}",
            found=f"this secret {fault}",
            wanted=f"{SHORTEST} or more, made by chance",
            fix=f"remove it from {file}, since `init` keeps what is there; {again}",
        )
    if file not in CLOUD_FILES:
        return
    for other in CLOUD_FILES:
        beside = stack.project.root / other
        if other == file or not beside.is_file():
            continue
        for key in shared_secrets(stack.document, read_yaml(beside)):
            what = "it and all encrypted values" if key == "encryptionsalt" else "it"
            fix = f"remove {what} from {file}, {again}; if it is a token, type another one"
            yield Finding(place=f"{file}: {key}", found=f"the same as in {other}", wanted="secrets of its own", fix=fix)


def named_after_stack(resource: Resource, stack: Stack) -> Iterator[Finding]:
    """BC20: names and tags."""
    project = stack.project
    prefix = project.physical_name("")
    name = resource.get("name")
    if resource.type in (*NAMED, TAG) and not isinstance(name, Unknown) and not str(name or "").startswith(prefix):
        yield Finding(found=f"name: {name or 'made up by the provider'}", wanted=f"{prefix}<name>")
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
