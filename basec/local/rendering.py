"""Render the directory of a local stack from the tracked template, the local cloud's addresses and generated secrets.

Nothing in the program knows about local stacks: all differences are in these files.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from basec.environments import ROOT, Environment
from basec.io.files import write_private
from basec.io.programs import LOCAL_CLOUD
from basec.local.cloud import LocalCloud
from basec.secrets.secret_values import FAKE_TOKENS
from basec.secrets.stack_file import StackFile
from topology.inventory import load_inventory
from topology.names import PROJECT, SETTINGS_KEY
from topology.project import required_secrets
from topology.settings import OPTIONAL_SECRET_KEYS
from topology.versions import provider_pins


def settings_of(template: Mapping[str, Any], cloud: LocalCloud, built: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the stack's settings: the tracked template with this cloud's addresses, and the built images if any.

    The template's `images.services` stay, and so does its `images.tag`, unless `built` was built for that tag.
    """
    config = template.get("config")
    settings = config.get(SETTINGS_KEY) if isinstance(config, dict) else None
    if not isinstance(settings, dict):
        return {}  # the check of the settings reports what is wrong with it
    settings = {**settings, "vpc_ip_range": cloud.vpc_range}
    if isinstance(settings.get("cloudflare"), dict):
        settings["cloudflare"] = {**settings["cloudflare"], "ranges": [f"{cloud.cloudflare_address}/32"]}
    asked = settings.get("images")
    if built is not None and isinstance(asked, dict) and isinstance(asked.get("services", {}), dict):
        tag = built["tag"] if built["for"] == asked.get("tag") else asked.get("tag")
        settings["images"] = {**asked, "tag": tag, "services": {**built["services"], **asked.get("services", {})}}
    return settings


def asked_tag(template: Mapping[str, Any]) -> str:
    """Return the template's `images.tag`, after its settings were checked."""
    return str(template["config"][SETTINGS_KEY]["images"]["tag"])


def render_project(environment: Environment, program: Path | None = None) -> None:
    """Write the project with the local cloud's providers, and the directories of a contained stack.

    `program` is the tree whose program plain Pulumi runs: in a dry run another one than the environment's own.
    """
    for name in ("state", "home", "cloud"):
        (environment.work_dir / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    _without_engine_logs(environment.work_dir / "home")
    providers = [_plugin(environment, name, version) for name, version in provider_pins(ROOT).items()]
    # For plain `pulumi`; basec runs the program itself.
    runtime = {"name": "python", "options": {"virtualenv": sys.prefix}}
    project = {
        "name": PROJECT,
        "main": str(program or environment.root),
        "runtime": runtime,
        "plugins": {"providers": providers},
    }
    write_private(environment.work_dir / "Pulumi.yaml", yaml.safe_dump(project, sort_keys=False))


def _without_engine_logs(home: Path) -> None:
    """Put a file where the engine would make a directory of logs; it goes on without them.

    It has no switch for them. Each command writes one at the level "debug", without encryption until the stack's key is
    known: half of the engine's time in a preview, and up to 500 MB. Source: pulumi/pkg/logging/encrypted.go, v3.259.0.
    """
    logs = home / "logs"
    if logs.is_dir():
        shutil.rmtree(logs, ignore_errors=True)
    write_private(
        logs, "The engine writes no logs here. If an operation fails, basec writes .basec/<env>/failed-run.log.\n"
    )


def _plugin(environment: Environment, name: str, version: str) -> dict[str, str]:
    """Write one provider plugin: the engine starts it by path, so it can never start a real provider instead."""
    directory = environment.work_dir / "plugins" / name
    directory.mkdir(parents=True, exist_ok=True)
    script = directory / f"pulumi-resource-{name}"
    paths = {"LOCALCLOUD_CONFIG": str(environment.cloud_file), "PYTHONPATH": str(environment.root)}
    exports = "".join(f"export {key}={shlex.quote(value)}\n" for key, value in {**paths, **LOCAL_CLOUD}.items())
    text = f'#!/bin/sh\n{exports}exec {shlex.quote(sys.executable)} -m localcloud.plugin {name} "$@"\n'
    write_private(script, text)
    script.chmod(0o700)
    return {"name": name, "path": str(directory), "version": version}


def fill_secrets(environment: Environment, stack: StackFile) -> list[str]:
    """Generate the secrets that are missing, keep the others, and return the names of the new ones.

    For stacks whose tokens are fakes: local ones, and dry runs of the others.
    """
    inventory = load_inventory(environment.root / "inventory.yaml")
    names = [*required_secrets(inventory), *(OPTIONAL_SECRET_KEYS if environment.is_local else ())]
    missing = [name for name in names if name not in stack.secret_names]
    values = {**stack.make_missing(missing), **{name: FAKE_TOKENS[name] for name in missing if name in FAKE_TOKENS}}
    stack.add_secrets(values)
    return list(values)
