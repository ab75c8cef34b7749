"""How a stack's file keeps its secrets: encrypted, strong, and its own. No message ever holds a value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from topology.names import MADE_KEY, PROJECT, SALT_KEY, SETTINGS_KEY
from topology.secret_texts import SECRET_KEY, text_is_secret

MADE_NOTE = re.compile(r"\d{4}-\d{2}-\d{2} \S{1,8}")
"""When `basec init` made a secret, in clear: the day, and the start of the encrypted text that it is about."""
EXAMPLES = re.compile(
    r"change-?_?me|example|placeholder|your[-_]|^(password|secret|postgres|redis|admin|test|xxx+|1234\d*)$",
    re.IGNORECASE,
)
"""Example values that people copy from a README."""
PLAIN_KEYS = (SETTINGS_KEY, MADE_KEY)
"""The only keys of its own namespace that the program reads in clear."""
SHORTEST = 16
"""Characters of any secret; passwords of ours have 24 (`topology/secrets.py`)."""


def clear_secrets(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keys of a stack's file, or of the project's `Pulumi.yaml`, that hold a secret in clear."""
    for key, value in document.items():
        if key != SALT_KEY:
            yield from _clear(value, str(key))


def _clear(value: object, path: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        if set(value) == {"secure"}:
            return
        for key, item in value.items():
            if not (path.endswith(f".{MADE_KEY}") and MADE_NOTE.fullmatch(str(item))):
                yield from _clear(item, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _clear(item, f"{path}.{index}")
    elif value is not None and value != "":
        key = path.removeprefix("config.")
        unread = path != key and key.startswith(f"{PROJECT}:") and not key.startswith(PLAIN_KEYS)
        named = not isinstance(value, bool) and SECRET_KEY.search(path.rpartition(".")[2])
        if unread or named or text_is_secret(str(value)):
            yield path


def weak_secrets(secrets: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the key of each weak secret, and what is wrong with it."""
    for key, value in sorted(secrets.items()):
        if len(value) < SHORTEST:
            yield key, f"has {len(value)} characters"
        elif EXAMPLES.search(value):
            yield key, "is a value from an example"


def shared_secrets(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keys that two stacks' files share: the same salt or cipher text means that one was copied."""
    salt = one.get(SALT_KEY)
    if salt and salt == other.get(SALT_KEY):
        yield SALT_KEY
    mine, theirs = one.get("config") or {}, other.get("config") or {}
    for key, value in mine.items():
        if isinstance(value, Mapping) and value.get("secure") and value == theirs.get(key):
            yield f"config.{key}"
