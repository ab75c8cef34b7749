"""Turn pydantic's errors into problems in plain words."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from topology.errors import Problem
from topology.rules import RULE


def problems_of(file: str, model: type[BaseModel], error: ValidationError, prefix: str = "") -> list[Problem]:
    """Give one problem for each error, in the order of the fields."""
    return [_problem(file, model, details, prefix) for details in error.errors(include_url=False)]


def _problem(file: str, model: type[BaseModel], details: Any, prefix: str) -> Problem:
    location = [part for part in details["loc"] if part != "[key]"]
    path = ".".join([prefix, *map(str, location)] if prefix else map(str, location))
    kind = details["type"]
    if kind == RULE:
        message, hint = details["ctx"]["message"], details["ctx"]["hint"]
    elif kind == "missing":
        message, hint = "is missing", f"add `{location[-1]}`; docs/topology.md lists every key"
    elif kind == "extra_forbidden":
        message, hint = "is not a known key" + _with_value(details["input"]), _nearest(model, location)
    elif kind == "invalid_key":
        message, hint = f"the key {details['input']!r} is not a text", "put the key in quotes"
    else:
        message, hint = (
            f"{details['msg'].lower()}: {details['input']!r}",
            "docs/topology.md lists every key and its form",
        )
    return Problem(file=file, path=path, message=message, hint=hint)


def _with_value(value: object) -> str:
    return f" (value {value!r})" if isinstance(value, str | int | float | bool) else ""


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
