"""Field types of settings, inventory and versions: each is one rule, refused with the value and a hint."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Network
from types import MappingProxyType
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StrictBool, StrictInt
from pydantic_core import PydanticCustomError

from topology.image_names import REFERENCE, moves

T = TypeVar("T")

RULE = "rule"
"""Type of our own errors inside pydantic; `topology.problems` turns them into `Problem`s."""


class Section(BaseModel):
    """Base of every part of the tree: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=False)


def refuse(message: str, hint: str) -> NoReturn:
    """Refuse the value being validated; braces in the texts stay as they are."""
    raise PydanticCustomError(RULE, "{message}", {"message": message, "hint": hint})


C = TypeVar("C", bound=Callable[..., Any])


def _told(check: C, what: str, rule: str) -> C:
    """Give a validator its own words, which `docs/settings.md` shows: what it wants, and by which rule."""
    check.__doc__ = f"{what}: {rule}"
    return check


def _text(value: object, what: str, hint: str) -> str:
    if not isinstance(value, str):
        refuse(f"{value!r} is not a text, {what} is wanted", hint)
    return value


def pattern(what: str, regex: str, hint: str) -> Callable[[object], str]:
    """Make a validator for a text that must match `regex` as a whole."""
    compiled = re.compile(regex)

    def check(value: object) -> str:
        text = _text(value, what, hint)
        if not compiled.fullmatch(text):
            refuse(f"{text!r} is not {what}", hint)
        return text

    return _told(check, what, hint)


def choice(what: str, *allowed: str) -> Callable[[object], str]:
    """Make a validator for one of a few words."""

    def check(value: object) -> str:
        if value not in allowed:
            refuse(f"{value!r} is not {what}", "use one of: " + ", ".join(allowed))
        return str(value)

    return _told(check, what, "one of: " + ", ".join(f"`{word}`" for word in allowed))


def whole_number(what: str, low: int, high: int) -> Callable[[int], int]:
    """Make a validator for a number in `low..high`."""

    def check(value: int) -> int:
        if not low <= value <= high:
            refuse(f"{value} is not {what}", f"use a number from {low} to {high}")
        return value

    return _told(check, what, f"{low} to {high}")


CIDR_HINT = "write an IPv4 range such as 203.0.113.0/24 or 203.0.113.7/32"


def cidr(value: object) -> IPv4Network:
    """An IPv4 range: no bits set behind its length, as that is a typing error."""
    if isinstance(value, IPv4Network):
        return value
    text = _text(value, "an IPv4 range", CIDR_HINT)
    try:
        network = IPv4Network(text, strict=False)
    except ValueError:
        refuse(f"{text!r} is not an IPv4 range", CIDR_HINT)
    if "/" not in text:
        refuse(f"{text!r} is an address without a length", f"add the length: {text}/32 is the one address")
    if text.partition("/")[0] != str(network.network_address):
        refuse(f"{text!r} has bits set behind its length", f"write {network}")
    return network


def iso_date(value: object) -> datetime.date:
    """A day: as "2026-11-01", in quotes."""
    hint = 'write the day as "2026-11-01", in quotes'
    text = _text(value, "a date", hint)
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        refuse(f"{text!r} is not a date", hint)


def not_empty(what: str) -> Callable[[tuple[T, ...]], tuple[T, ...]]:
    """Make a validator for a list with at least one entry and none twice."""

    def check(values: tuple[T, ...]) -> tuple[T, ...]:
        if not values:
            refuse(f"is an empty list of {what}", f"name at least one of the {what}")
        return no_repeats(what)(values)

    return _told(check, f"a list of {what}", "at least one, none twice")


def no_repeats(what: str) -> Callable[[tuple[T, ...]], tuple[T, ...]]:
    """Make a validator for a list with no entry twice."""

    def check(values: tuple[T, ...]) -> tuple[T, ...]:
        for index, value in enumerate(values):
            if value in values[:index]:
                refuse(f"{str(value)!r} is twice in the list of {what}", "remove one of the two")
        return values

    return _told(check, f"a list of {what}", "none twice")


def _listed(value: object) -> object:
    """Refuse a single text where a list is wanted; pydantic would say only that the type is wrong."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        refuse(f"{value!r} is not a list", f"write [{value}]")
    return tuple(value)


def _frozen(value: Mapping[str, T]) -> Mapping[str, T]:
    return MappingProxyType(dict(value))


def _flag(value: object) -> object:
    if not isinstance(value, bool):
        refuse(f"{value!r} is neither true nor false", "write true or false, without quotes")
    return value


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int):
        refuse(f"{value!r} is not a whole number", "write digits, without quotes")
    return value


Listed = BeforeValidator(_listed)
Frozen = AfterValidator(_frozen)
Flag = Annotated[StrictBool, BeforeValidator(_flag)]
Number = Annotated[StrictInt, BeforeValidator(_number)]
Cidr = Annotated[IPv4Network, BeforeValidator(cidr)]
Day = Annotated[datetime.date, BeforeValidator(iso_date)]

Name = Annotated[
    str,
    BeforeValidator(
        pattern("a name", r"[a-z][a-z0-9-]{0,30}", "use a lower-case letter, then letters, digits and '-' (31 at most)")
    ),
]
"""Droplets, services, verticals, rules: part of resource names, tags and host names."""

MAX_FQDN_LENGTH = 253
FQDN_HINT = "write the full name in lower case, such as basecommerce.com.br"


def fqdn(value: object) -> str:
    """A domain name: lower case, two labels at least, or `localhost`."""
    # Source: RFC 1123 section 2.1.
    text = _text(value, "a domain name", FQDN_HINT)
    label = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
    if text == "localhost":
        return text
    if len(text) > MAX_FQDN_LENGTH or not re.fullmatch(rf"(?:{label}\.)+(?=[a-z]){label}", text):
        refuse(f"{text!r} is not a domain name", FQDN_HINT)
    return text


IMAGE_HINT = (
    "write <registry>/<name>:<tag> with a pinned tag, such as docker.io/library/redis:8.0.2, or @sha256:<digest>"
)
TAG_HINT = "pin a tag such as sha-1234567"


def image_reference(value: object) -> str:
    """An image: `<registry>/<name>:<tag>` with a tag that does not move, or with `@sha256:<digest>`."""
    text = _text(value, "an image", IMAGE_HINT)
    match = REFERENCE.fullmatch(text)
    if not match or not (match["tag"] or match["digest"]):
        refuse(f"{text!r} is not an image with registry and tag or digest", IMAGE_HINT)
    if not match["digest"] and moves(match["tag"], match["name"]):
        refuse(f"{match['tag']!r} is a tag that moves", "pin the whole version, as versions.yaml does, or a digest")
    return text


def image_tag(value: object) -> str:
    """An image tag: pinned to one build; `latest`, `main` or `1.2` move, so a release could not be repeated."""
    text = pattern("an image tag", r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", TAG_HINT)(value)
    if moves(text):
        refuse(f"{text!r} is a tag that moves", TAG_HINT)
    return text


def table(value: Any) -> Any:
    """Refuse anything but a table of keys and values, before its fields are looked at."""
    hint = "write one `key: value` a line below it"
    if value is None:
        refuse("is empty, a table of keys and values is wanted", hint)
    if not isinstance(value, Mapping):
        refuse(f"{value!r} is not a table of keys and values", hint)
    return value


Table = BeforeValidator(table)
