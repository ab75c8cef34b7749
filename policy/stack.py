"""What the pack knows of the stack that it judges: settings and inventory, checked, and the stack's file as it is.

The engine gives a pack that is an executable neither directory nor environment of the program, so `basec` names the
file, or it is found by the stack's name. A stack that cannot be identified is refused: silence would be a pass.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from topology.crosscheck import is_local
from topology.errors import BasecommerceError, ConfigurationError
from topology.files import read_yaml
from topology.inventory import load_inventory
from topology.names import ALLOW_VARIABLE, SETTINGS_KEY, STACK_FILE_VARIABLE
from topology.project import Project, load_project, required_secrets
from topology.versions import provider_pins

ROOT = Path(__file__).resolve().parent.parent


class NoStackError(BasecommerceError):
    """The stack's file is missing, wrong, or of another stack."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """One stack. `secrets` are the values of its secret settings by key, in clear: compare, never print."""

    project: Project
    file: Path
    document: Mapping[str, Any]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    allowed: frozenset[str] = frozenset()
    """Names or URNs that may go unprotected, since the operator named them."""

    @property
    def is_local(self) -> bool:
        """Whether the stack lives in a local cloud, where nothing is protected and nothing leaves the machine."""
        return is_local(self.project.stack)

    @property
    def edge_tag(self) -> str:
        """The tag that the one public firewall is keyed on."""
        return self.project.droplet_tag(self.project.inventory.bastion)

    def droplet_of_tags(self, tags: tuple[str, ...]) -> str | None:
        """Return the droplet of the inventory that these tags belong to."""
        return next((name for name in self.project.inventory.droplets if self.project.droplet_tag(name) in tags), None)

    @cached_property
    def tracked(self) -> Mapping[str, Mapping[str, Any]]:
        """The project's file and the tracked stacks' files as they are, by name."""
        files = sorted(self.project.root.glob("Pulumi*.yaml"))
        return {path.name: document for path in files if isinstance(document := read_yaml(path), dict)}

    @cached_property
    def pins(self) -> Mapping[str, str]:
        """The exact versions of the providers' SDKs, e.g. `{"digitalocean": "4.84.1"}`."""
        return provider_pins(self.project.root)


def find_file(stack: str, root: Path = ROOT, given: str = "") -> Path:
    """Find the settings file of a stack, where it is not `given`. Raises NoStackError."""
    name = f"Pulumi.{stack}.yaml"
    given = given or os.environ.get(STACK_FILE_VARIABLE, "")
    if given:
        path = Path(given)
        if path.name != name:
            raise NoStackError(
                f"policy: {STACK_FILE_VARIABLE}: {given} is not the file of the stack '{stack}'",
                f"unset it, or name the file {name}",
            )
        if path.is_file():
            return path
        raise NoStackError(f"policy: {STACK_FILE_VARIABLE}: there is no file {given}", f"basec init --env {stack}")
    for path in (root / ".local" / stack / name, root / name):
        if path.is_file():
            return path
    raise NoStackError(
        f"policy: {stack}: no settings, neither {name} nor .local/{stack}/{name} in {root}",
        f"run the operation with basec, or set {STACK_FILE_VARIABLE} to the stack's file",
    )


def load_stack(stack: str, secrets: Mapping[str, str], root: Path = ROOT, file: str = "") -> Stack:
    """Read and check what the stack is meant to be. Raises NoStackError with every problem."""
    path = find_file(stack, root, file)
    try:
        document = read_yaml(path)
        config = document.get("config") if isinstance(document, dict) else None
        raw = config.get(SETTINGS_KEY) if isinstance(config, dict) else None
        # Whether secrets are there is the program's question; the pack asks only how they are kept.
        present = required_secrets(load_inventory(root / "inventory.yaml"))
        project = load_project(root, stack, raw, present)
    except ConfigurationError as error:
        raise NoStackError(f"policy: {stack}: the settings are wrong\n{error.render()}") from None
    allowed = frozenset(os.environ.get(ALLOW_VARIABLE, "").split())
    return Stack(project=project, file=path, document=document, secrets=secrets, allowed=allowed)
