"""The mounts of a service of a compose file, in either form."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Mount:
    """One entry of `volumes`, in either form."""

    source: str
    target: str
    writable: bool
    text: str
    creates: bool
    """Whether Docker would make a missing source, as an empty directory owned by root."""


def mounts(service: Mapping[str, Any]) -> Iterator[Mount]:
    """Yield the mounts of a service."""
    for entry in listed(service.get("volumes")):
        if isinstance(entry, Mapping):
            bind = table(entry.get("bind"))
            known = entry.get("type") == "bind" and not set(bind) - {"create_host_path"}
            yield Mount(
                source=str(entry.get("source", "")) if known else "",
                target=str(entry.get("target", "")),
                writable=entry.get("read_only") is not True,
                text=f"{entry.get('source')}:{entry.get('target')}" if known else str(dict(entry)),
                creates=bind.get("create_host_path") is not False,
            )
        else:
            # A colon in ${NAME:-default} separates nothing.
            parts = re.findall(r"(?:\$\{[^}]*\}|[^:])+", str(entry))
            options = parts[2].split(",") if len(parts) > 2 else []
            yield Mount(
                source=parts[0] if len(parts) > 1 else "",
                target=parts[1] if len(parts) > 1 else "",
                writable="ro" not in options or "rw" in options,
                text=str(entry),
                creates=True,
            )


def table(value: object) -> Mapping[str, Any]:
    """Return a mapping, or an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def listed(value: object) -> Sequence[Any]:
    """Return a list; a single value becomes a list of one."""
    if value is None:
        return ()
    return value if isinstance(value, list | tuple) else (value,)
