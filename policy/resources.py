"""What the engine sends about a resource, as plain Python values.

On the wire, a value that is not known yet is a fixed string and a secret is a mapping with a fixed signature. Both are
recognised here, so that a rule goes on with what is known and can require that a value is secret.
Source: sdk/go/common/resource/plugin/rpc.go of Pulumi (MarshalProperties).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from topology.names import UNKNOWN_TEXT

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the signature that marks one
UNKNOWNS = frozenset(
    {
        UNKNOWN_TEXT,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
"""One for each kind of value."""


class Unknown:
    """A value that only `up` will know."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN = Unknown()


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource as declared: its inputs, at the end of an operation with its outputs."""

    urn: str
    type: str
    name: str
    properties: Mapping[str, Any] = field(default_factory=dict)
    secret: frozenset[str] = frozenset()
    """Properties that are secret or hold something that is."""
    parent: str = ""
    protect: bool = False
    ignore_changes: tuple[str, ...] = ()
    secret_outputs: tuple[str, ...] = ()
    delete_before_replace: bool = False
    dependencies: frozenset[str] = frozenset()
    """URNs; known only for a whole stack, like the next field."""
    property_dependencies: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Leave the properties out: secrets are in them in clear."""
        return f"Resource({self.urn})"

    @property
    def label(self) -> str:
        """Return its name as basec prints it, e.g. `edge-droplet (Droplet)`."""
        return f"{self.name} ({self.type.rsplit(':', 1)[-1]})"

    def get(self, key: str) -> Any:
        """Return a property; None when it is not set, UNKNOWN when only `up` will know it."""
        return self.properties.get(key)

    def texts(self, key: str) -> tuple[str, ...]:
        """Return the known strings of a list."""
        value = self.get(key)
        return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()

    def tables(self, key: str) -> Iterator[Mapping[str, Any]]:
        """Yield the known mappings of a list."""
        value = self.get(key)
        yield from (item for item in value if isinstance(item, dict)) if isinstance(value, list) else ()


def plain(value: Any) -> Any:
    """Return a value without marks: secrets in clear, UNKNOWN for what is not known."""
    if isinstance(value, str):
        return UNKNOWN if value in UNKNOWNS else value
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET:
            return plain(value.get("value"))
        return {key: plain(item) for key, item in value.items()}
    return value


def has_secret(value: Any) -> bool:
    """Return whether a value as sent is secret or holds something that is."""
    if isinstance(value, list):
        return any(map(has_secret, value))
    if isinstance(value, dict):
        return value.get(SIGNATURE) == SECRET or any(map(has_secret, value.values()))
    return False
