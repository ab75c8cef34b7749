"""What a remote command refuses: values that the official provider would not have, or that have no effect here."""

from __future__ import annotations

from localcloud.provider.schema import Check
from localcloud.provider.values import Value

PORT_MAX = 65535


def refuse(reason: str) -> Check:
    """Refuse a property, whatever its value."""

    def check(value: Value) -> str | None:
        del value
        return reason

    return check


def check_port(value: Value) -> str | None:
    """Check a TCP port."""
    if isinstance(value, int) and 1 <= value <= PORT_MAX:
        return None
    return f"expected a port between 1 and {PORT_MAX}, got {value!r}"


def check_limit(value: Value) -> str | None:
    """Check how many dial errors are allowed."""
    return None if isinstance(value, int) and value >= -1 else f"expected -1 (no limit) or more, got {value!r}"


def check_seconds(value: Value) -> str | None:
    """Check a time-out in seconds."""
    return None if isinstance(value, int) and value >= 0 else f"expected seconds, 0 (no limit) or more, got {value!r}"
