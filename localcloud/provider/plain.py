"""Read plain property maps that `Check` has already checked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from localcloud.errors import CloudError
from localcloud.provider.values import Value


def text(values: Mapping[str, Value], key: str) -> str:
    """Read a string; a missing one is empty."""
    value = values.get(key)
    return value if isinstance(value, str) else ""


def texts(values: Mapping[str, Value], key: str) -> list[str]:
    """Read a list of strings; a missing one is empty."""
    value = values.get(key)
    return [str(item) for item in value] if isinstance(value, list) else []


def integer(values: Mapping[str, Value], key: str) -> int:
    """Read a whole number. Raises CloudError."""
    value = values.get(key)
    if not isinstance(value, int):
        raise CloudError(f"{key}: expected an integer, got {value!r}")
    return value


def now() -> str:
    """Return the current time as the APIs write it, e.g. 2026-11-22T22:00:00Z."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
