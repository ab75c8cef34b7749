"""What one run of a command knows of its environment: stack file, settings, project and local cloud, each read once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any

from basec.environments import Environment
from basec.io.files import write_private
from basec.local.cloud import LocalCloud, not_initialised
from basec.local.images import keep_images, kept_images
from basec.local.rendering import render_project, settings_of
from basec.secrets.stack_file import StackFile, read_mapping
from topology.bundle import build_bundles
from topology.inventory import load_inventory
from topology.names import LOCAL_TEMPLATE
from topology.project import Project, load_project, required_secrets


class Session:
    """One run on one environment. A part is read when it is first asked for, and kept until the run ends.

    Each may raise ConfigurationError, and UsageError for a local stack that is not initialised.
    """

    def __init__(self, environment: Environment) -> None:
        self.environment = environment

    @cached_property
    def stack_file(self) -> StackFile:
        """The settings file with the secrets in it."""
        return StackFile(self.environment)

    @cached_property
    def cloud(self) -> LocalCloud:
        """The cloud of a local stack."""
        return LocalCloud.load(self.environment)

    @cached_property
    def is_records(self) -> bool:
        """Whether the stack's machines are records only, so that none has an sshd."""
        return self.environment.dry_dir is not None or (self.environment.is_local and self.cloud.is_dry)

    @cached_property
    def template(self) -> dict[str, Any]:
        """The tracked file that the settings of a local stack are made from."""
        return read_mapping(self.environment.root / LOCAL_TEMPLATE)

    @cached_property
    def images(self) -> Mapping[str, Any] | None:
        """The images that were built for a local stack; None before the first `up`, and for a cloud stack."""
        return kept_images(self.environment) if self.environment.is_local else None

    def use_images(self, built: Mapping[str, Any]) -> None:
        """Use newly built images. The settings are made and checked again only if the images changed."""
        if built != self.images:
            self.images = built
            for part in ("settings", "project", "written_project"):
                self.__dict__.pop(part, None)

    @cached_property
    def settings(self) -> object:
        """The settings, unchecked."""
        if not self.environment.is_local:
            return self.stack_file.settings
        cloud = self.cloud
        if not self.environment.stack_file.exists():
            raise not_initialised(self.environment)
        return settings_of(self.template, cloud, self.images)

    @cached_property
    def project(self) -> Project:
        """Inventory and settings, checked as far as possible without a cloud."""
        project = self._load(self.settings, self.stack_file.secret_names)
        build_bundles(project)
        return project

    @cached_property
    def written_project(self) -> Project:
        """Inventory and settings as they are in the files, whatever secrets are set."""
        return self._load(self.settings, self.required_secrets)

    @cached_property
    def required_secrets(self) -> tuple[str, ...]:
        """The names of the secrets that the inventory asks for."""
        return required_secrets(load_inventory(self.environment.root / "inventory.yaml"))

    def _load(self, settings: object, secrets: Collection[str]) -> Project:
        return load_project(self.environment.root, self.environment.name, settings, secrets)

    def render(self) -> None:
        """Write all files that the engine reads of a local stack, but no secret. Safe to repeat; every `up` does it."""
        cloud = self.cloud
        render_project(self.environment)
        if self.images is not None:
            keep_images(self.environment, self.images)
        if not self.environment.stack_file.exists():
            write_private(self.environment.stack_file, "config: {}\n")
        self.stack_file.put_settings(settings_of(self.template, cloud, self.images))
