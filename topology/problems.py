"""Turn pydantic's errors into problems in plain words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from topology.errors import Problem
from topology.fields import EXPECTED, RULE

REFERENCE = "docs/settings.md lists every key"
MAPPING = ("expected a mapping, got {got}", "write one `key: value` a line below it")
WORDS: Mapping[str, tuple[str, str]] = {
    RULE: ("{message}", "{hint}"),
    EXPECTED: ("expected {what}, got {got}", "{hint}"),
    "missing": ("is missing", "add `{key}`; " + REFERENCE),
    "extra_forbidden": ("is not a known key{value}", "{nearest}"),
    "invalid_key": ("expected a string as key, got {got}", "put the key in quotes"),
    "model_type": MAPPING,
    "dict_type": MAPPING,
    "tuple_type": ("expected a list, got {got}", "write [{input}]"),
    "bool_type": ("expected true or false, got {got}", "write true or false, without quotes"),
    "int_type": ("expected a whole number, got {got}", "write digits, without quotes"),
    "greater_than_equal": ("{input} is too small", "write {ge} or more"),
    "less_than_equal": ("{input} is too large", "write {le} or less"),
    "literal_error": ("{input!r} is not allowed", "use one of: {choices}"),
}
"""What is wrong and the hint, by pydantic's type of error."""
UNKNOWN = ("{msg}: {input!r}", REFERENCE)
KINDS: Mapping[type, str] = {str: "the string {!r}", int: "the number {}", float: "the number {}", list: "the list {}"}


def problems_of(file: str, model: type[BaseModel], error: ValidationError, prefix: str = "") -> list[Problem]:
    """Return one problem for each error, in the order of the fields."""
    return [_problem(file, model, details, prefix) for details in error.errors(include_url=False)]


def _problem(file: str, model: type[BaseModel], details: Any, prefix: str) -> Problem:
    location = [part for part in details["loc"] if part != "[key]"]
    path = ".".join([prefix, *map(str, location)] if prefix else map(str, location))
    context, value = details.get("ctx", {}), details["input"]
    words = {
        **context,
        "msg": details["msg"].lower(),
        "input": value,
        "got": got(value),
        "key": location[-1] if location else "",
        "value": f" (value {value!r})" if isinstance(value, str | int | float | bool) else "",
        "choices": ", ".join(re.findall("'([^']*)'", context.get("expected", ""))),
        "nearest": _nearest(model, location) if details["type"] == "extra_forbidden" else "",
    }
    message, hint = WORDS.get(details["type"], UNKNOWN)
    if details["type"] == "tuple_type" and not isinstance(value, str | int | float):
        hint = "write a list, such as [a, b]"
    if details["type"] == EXPECTED and isinstance(value, str):
        message = "{input!r} is not {what}"
    return Problem(file=file, path=path, message=message.format_map(words), hint=hint.format_map(words))


def got(value: object) -> str:
    """Return what a value is, in words, and the value."""
    if value is None:
        return "nothing"
    return str(value).lower() if isinstance(value, bool) else KINDS.get(type(value), "{!r}").format(value)


def _nearest(model: type[BaseModel], location: list[str | int]) -> str:
    section = _section_at(model, location[:-1])
    known = [field.alias or name for name, field in section.model_fields.items()]
    close = difflib.get_close_matches(str(location[-1]), known, n=1)
    return f"did you mean `{close[0]}`?" if close else "remove it; known keys: " + ", ".join(known)


def _section_at(model: type[BaseModel], location: list[str | int]) -> type[BaseModel]:
    """Find the model that the keys of `location` lead to; names of table entries and list positions lead nowhere."""
    section = model
    for part in location:
        for name, field in section.model_fields.items():
            if part == (field.alias or name):
                section = next(_models_in(field.annotation), section)
    return section


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
