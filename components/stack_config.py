"""The program's input, read and checked before any resource is declared: the one place that reads `pulumi.Config`.

Components get values from here and never read settings themselves. The checks and their messages are in
`topology/project.py` and `topology/secrets.py`.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pulumi

from topology.bundle import Bundle, build_bundles
from topology.errors import ConfigurationError
from topology.inventory import load_inventory
from topology.keys import public_key
from topology.names import LOGIN_KEY, PROJECT
from topology.project import Project, load_project, required_secrets
from topology.secrets import check_secrets
from topology.settings import OPTIONAL_SECRET_KEYS, SECRET_KEYS, host_key_secret


@dataclass(frozen=True, kw_only=True)
class StackConfig:
    """What a stack is made from; mappings are by droplet name, `secrets` by key."""

    project: Project
    bundles: Mapping[str, Bundle]
    secrets: Mapping[str, pulumi.Output[str]]
    host_private_keys: Mapping[str, pulumi.Output[str]]
    host_keys: Mapping[str, pulumi.Output[str]]
    """Public keys, like `login_key`: derived from secrets, but not secret themselves."""
    login_key: pulumi.Output[str]

    @property
    def serves_plain_http(self) -> bool:
        """Whether Cloudflare uses plain HTTP to the edges."""
        return self.project.settings.cloudflare.ssl == "flexible"


def load_stack_config(root: Path) -> StackConfig:
    """Read the stack's settings and the files below `root`.

    Raises RunError with everything that is wrong; Pulumi shows it without a traceback.
    """
    try:
        project = _load_project(root)
        bundles = build_bundles(project)
    except ConfigurationError as error:
        raise pulumi.RunError(error.render()) from None
    config = pulumi.Config(PROJECT)
    # Pulumi's own settings of the providers (`digitalocean:token`) are not ours to pass on.
    keys = [key for key in required_secrets(project.inventory) if ":" not in key]
    secrets = {key: config.require_secret(key) for key in keys}
    host_private_keys = {name: secrets[host_key_secret(name)] for name in project.inventory.droplets}
    return StackConfig(
        project=project,
        bundles=bundles,
        secrets=secrets,
        host_private_keys=host_private_keys,
        host_keys={name: _public(key) for name, key in host_private_keys.items()},
        login_key=_public(secrets[LOGIN_KEY]),
    )


def _load_project(root: Path) -> Project:
    try:
        known = required_secrets(load_inventory(root / "inventory.yaml"))
    except ConfigurationError:
        known = SECRET_KEYS  # load_project reports the inventory with everything else
    keys = {name: name if ":" in name else f"{PROJECT}:{name}" for name in (*known, *OPTIONAL_SECRET_KEYS)}
    values = {name: value for name, key in keys.items() if (value := pulumi.runtime.get_config(key))}
    config = pulumi.Config(PROJECT)
    try:
        raw: object = config.get_object("settings")
    except pulumi.ConfigTypeError:
        raw = config.get("settings")  # only a string: load_project reports that in our words, with a hint
    project = load_project(root, pulumi.get_stack(), raw, tuple(values))
    check_secrets(project, values, datetime.datetime.now(datetime.UTC).date())
    return project


def _public(private_key: pulumi.Output[str]) -> pulumi.Output[str]:
    return pulumi.Output.unsecret(private_key.apply(public_key))
