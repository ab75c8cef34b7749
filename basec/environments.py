"""Environments by name, and where each one's files live.

`staging` and `production` are the tracked stacks of the repository root. A local stack is a rendered directory
`.local/<name>/`, so that the tree stays clean and two of them can live side by side.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from topology.errors import UsageError
from topology.names import CLOUD_STACKS, LOCAL_STACK, LOCAL_STACK_NAME, PROJECT

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT_VARIABLE = "BASEC_ENV"
"""The environment of read-only commands without `--env`."""
ALIASES = {"development": LOCAL_STACK}


@dataclass(frozen=True, kw_only=True)
class Environment:
    """One environment's name and files."""

    name: str
    root: Path = ROOT
    dry_dir: Path | None = None
    """The directory of a cloud environment's dry run: a rendered copy with dry providers and its own state."""
    own_passphrase: bool = False
    """Whether the dry run reads the stack's own secrets, with its passphrase from the usual place."""

    @property
    def is_local(self) -> bool:
        return self.name not in CLOUD_STACKS

    @property
    def is_contained(self) -> bool:
        """Whether settings, providers and state are all in `work_dir`, out of reach of any account."""
        return self.is_local or self.dry_dir is not None

    @property
    def keeps_passphrase(self) -> bool:
        """Whether the passphrase is in `work_dir` too, so that no variable overrides it."""
        return self.is_contained and not self.own_passphrase

    @property
    def work_dir(self) -> Path:
        """The directory with the `Pulumi.yaml` that the engine reads."""
        if self.dry_dir is not None:
            return self.dry_dir
        return self.root / ".local" / self.name if self.is_local else self.root

    @property
    def stack_file(self) -> Path:
        return self.work_dir / f"Pulumi.{self.name}.yaml"

    @property
    def passphrase_file(self) -> Path:
        """Where the passphrase is if no variable overrides it; a cloud stack's is outside of every clone."""
        if self.keeps_passphrase:
            return self.work_dir / "passphrase"
        return config_directory() / f"{self.name}.passphrase"

    @property
    def cloud_file(self) -> Path:
        """Where the local cloud keeps its addresses."""
        return self.work_dir / "cloud.json"

    @property
    def images_file(self) -> Path:
        """The images that the last `up` of a local stack built."""
        return self.work_dir / "images.json"

    @property
    def public_ca_file(self) -> Path:
        """The authority that signs a local stack's https; the local cloud makes it."""
        return self.work_dir / "cloud" / "ca" / "public.pem"

    @property
    def facts_dir(self) -> Path:
        """What the last `up` wrote for the commands that need neither engine nor passphrase."""
        return self.root / ".basec" / self.name

    @property
    def hosts_file(self) -> Path:
        """The file that exists once an `up` has made hosts; one that failed earlier leaves only a log."""
        return self.facts_dir / "inventory.yaml"


def cache_directory() -> Path:
    """Return the directory of what can be made again: CLI and images. `toolchain` knows it too."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("BASECOMMERCE_CACHE") or home / PROJECT)


def config_directory() -> Path:
    """Return the user's directory for what must outlive a clone and be in no repository."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / PROJECT


def known_names(root: Path = ROOT) -> list[str]:
    """List the environments a user may name, the other local stacks of this clone among them."""
    others = (path.parent.name for path in root.glob(".local/local-*/cloud.json"))
    return [LOCAL_STACK, *sorted(others), *CLOUD_STACKS]


def seen_names(root: Path = ROOT) -> list[str]:
    """List the environments that this clone has brought up, refreshed or initialised, production first."""
    names = (name for name in known_names(root) if name != LOCAL_STACK or (root / ".local/local/cloud.json").exists())
    seen = [name for name in names if name not in CLOUD_STACKS or Environment(name=name, root=root).hosts_file.exists()]
    return sorted(seen, key=lambda name: name != "production")


def resolve(name: str, root: Path = ROOT) -> Environment:
    """Return the environment of that name. Raises UsageError, which names the known ones."""
    real = ALIASES.get(name, name)
    if real in CLOUD_STACKS or re.fullmatch(LOCAL_STACK_NAME, real):
        return Environment(name=real, root=root)
    raise UsageError(
        f"basec: --env: unknown environment {name!r}",
        f"one of {', '.join(known_names(root))} (development is local; local-<suffix> is a local stack of its own)",
    )
