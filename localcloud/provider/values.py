"""Pulumi's wire values as plain Python values, with explicit markers for what is unknown and what is secret.

On the wire (a protobuf Struct) an unknown is a magic STRING and a secret is a map with a magic key. All code after
this module sees `UNKNOWN` and `Secret(...)` instead, so nothing can format, hash or validate a magic string by mistake.
Whole numbers become `int`; the wire has only doubles.

Source: https://www.pulumi.com/docs/iac/extending-pulumi/ and `sdk/python/lib/pulumi/runtime/rpc.py` of SDK 3.259.0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from google.protobuf import struct_pb2

UNKNOWN_SENTINEL: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SIGNATURE_KEY: Final = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a marker of the wire format, no secret
OUTPUT_SIGNATURE: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"

Value: TypeAlias = object
"""None, bool, int, float, str, list, dict, `UNKNOWN` or `Secret`, nested in any way."""


class _Unknown:
    """A value the engine does not know yet: it only exists during preview."""

    _only: _Unknown | None = None

    def __new__(cls) -> _Unknown:
        """Return the only unknown, so that `is UNKNOWN` works."""
        if cls._only is None:
            cls._only = super().__new__(cls)
        return cls._only

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __str__(self) -> str:
        """Refuse to become text: a formatted unknown is a bug that would reach a machine."""
        raise UnknownValueError("an unknown value was formatted")


UNKNOWN: Final = _Unknown()


@dataclass(frozen=True)
class Secret:
    """A value that the engine encrypts in its state. Its text form shows nothing."""

    value: Value

    def __repr__(self) -> str:
        return "Secret([secret])"

    __str__ = __repr__


class UnknownValueError(Exception):
    """An unknown value reached a place that makes real things."""


def decode(value: struct_pb2.Value) -> Value:
    """Read one wire value."""
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return UNKNOWN if value.string_value == UNKNOWN_SENTINEL else value.string_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "bool_value":
        return value.bool_value
    if kind == "list_value":
        return [decode(item) for item in value.list_value.values]
    if kind == "struct_value":
        return _decode_map(value.struct_value)
    return None


def _decode_map(struct: struct_pb2.Struct) -> Value:
    fields = struct.fields
    signature = fields[SIGNATURE_KEY].string_value if SIGNATURE_KEY in fields else ""
    if signature == SECRET_SIGNATURE:
        inner = decode(fields["value"])
        return inner if isinstance(inner, Secret) else Secret(inner)
    if signature == OUTPUT_SIGNATURE:  # not requested in Configure, but cheap to read
        inner = decode(fields["value"]) if "value" in fields else UNKNOWN
        return Secret(inner) if "secret" in fields and fields["secret"].bool_value else inner
    if signature:
        raise ValueError(
            f"the local cloud does not read values with signature {signature!r} (asset, archive, resource)"
        )
    return {key: decode(item) for key, item in fields.items()}


def decode_struct(struct: struct_pb2.Struct) -> dict[str, Value]:
    """Read a property map."""
    return {key: decode(item) for key, item in struct.fields.items()}


def encode(value: Value) -> struct_pb2.Value:  # noqa: PLR0911 - one return a wire kind
    """Write one value. Raises TypeError for a type that the wire does not have."""
    if value is None:
        return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
    if value is UNKNOWN:
        return struct_pb2.Value(string_value=UNKNOWN_SENTINEL)
    if isinstance(value, Secret):
        fields = {SIGNATURE_KEY: struct_pb2.Value(string_value=SECRET_SIGNATURE), "value": encode(value.value)}
        return struct_pb2.Value(struct_value=struct_pb2.Struct(fields=fields))
    if isinstance(value, bool):
        return struct_pb2.Value(bool_value=value)
    if isinstance(value, int | float):
        return struct_pb2.Value(number_value=float(value))
    if isinstance(value, str):
        return struct_pb2.Value(string_value=value)
    if isinstance(value, Mapping):
        return struct_pb2.Value(struct_value=encode_struct(value))
    if isinstance(value, Sequence):
        return struct_pb2.Value(list_value=struct_pb2.ListValue(values=[encode(item) for item in value]))
    raise TypeError(f"cannot send a {type(value).__name__} to the engine")


def encode_struct(values: Mapping[str, Value]) -> struct_pb2.Struct:
    """Write a property map."""
    return struct_pb2.Struct(fields={key: encode(item) for key, item in values.items()})


def reveal(value: Value) -> Value:
    """Drop the secret markers, at every depth; unknowns stay."""
    if isinstance(value, Secret):
        return reveal(value.value)
    if isinstance(value, Mapping):
        return {key: reveal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [reveal(item) for item in value]
    return value


def reveal_map(values: Mapping[str, Value]) -> dict[str, Value]:
    """Drop the secret markers of a property map."""
    return {key: reveal(item) for key, item in values.items()}


def has_unknown(value: Value) -> bool:
    """Return whether anything in the value is unknown, also inside lists, maps and secrets."""
    if isinstance(value, Secret):
        return has_unknown(value.value)
    if isinstance(value, Mapping):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return value is UNKNOWN or (isinstance(value, str) and value == UNKNOWN_SENTINEL)


def has_secret(value: Value) -> bool:
    """Return whether anything in the value is secret."""
    if isinstance(value, Secret):
        return True
    if isinstance(value, Mapping):
        return any(has_secret(item) for item in value.values())
    return isinstance(value, list) and any(has_secret(item) for item in value)


def flag_like(values: Mapping[str, Value], *originals: Mapping[str, Value]) -> dict[str, Value]:
    """Return plain `values` with the secret flags of the first original that has one under the same key.

    An unchanged value keeps the original's exact shape; a changed one becomes secret as a whole.
    """
    flagged: dict[str, Value] = {}
    for key, value in values.items():
        original = next((o[key] for o in originals if key in o and has_secret(o[key])), None)
        if original is None or has_secret(value):
            flagged[key] = value
        else:
            flagged[key] = original if reveal(original) == value else Secret(value)
    return flagged


def assert_known(values: Mapping[str, Value], what: str) -> None:
    """Check that nothing is unknown. Raises UnknownValueError with the properties."""
    unknown = sorted(key for key, value in values.items() if has_unknown(value))
    if unknown:
        raise UnknownValueError(f"{what}: unknown values outside of a preview: {', '.join(unknown)}")


PUBLIC_FIELDS = frozenset({"host", "hostKey", "user"})
"""The SDK flags a Command's `connection` as a whole; without these parts no message could name the host."""


def secret_texts(value: Value, *, inside: bool = False) -> Iterator[str]:
    """Yield every text that is secret, for redaction; short ones would hide harmless words and are skipped."""
    if isinstance(value, Secret):
        yield from secret_texts(value.value, inside=True)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if not (inside and key in PUBLIC_FIELDS):
                yield from secret_texts(item, inside=inside)
    elif isinstance(value, list):
        for item in value:
            yield from secret_texts(item, inside=inside)
    elif inside and isinstance(value, str) and len(value) >= 6:
        yield value
