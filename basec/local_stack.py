"""Render the directory of a local stack from the tracked template, the local cloud's addresses and generated secrets.

Nothing in the program knows about local stacks: all that differs is in these files.
"""

from __future__ import annotations

import json
import secrets
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from basec.environments import PROJECT, Environment
from basec.facts import HTTPS_PORT, StandIn
from basec.stack_file import SETTINGS_KEY, StackFile, read_mapping, write_private
from topology.errors import UsageError
from topology.project import required_secrets
from topology.settings import OPTIONAL_SECRET_KEYS, PASSWORD_KEYS, TLS_KEYS

TEMPLATE = "Pulumi.local.yaml"
PLUGIN_VERSIONS = {"digitalocean": "4.84.1", "cloudflare": "6.23.1", "command": "1.2.1"}
"""What the SDKs of requirements.txt ask the engine for."""
FAKE_TOKENS = {
    "digitalocean:token": "dop_v1_fake-token-of-a-local-cloud",
    "cloudflare:apiToken": "fake-token-of-a-local-cloud-000000000000",
}
"""Obvious fakes: should a real provider ever be found, it could not reach an account."""
PASSWORD_BYTES = 24
"""192 bits; `token_urlsafe` gives letters, digits, `-` and `_`, the only ones that migrations take (contract 3.1)."""


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
        """Raises UsageError when the stack was never initialised."""
        try:
            document = json.loads(environment.cloud_file.read_text())
        except FileNotFoundError:
            raise not_initialised(environment) from None
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

    @property
    def is_dry(self) -> bool:
        """Records only, no containers: what tests of the engine use."""
        return self.mode == "dry"


def not_initialised(environment: Environment) -> UsageError:
    return UsageError(
        f"basec: {environment.name}: this local stack is not initialised", f"basec init --env {environment.name}"
    )


def settings_of(environment: Environment, cloud: LocalCloud, images: Mapping[str, object] | None) -> dict[str, Any]:
    """Give the stack's settings: the tracked template with this cloud's addresses, and the built images if any."""
    template = read_mapping(environment.root / TEMPLATE)
    config = template.get("config")
    settings = config.get(SETTINGS_KEY) if isinstance(config, dict) else None
    if not isinstance(settings, dict):
        return {}  # the check of the settings says what is wrong with it
    settings = {**settings, "vpc_ip_range": cloud.vpc_range}
    if isinstance(settings.get("cloudflare"), dict):
        settings["cloudflare"] = {**settings["cloudflare"], "ranges": [f"{cloud.cloudflare_address}/32"]}
    if images is not None:
        settings["images"] = {"registry": images["registry"], "tag": images["tag"], "services": images["services"]}
    return settings


def kept_images(environment: Environment) -> Mapping[str, object] | None:
    """Give the images of the last render, so that a preview does not have to build any."""
    if not environment.stack_file.exists():
        return None
    config = read_mapping(environment.stack_file).get("config") or {}
    images = (config.get(SETTINGS_KEY) or {}).get("images")
    return images if isinstance(images, dict) else None


def render(environment: Environment, images: Mapping[str, object] | None) -> StackFile:
    """Write everything that the engine reads, but no secret; safe to repeat, and repeated by every `up`."""
    cloud = LocalCloud.load(environment)
    for name in ("state", "home", "cloud"):
        (environment.work_dir / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    providers = [_plugin(environment, name, version) for name, version in PLUGIN_VERSIONS.items()]
    # No virtualenv option: basec runs the program itself, the engine needs no language plugin.
    project = {"name": PROJECT, "runtime": "python", "plugins": {"providers": providers}}
    write_private(environment.work_dir / "Pulumi.yaml", yaml.safe_dump(project, sort_keys=False))
    if not environment.stack_file.exists():
        write_private(environment.stack_file, "config: {}\n")
    stack = StackFile(environment)
    others = {key: value for key, value in (stack.document.get("config") or {}).items() if key != SETTINGS_KEY}
    stack.document["config"] = {SETTINGS_KEY: settings_of(environment, cloud, images), **others}
    stack.write()
    return stack


def _plugin(environment: Environment, name: str, version: str) -> dict[str, str]:
    """Write one provider plugin: the engine starts it by path, so it can never find a real provider instead."""
    directory = environment.work_dir / "plugins" / name
    directory.mkdir(parents=True, exist_ok=True)
    script = directory / f"pulumi-resource-{name}"
    text = (
        "#!/bin/sh\n"
        f"export LOCALCLOUD_CONFIG={shlex.quote(str(environment.cloud_file))}\n"
        f"export PYTHONPATH={shlex.quote(str(environment.root))}\n"
        f'exec {shlex.quote(sys.executable)} -m localcloud.plugin {name} "$@"\n'
    )
    if not script.exists() or script.read_text() != text:
        write_private(script, text)
    script.chmod(0o700)
    return {"name": name, "path": str(directory), "version": version}


def new_ed25519_key() -> str:
    """Make an SSH key pair; the text is its unencrypted private half, which goes into encrypted settings only."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def new_password() -> str:
    """Make a password that starts with a letter or digit: with `-` in front, a pasted one reads as an option."""
    while not (password := secrets.token_urlsafe(PASSWORD_BYTES))[0].isalnum():
        pass
    return password


def make_passphrase(path: Path) -> bool:
    """Make the stack's passphrase if there is none; answer whether one was made."""
    if path.exists():
        return False
    write_private(path, secrets.token_urlsafe(PASSWORD_BYTES) + "\n")
    return True


def fill_secrets(environment: Environment, stack: StackFile) -> list[str]:
    """Generate the secrets that are missing, keep the others, and answer the names of the new ones."""
    from topology.inventory import load_inventory

    inventory = load_inventory(environment.root / "inventory.yaml")
    wanted = (*required_secrets(inventory), *OPTIONAL_SECRET_KEYS)
    missing = [name for name in wanted if name not in stack.secret_names]
    values = {name: _generate(name) for name in missing if name not in TLS_KEYS}
    values |= _tls_secrets(stack, missing)
    for name, value in values.items():
        stack.set_secret(name if ":" in name else f"{PROJECT}:{name}", value)
    if values:
        stack.write()
    return list(values)


def _tls_secrets(stack: StackFile, missing: list[str]) -> dict[str, str]:
    from basec import certificates

    settings = stack.settings
    domain = settings.get("domain") if isinstance(settings, dict) else None
    if not isinstance(domain, str):
        return {}  # the check of the settings says what is wrong with it
    return certificates.fill(missing, lambda name: stack.secret(f"{PROJECT}:{name}"), domain)


def _generate(name: str) -> str:
    if name in FAKE_TOKENS:
        return FAKE_TOKENS[name]
    if name in PASSWORD_KEYS or name in OPTIONAL_SECRET_KEYS:
        return new_password()
    return new_ed25519_key()
