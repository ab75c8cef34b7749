"""Compare old and new inputs of a resource: which paths changed, and does that replace it?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from localcloud.provider.schema import Property
from localcloud.provider.values import UNKNOWN, Value, has_unknown


class Change(StrEnum):
    """What happened to one path."""

    ADD = "ADD"
    DELETE = "DELETE"
    UPDATE = "UPDATE"


@dataclass(frozen=True, kw_only=True)
class PathChange:
    """One changed path, as `tags[1]` or `connection.host`, of the top-level property `property`."""

    path: str
    property: str
    change: Change
    replace: bool


def compare(
    properties: Mapping[str, Property],
    old: Mapping[str, Value],
    new: Mapping[str, Value],
    ignore: Sequence[str] = (),
) -> list[PathChange]:
    """List what differs between two plain input maps (no `Secret` in them), leaving out ignored paths.

    A missing property equals its default. An unknown differs from everything, so a replace-on-change property
    whose new value is unknown replaces, as the official providers' previews show too.
    """
    changes: list[PathChange] = []
    for name in sorted({*old, *new}):
        schema = properties.get(name)
        default = schema.default if schema else None
        before, after = old.get(name), new.get(name)
        before = default if before is None else before
        after = default if after is None else after
        if schema is not None and schema.unordered and _same_set(before, after):
            continue
        for path, change in _walk(name, before, after):
            if not any(_covers(pattern, path) for pattern in ignore):
                replace = schema is not None and schema.replace
                changes.append(PathChange(path=path, property=name, change=change, replace=replace))
    return changes


def _walk(path: str, old: Value, new: Value) -> Iterator[tuple[str, Change]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from _walk(f"{path}.{key}", old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            before = old[index] if index < len(old) else None
            after = new[index] if index < len(new) else None
            yield from _walk(f"{path}[{index}]", before, after)
    elif new is UNKNOWN:
        yield path, Change.ADD if old is None else Change.UPDATE
    elif old is None and new is not None:
        yield path, Change.ADD
    elif old is not None and new is None:
        yield path, Change.DELETE
    elif old != new or isinstance(old, bool) is not isinstance(new, bool):
        yield path, Change.UPDATE


def _same_set(old: Value, new: Value) -> bool:
    if not isinstance(old, list) or not isinstance(new, list) or len(old) != len(new) or has_unknown(new):
        return False
    return sorted(map(_canonical, old)) == sorted(map(_canonical, new))


def _canonical(value: Value) -> str:
    """Return an element for comparison; inner lists are sets too (a firewall rule's addresses)."""
    if isinstance(value, dict):
        return json.dumps({key: _canonical(item) for key, item in value.items() if item is not None}, sort_keys=True)
    if isinstance(value, list):
        return json.dumps(sorted(map(_canonical, value)))
    return json.dumps(value)


def _covers(pattern: str, path: str) -> bool:
    """Return whether an `ignoreChanges` entry covers a path: itself, what is below it, and `*` for any part."""
    wanted, have = _parts(pattern), _parts(path)
    return len(wanted) <= len(have) and all(w in ("*", h) for w, h in zip(wanted, have, strict=False))


def _parts(path: str) -> list[str]:
    text = path.replace('["', ".").replace('"]', "").replace("[", ".").replace("]", "")
    return [part for part in text.split(".") if part]
