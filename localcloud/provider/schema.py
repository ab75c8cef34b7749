"""The schema of a resource type: its properties, which of them replace, and the checks of their values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from localcloud.provider.values import UNKNOWN, Value


class Kind(StrEnum):
    """Type of a property on the wire."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    LIST = "list"
    MAP = "map"
    ANY = "any"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One refused value; the engine shows it with the resource."""

    property: str
    reason: str


Check = Callable[[Value], str | None]
"""Check one known value: None, or the reason why it is refused."""


@dataclass(frozen=True, kw_only=True)
class Property:
    """One input property. `replace` copies the official provider's ForceNew; `unordered` its sets."""

    kind: Kind
    required: bool = False
    replace: bool = False
    unordered: bool = False
    default: Value = None
    check: Check | None = None
    items: Mapping[str, Property] | None = None
    """Properties of a map, or of each map in a list."""


def only(*allowed: Value) -> Check:
    """Accept only some values: the rest is not implemented here, and must not be silently ignored."""

    def check(value: Value) -> str | None:
        if value in allowed:
            return None
        return f"the local cloud does not implement {value!r} (only {' or '.join(repr(item) for item in allowed)})"

    return check


def each(check: Check) -> Check:
    """Check each known element of a list."""

    def check_all(value: Value) -> str | None:
        elements = value if isinstance(value, list) else []
        return next((reason for item in elements if item is not UNKNOWN and (reason := check(item))), None)

    return check_all


_PYTHON_TYPES: Mapping[Kind, tuple[type, ...]] = {
    Kind.STRING: (str,),
    Kind.INTEGER: (int,),
    Kind.NUMBER: (int, float),
    Kind.BOOLEAN: (bool,),
    Kind.LIST: (list,),
    Kind.MAP: (dict,),
    Kind.ANY: (object,),
}


def check_properties(
    properties: Mapping[str, Property], inputs: Mapping[str, Value], path: str = ""
) -> Iterator[Failure]:
    """Check names, required ones, types and values. Unknown values are skipped."""
    for name in inputs:
        if name not in properties:
            yield Failure(property=path + name, reason=f"the local cloud does not implement the property {name!r}")
    for name, schema in properties.items():
        value = inputs.get(name)
        if value is None:
            if schema.required:
                yield Failure(property=path + name, reason="missing required property")
        elif value is not UNKNOWN:
            yield from _check_value(schema, value, path + name)


def _check_value(schema: Property, value: Value, path: str) -> Iterator[Failure]:
    is_misplaced_bool = isinstance(value, bool) and schema.kind in (Kind.INTEGER, Kind.NUMBER)
    if not isinstance(value, _PYTHON_TYPES[schema.kind]) or is_misplaced_bool:
        yield Failure(property=path, reason=f"expected type {schema.kind.value}, got {_describe(value)}")
        return
    if schema.check is not None and (reason := schema.check(value)):
        yield Failure(property=path, reason=reason)
    if schema.items is None:
        return
    if isinstance(value, dict):
        yield from check_properties(schema.items, value, f"{path}.")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, dict):
                yield from check_properties(schema.items, item, f"{path}[{index}].")
            elif item is not UNKNOWN:
                yield Failure(property=f"{path}[{index}]", reason=f"expected a map, got {_describe(item)}")


def _describe(value: Value) -> str:
    if isinstance(value, bool):
        return f"the boolean {value!r}"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, int | float):
        return f"the number {value!r}"
    return "a list" if isinstance(value, list) else "a map"
