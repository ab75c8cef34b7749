"""One typed, frozen tree of everything that is known before a resource is declared."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from topology.crosscheck import applications, is_local, settings_problems, shared_problems
from topology.errors import ConfigurationError, Problem
from topology.files import check_model, read_yaml
from topology.inventory import DropletSpec, Inventory, SizeSpec, load_inventory
from topology.logins import database_password, database_services
from topology.names import (
    CLOUD_STACKS,
    HOST_KEY,
    LOCAL_STACK_NAME,
    LOCAL_TEMPLATE,
    PROJECT,
    SETTINGS_KEY,
)
from topology.settings import OPTIONAL_SECRET_KEYS, SECRET_KEYS, Settings, host_key_secret
from topology.versions import Versions, load_versions

T = TypeVar("T")

STACKS_HINT = "known stacks: local, local-<suffix>, staging, production"


@dataclass(frozen=True, kw_only=True)
class Project:
    """The program's input, checked: from here on only the live cloud can be wrong."""

    stack: str
    settings: Settings
    inventory: Inventory
    versions: Versions
    root: Path
    """Root of the repository, where `compose/` and `cloud-init/` are."""

    @property
    def local(self) -> bool:
        """Whether the stack lives in a local cloud. For programs around the engine; components never ask."""
        return is_local(self.stack)

    def droplet(self, name: str) -> DropletSpec:
        """Return a droplet of the inventory. Raises KeyError."""
        return self.inventory.droplets[name]

    def size(self, droplet: str) -> SizeSpec:
        """Return the memory, CPUs, disk and price of a droplet's size."""
        return self.inventory.sizes[self.droplet(droplet).size]

    def physical_name(self, thing: str) -> str:
        """Return the name of a cloud resource of this stack, e.g. `basecommerce-staging-edge`."""
        return f"{PROJECT}-{self.stack}-{thing}"

    def droplet_tag(self, droplet: str) -> str:
        """Return the tag that firewalls use: one for each droplet of a stack, so that stacks never share a firewall."""
        return self.physical_name(droplet)

    def tags(self, droplet: str) -> tuple[str, ...]:
        """Return all tags of a droplet, the firewall's first; letters of `[a-z0-9:_-]` only."""
        return (self.droplet_tag(droplet), PROJECT, f"stack:{self.stack}", f"role:{self.droplet(droplet).role}")

    def image(self, service: str) -> str:
        """Return the full image reference of a service. Raises KeyError for an unknown one."""
        images, ours = self.settings.images, applications(self.inventory)
        if service in ours and service not in images.services:
            return f"{images.registry}/{ours[service]}:{images.tag}"
        return {**self.versions.images.services, **images.services}[service]

    def images(self) -> dict[str, str]:
        """Return the image references of all services, by name."""
        return {
            name: self.image(name) for name in sorted({*self.versions.images.services, *applications(self.inventory)})
        }


def settings_file(stack: str) -> str:
    """Return the file in which a person edits a stack's settings; a local stack's is rendered from the template."""
    return LOCAL_TEMPLATE if is_local(stack) else f"Pulumi.{stack}.yaml"


def required_secrets(inventory: Inventory | None) -> tuple[str, ...]:
    """Return the names of the secrets that a stack needs, including one host key for each droplet."""
    if inventory is None:
        return SECRET_KEYS
    passwords = [database_password(service) for service in database_services(inventory.verticals)]
    host_keys = [host_key_secret(name) for name in inventory.droplets]
    others = [name for name in SECRET_KEYS if not name.startswith(HOST_KEY)]
    return tuple(dict.fromkeys([*others, *passwords, *host_keys]))


def load_project(root: Path, stack: str, raw_settings: object, secrets_present: Collection[str]) -> Project:
    """Check settings, inventory, versions and the presence of secrets.

    `raw_settings` is the object `basecommerce:settings` as parsed, or None when the stack has none.
    `secrets_present` are the names of the secrets that are set, e.g. `postgres_password`, `digitalocean:token`.
    Raises ConfigurationError with ALL problems of ALL files.
    """
    problems: list[Problem] = []

    def collect(load: Callable[[], T]) -> T | None:
        try:
            return load()
        except ConfigurationError as error:
            problems.extend(error.problems)
            return None

    file, edited = f"Pulumi.{stack}.yaml", settings_file(stack)
    problems.extend(_stack_problems(stack))
    if (root / edited).is_file():  # the engine gave `raw_settings`, and takes `0o36` for a number
        collect(lambda: read_yaml(root / edited))
    settings = collect(lambda: _settings(edited, raw_settings))
    inventory = collect(lambda: load_inventory(root / "inventory.yaml"))
    versions = collect(lambda: load_versions(root / "versions.yaml"))
    if settings:
        problems.extend(settings_problems(edited, SETTINGS_KEY, stack, settings))
        problems.extend(shared_problems(edited, SETTINGS_KEY, settings, inventory, versions))
    problems.extend(_secret_problems(file, stack, inventory, secrets_present))
    if problems or settings is None or inventory is None or versions is None:
        raise ConfigurationError(problems)
    return Project(stack=stack, settings=settings, inventory=inventory, versions=versions, root=root)


def _settings(file: str, raw: object) -> Settings:
    if raw is None:
        problem = Problem(
            file=file, path=SETTINGS_KEY, message="is missing", hint="start from the tracked Pulumi.production.yaml"
        )
        raise ConfigurationError([problem])
    return check_model(file, raw, Settings, prefix=SETTINGS_KEY)


def _stack_problems(stack: str) -> Iterator[Problem]:
    if stack not in CLOUD_STACKS and not re.fullmatch(LOCAL_STACK_NAME, stack):
        yield Problem(file="stack", path="", message=f"'{stack}' is not a known stack", hint=STACKS_HINT)


def _secret_problems(file: str, stack: str, inventory: Inventory | None, present: Collection[str]) -> Iterator[Problem]:
    names = {name.removeprefix(f"{PROJECT}:") for name in present}
    missing = [
        name if ":" in name else f"{PROJECT}:{name}" for name in required_secrets(inventory) if name not in names
    ]
    hint = f"run `basec init --env {stack}`"
    if not is_local(stack):
        hint += f"; to look without an account: `basec preview --env {stack} --dry`"
    if len(missing) == 1:
        yield Problem(file=file, path=missing[0], message="this secret is not set", hint=hint)
    elif missing:
        listed = ", ".join(key.removeprefix(f"{PROJECT}:") for key in missing)
        yield Problem(file=file, path="", message=f"{len(missing)} secrets are not set: {listed}", hint=hint)
    for name in OPTIONAL_SECRET_KEYS:
        if name in names and not is_local(stack):
            key = f"{PROJECT}:{name}"
            yield Problem(
                file=file,
                path=key,
                message="this secret is only for local stacks",
                hint=f"run `basec pulumi --env {stack} -- config rm {key}`",
            )
