"""What the tests of topology/ share: the tracked files as data, keys made for tests, and a copy of the tree."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.unit.tls_support import tls_secrets
from topology.project import Project, load_project
from topology.settings import PASSWORD_KEYS, SECRET_KEYS

ROOT = Path(__file__).parents[2]
ADDRESSES = {"infra": "10.81.0.2", "vertical": "10.81.0.3", "edge": "10.81.0.4"}


def raw_settings(stack: str = "staging") -> Any:
    """Read the settings of a tracked stack as data."""
    return yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]["basecommerce:settings"]


def raw_file(name: str) -> Any:
    """Read a tracked YAML file as data."""
    return yaml.safe_load((ROOT / name).read_text())


def project(stack: str = "staging", root: Path = ROOT) -> Project:
    """Load a tracked stack with all secrets present."""
    return load_project(root, stack, raw_settings(stack), SECRET_KEYS)


def tree_copy(target: Path) -> Path:
    """Copy the tracked data files, so that a test may change them."""
    for name in ("inventory.yaml", "versions.yaml"):
        shutil.copy(ROOT / name, target / name)
    return target


def with_value(data: Any, path: str, value: object) -> Any:
    """Return a copy of `data` with the value at a dotted path replaced, added or (value is `REMOVED`) removed."""
    result = copy.deepcopy(data)
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    target = result
    for part in parents:
        target = target[part]
    if value is REMOVED:
        del target[last]
    elif isinstance(target, list) and last == len(target):
        target.append(value)
    else:
        target[last] = value
    return result


REMOVED = object()


def private_key(seed: int) -> str:
    """Make the same ed25519 key for the same seed; for tests only."""
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def secret_values() -> Mapping[str, str]:
    """Return fit values for every secret."""
    return {
        **{name: f"{name}-for-tests-0123456789" for name in PASSWORD_KEYS},
        "token_key": "token-key-for-tests-12345",
        "login_private_key": private_key(1),
        "host_key_infra": private_key(2),
        "host_key_vertical": private_key(3),
        "host_key_edge": private_key(4),
        **tls_secrets("staging-basecommerce.com.br"),
        "digitalocean:token": "not-a-real-token",
        "cloudflare:apiToken": "not-a-real-token",
    }
