"""Compare the inputs of a resource, as the engine reports them: which property changes, with old and new value."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeGuard

from topology.names import UNKNOWN_TEXT

SECRET = "[secret]"  # noqa: S105 - the engine's word for one
"""What the engine reports instead of a secret."""
LATER = "[known after up]"

Kind = Literal["added", "removed", "changed"]


@dataclass(frozen=True, kw_only=True)
class PropertyChange:
    """One property, or one element of a list, that differs."""

    path: str
    """Such as `size` or `connection.host`."""
    kind: Kind
    old: object = None
    new: object = None
    diff: tuple[str, ...] = ()
    """For strings of several lines: the removed (`-`) and added (`+`) ones, with two lines around them."""

    @property
    def secret(self) -> bool:
        return SECRET in (self.old, self.new)


def compare(old: Mapping[str, object], new: Mapping[str, object], also: Sequence[str] = ()) -> list[PropertyChange]:
    """Return what differs. `also` are properties that the engine reports as different without their secret values."""
    found = list(_compare("", old, new))
    seen = {change.path.split(".")[0].split("[")[0] for change in found}
    for path in also:
        if path.split(".")[0].split("[")[0] not in seen:
            found.append(PropertyChange(path=path, kind="changed", old=SECRET, new=SECRET))
    return found


def line_diff(old: str, new: str) -> tuple[str, ...]:
    """Return the removed and added lines, with two unchanged ones around them and `...` between distant places."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), n=2, lineterm="")
    shown = ["..." if line.startswith("@@") else line for line in list(lines)[2:]]
    return tuple(shown[1:])


def _compare(path: str, old: object, new: object) -> Iterator[PropertyChange]:
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*old, *(key for key in new if key not in old)]:
            if not str(key).startswith("__"):  # added by the SDK for itself
                yield from _member(f"{path}.{key}" if path else str(key), key, old, new)
    elif _is_list(old) and _is_list(new):
        yield from (PropertyChange(path=path, kind="removed", old=_told(one)) for one in old if one not in new)
        yield from (PropertyChange(path=path, kind="added", new=_told(one)) for one in new if one not in old)
        if not any(one not in new for one in old) and not any(one not in old for one in new):
            yield PropertyChange(
                path=path, kind="changed", old=_told(old), new=_told(new)
            )  # a different order or number
    elif isinstance(old, str) and isinstance(new, str) and "\n" in old + new and new != UNKNOWN_TEXT:
        yield PropertyChange(path=path, kind="changed", diff=line_diff(old, new))
    else:
        yield PropertyChange(path=path, kind="changed", old=_told(old), new=_told(new))


def _member(path: str, key: str, old: Mapping[str, object], new: Mapping[str, object]) -> Iterator[PropertyChange]:
    if key not in old:
        yield PropertyChange(path=path, kind="added", new=_told(new[key]))
    elif key not in new:
        yield PropertyChange(path=path, kind="removed", old=_told(old[key]))
    else:
        yield from _compare(path, old[key], new[key])


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _told(value: object) -> object:
    """Replace values that are not known yet by words, at any depth."""
    if isinstance(value, Mapping):
        return {key: _told(one) for key, one in value.items() if not str(key).startswith("__")}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_told(one) for one in value]
    return LATER if value == UNKNOWN_TEXT else value
