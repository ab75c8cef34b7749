"""Field types of settings, inventory and versions: pydantic's own rules, and the few that it does not have."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from types import MappingProxyType
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError, core_schema

from topology.image_names import REFERENCE, moves

K = TypeVar("K")
T = TypeVar("T")

EXPECTED, RULE = "expected", "rule"
"""Types of our own errors inside pydantic; `topology.problems` turns them and pydantic's own into `Problem`s."""


class Section(BaseModel):
    """Base of every part of the tree: frozen, and an unknown key is an error. The texts below fields are their docs."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


@dataclass(frozen=True)
class Expected:
    """What a field holds, and the hint for any other value; comes after the rules whose errors it replaces."""

    what: str
    """With its article, such as `a domain name`."""
    hint: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        words = {"what": self.what, "hint": self.hint}
        return core_schema.custom_error_schema(
            handler(source), custom_error_type=EXPECTED, custom_error_message="{what}", custom_error_context=words
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(schema) | {"patternErrorMessage": self.hint}  # a keyword that editors show


def refuse(message: str, hint: str) -> NoReturn:
    """Refuse the value being validated; braces in the texts stay as they are."""
    raise PydanticCustomError(RULE, "{message}", {"message": message, "hint": hint})


def _no_repeats(values: tuple[T, ...]) -> tuple[T, ...]:
    for index, value in enumerate(values):
        if value in values[:index]:
            refuse(f"{str(value)!r} is in the list twice", "remove one of the two")
    return values


def _some(values: tuple[T, ...]) -> tuple[T, ...]:
    # Not `min_length`: pydantic counts fit entries only, and would call a list of one refused entry empty as well.
    if not values:
        refuse("is an empty list", "write at least one entry")
    return _no_repeats(values)


Unique = Annotated[tuple[T, ...], AfterValidator(_no_repeats), Field(json_schema_extra={"uniqueItems": True})]
"""A list with no entry twice."""
Some = Annotated[tuple[T, ...], AfterValidator(_some), Field(json_schema_extra={"minItems": 1, "uniqueItems": True})]
"""A list with at least one entry, and none twice."""
Table = Annotated[
    Mapping[K, T], AfterValidator(MappingProxyType), Field(json_schema_extra={"additionalProperties": False})
]
"""A read-only mapping."""

CIDR_HINT = "write an IPv4 range such as 203.0.113.0/24 or 203.0.113.7/32"


def _whole_range(value: object) -> IPv4Network:
    """Refuse an address without prefix length, and one with host bits: both are typing errors."""
    if not isinstance(value, str):
        raise PydanticCustomError(EXPECTED, "{what}", {"what": "an IPv4 range", "hint": CIDR_HINT})
    try:
        network = IPv4Network(value, strict=False)
    except ValueError:
        refuse(f"{value!r} is not an IPv4 range", CIDR_HINT)
    if "/" not in value:
        refuse(f"{value!r} has no prefix length", f"for one address write {network}")
    if value.partition("/")[0] != str(network.network_address):
        refuse(f"{value!r} has host bits set", f"write {network}")
    return network


def _in_quotes(value: object) -> object:
    """Refuse what pydantic also takes for a day: seconds since 1970, and times."""
    if not isinstance(value, str) or not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise ValueError(value)
    return value


Cidr = Annotated[
    IPv4Network,
    BeforeValidator(_whole_range),
    Field(json_schema_extra={"pattern": "^[0-9.]+/[0-9]+$", "patternErrorMessage": CIDR_HINT}),
]
Day = Annotated[
    datetime.date, BeforeValidator(_in_quotes), Expected("a date", 'write the day as "2026-11-01", in quotes')
]
Name = Annotated[
    str,
    Field(pattern="^[a-z][a-z0-9-]{0,30}$"),
    Expected("a name", "use a lower-case letter, then letters, digits and '-' (31 at most)"),
]
"""Droplets, services, verticals, rules: part of resource names, tags and host names."""

_REST = "[a-z0-9-]{0,61}[a-z0-9]"
Fqdn = Annotated[
    str,
    # Source: RFC 1123 section 2.1.
    Field(pattern=rf"^(localhost|([a-z0-9]({_REST})?\.)+[a-z]({_REST})?)$", max_length=253),
    Expected("a domain name", "write the full name in lower case, such as basecommerce.com.br"),
]
"""A domain name with two labels at least, or `localhost`."""

IMAGE_HINT = (
    "write <registry>/<name>:<tag> with a pinned tag, such as docker.io/library/redis:8.0.2, or @sha256:<digest>"
)
TAG_HINT = "pin a tag such as sha-1234567"


def _pinned_image(text: str) -> str:
    match = REFERENCE.fullmatch(text)
    if not match or not (match["tag"] or match["digest"]):
        refuse(f"{text!r} is not an image with registry and tag or digest", IMAGE_HINT)
    if not match["digest"] and moves(match["tag"], match["name"]):
        refuse(f"{match['tag']!r} is a tag that moves", "pin the whole version, as versions.yaml does, or a digest")
    return text


def _pinned_tag(text: str) -> str:
    if moves(text):
        refuse(f"{text!r} is a tag that moves", TAG_HINT)
    return text


Image = Annotated[str, Expected("an image", IMAGE_HINT), AfterValidator(_pinned_image)]
"""An image with a tag that does not move, or with a digest."""
ImageTag = Annotated[
    str,
    Field(pattern="^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$"),
    Expected("an image tag", TAG_HINT),
    AfterValidator(_pinned_tag),
]
"""A tag of one build; `latest`, `main` and `1.2` move, so a release could not be repeated."""
