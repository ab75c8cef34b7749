"""How a stack's file keeps its secrets: encrypted, fit, and its own. No text ever holds a value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from topology.bundle import SECRET_TEXT

SECRET_KEY = re.compile(
    r"(^|[._:-])(api_?|access_?|auth_?|private_?|secret_?)?(token|tokens|password|passwd|passphrase|secrets?|credentials?)$"
    r"|(private|secret|access|token|api|signing|host|origin)_?keys?(_[a-z_]+)?$",
    re.IGNORECASE,
)
"""The last part of a key that names a secret; `public_key` and `zone_id` are none."""
USER_IN_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s@]+@")
MADE_KEY = "basecommerce:made"
MADE_NOTE = re.compile(r"\d{4}-\d{2}-\d{2} \S{1,8}")
"""When `basec init` made a secret, in clear: the day, and the start of the sealed text that is meant."""
EXAMPLES = re.compile(
    r"change-?_?me|example|placeholder|your[-_]|^(password|secret|postgres|redis|admin|test|xxx+|1234\d*)$",
    re.IGNORECASE,
)
"""What readers of a README copy."""
SHORTEST = 16
"""Characters of any secret; passwords of ours have 24 (`topology/secrets.py`)."""


def clear_secrets(config: object, path: str = "config") -> Iterator[str]:
    """Name the keys of a stack's `config` that hold a secret in clear."""
    if isinstance(config, Mapping):
        if set(config) == {"secure"}:
            return
        for key, value in config.items():
            if not (path.endswith(f".{MADE_KEY}") and MADE_NOTE.fullmatch(str(value))):
                yield from clear_secrets(value, f"{path}.{key}")
    elif isinstance(config, list | tuple):
        for index, value in enumerate(config):
            yield from clear_secrets(value, f"{path}.{index}")
    elif isinstance(config, str) and config:
        named = SECRET_KEY.search(path.rpartition(".")[2])
        if named or USER_IN_URL.search(config) or SECRET_TEXT.search(config.encode()):
            yield path


def weak_secrets(secrets: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Give the key of each unfit secret, and what is wrong with it."""
    for key, value in sorted(secrets.items()):
        if len(value) < SHORTEST:
            yield key, f"has {len(value)} characters"
        elif EXAMPLES.search(value):
            yield key, "is a value from an example"


def shared_secrets(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    """Name the keys that two stacks' files share: the same salt or cipher text means that one was copied."""
    salt = one.get("encryptionsalt")
    if salt and salt == other.get("encryptionsalt"):
        yield "encryptionsalt"
    mine, theirs = one.get("config") or {}, other.get("config") or {}
    for key, value in mine.items():
        if isinstance(value, Mapping) and value.get("secure") and value == theirs.get(key):
            yield f"config.{key}"
