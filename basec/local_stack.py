"""Render the directory of a local stack from the tracked template, the local cloud's addresses and generated secrets.

Nothing in the program knows about local stacks: all that differs is in these files.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from basec.console import complain
from basec.environments import PROJECT, Environment
from basec.facts import HTTPS_PORT, StandIn
from basec.files import NO_DOCUMENT, damaged, write_private
from basec.programs import LOCAL_CLOUD, Program
from basec.secret_values import FAKE_TOKENS
from basec.stack_file import SETTINGS_KEY, StackFile, read_mapping
from topology.errors import UsageError
from topology.project import Project, required_secrets
from topology.settings import OPTIONAL_SECRET_KEYS

TEMPLATE = "Pulumi.local.yaml"
PLUGIN_VERSIONS = {"digitalocean": "4.84.1", "cloudflare": "6.23.1", "command": "1.2.1"}
"""What the SDKs of requirements.txt ask the engine for."""


@dataclass(frozen=True, kw_only=True)
class LocalCloud:
    """What `cloud.json` says that basec needs."""

    mode: str
    public_subnet: str
    cloudflare_address: str
    vpc_range: str
    stand_in: StandIn

    @classmethod
    def load(cls, environment: Environment) -> LocalCloud:
        """Raises UsageError when the stack was never initialised, or when the file is damaged."""
        file, name = environment.cloud_file, environment.name
        try:
            document = json.loads(file.read_text())
            return cls(
                mode=str(document["mode"]),
                public_subnet=str(document["public_subnet"]),
                cloudflare_address=str(document["cloudflare_address"]),
                vpc_range=str(document["vpc_range"]),
                stand_in=StandIn(
                    http_port=int(document["http_port"]),
                    https_port=int(document.get("https_port", HTTPS_PORT)),
                    ca_file=environment.public_ca_file,
                ),
            )
        except FileNotFoundError:
            raise not_initialised(environment) from None
        except NO_DOCUMENT as error:
            hint = (
                f"bring it back; without it this stack is lost: remove its containers, docker ps --all --filter "
                f"name=bc-{name}-, and {environment.work_dir}, then basec init --env {name}"
            )
            raise damaged(name, file, error, hint) from None

    @property
    def is_dry(self) -> bool:
        """Records only, no containers: what tests of the engine use."""
        return self.mode == "dry"


def is_records(environment: Environment) -> bool:
    """Say whether records stand for the stack's machines, so that none has an sshd. Raises as LocalCloud.load."""
    return bool(environment.dry_dir) or (environment.is_local and LocalCloud.load(environment).is_dry)


def not_initialised(environment: Environment) -> UsageError:
    return UsageError(
        f"basec: {environment.name}: this local stack is not initialised", f"basec init --env {environment.name}"
    )


def settings_of(environment: Environment, cloud: LocalCloud, built: Mapping[str, Any] | None) -> dict[str, Any]:
    """Give the stack's settings: the tracked template with this cloud's addresses, and the built images if any.

    The template's `images.services` stay, and so does its `images.tag`, unless that is what `built` was built for.
    """
    template = read_mapping(environment.root / TEMPLATE)
    config = template.get("config")
    settings = config.get(SETTINGS_KEY) if isinstance(config, dict) else None
    if not isinstance(settings, dict):
        return {}  # the check of the settings says what is wrong with it
    settings = {**settings, "vpc_ip_range": cloud.vpc_range}
    if isinstance(settings.get("cloudflare"), dict):
        settings["cloudflare"] = {**settings["cloudflare"], "ranges": [f"{cloud.cloudflare_address}/32"]}
    asked = settings.get("images")
    if built is not None and isinstance(asked, dict) and isinstance(asked.get("services", {}), dict):
        tag = built["tag"] if built["for"] == asked.get("tag") else asked.get("tag")
        settings["images"] = {**asked, "tag": tag, "services": {**built["services"], **asked.get("services", {})}}
    return settings


def asked_tag(environment: Environment) -> str:
    """Give the template's `images.tag`, once its settings were checked."""
    settings = read_mapping(environment.root / TEMPLATE)["config"][SETTINGS_KEY]
    return str(settings["images"]["tag"])


def kept_images(environment: Environment) -> Mapping[str, Any] | None:
    """Give what the last `up` built, so that a preview does not have to build any; a damaged file is as none."""
    file = environment.images_file
    try:
        built = json.loads(file.read_text())
        return {"tag": str(built["tag"]), "for": built["for"], "services": dict(built["services"]),
                "references": list(built["references"])}  # fmt: skip
    except FileNotFoundError:
        return None
    except NO_DOCUMENT as error:
        complain(damaged(environment.name, file, error, f"basec up --env {environment.name} makes it anew").render())
        return None


def require_images(project: Project, built: Mapping[str, Any] | None) -> None:
    """Refuse images that were neither built nor pushed into the local registry. Raises ProgramError."""
    others = [] if built is None else sorted(set(project.images().values()) - set(built["references"]))
    if others:
        Program("localcloud", ["has", *others]).run()


def render(environment: Environment, built: Mapping[str, Any] | None) -> StackFile:
    """Write everything that the engine reads, but no secret; safe to repeat, and repeated by every `up`."""
    cloud = LocalCloud.load(environment)
    render_project(environment)
    if built is not None:
        write_private(environment.images_file, json.dumps(built, indent=2) + "\n")
    if not environment.stack_file.exists():
        write_private(environment.stack_file, "config: {}\n")
    stack = StackFile(environment)
    others = {key: value for key, value in (stack.document.get("config") or {}).items() if key != SETTINGS_KEY}
    stack.document["config"] = {SETTINGS_KEY: settings_of(environment, cloud, built), **others}
    stack.write()
    return stack


def render_project(environment: Environment, program: Path | None = None) -> None:
    """Write the project with the local cloud's providers, and the directories of a stack that has all of its own.

    `program` is the tree whose program plain Pulumi runs: another one than the environment's own for a rehearsal.
    """
    for name in ("state", "home", "cloud"):
        (environment.work_dir / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    providers = [_plugin(environment, name, version) for name, version in PLUGIN_VERSIONS.items()]
    # For plain `pulumi`; basec runs the program itself.
    runtime = {"name": "python", "options": {"virtualenv": sys.prefix}}
    project = {
        "name": PROJECT,
        "main": str(program or environment.root),
        "runtime": runtime,
        "plugins": {"providers": providers},
    }
    write_private(environment.work_dir / "Pulumi.yaml", yaml.safe_dump(project, sort_keys=False))


def _plugin(environment: Environment, name: str, version: str) -> dict[str, str]:
    """Write one provider plugin: the engine starts it by path, so it can never find a real provider instead."""
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
    """Generate the secrets that are missing, keep the others, and answer the names of the new ones.

    For stacks whose tokens are fakes: local ones, and dry runs of the others.
    """
    from topology.inventory import load_inventory

    inventory = load_inventory(environment.root / "inventory.yaml")
    names = [*required_secrets(inventory), *(OPTIONAL_SECRET_KEYS if environment.is_local else ())]
    missing = [name for name in names if name not in stack.secret_names]
    values = {**stack.make_missing(missing), **{name: FAKE_TOKENS[name] for name in missing if name in FAKE_TOKENS}}
    stack.add_secrets(values)
    return list(values)
