"""Which record serves a name: the zone's rules, as nginx servers. Pure, except for reading the records' files.

The rules are DNS's (RFC 4592, https://www.rfc-editor.org/rfc/rfc4592): the exact name first; a wildcard covers any
depth below it (`*.example.com` answers a.b.example.com too) unless a nearer name exists, which hides the wildcard from
itself and from all below it. A certificate's wildcard covers ONE label only, and that is TLS's limit: a client that
comes by https refuses a deeper name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import pydantic

from localcloud.cloudflare.backend import RecordSpec
from localcloud.errors import CloudError

_NAME = re.compile(r"(\*\.)?(?!-)[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_RECORD = pydantic.TypeAdapter(RecordSpec)


@dataclass(frozen=True)
class Server:
    """One name of nginx's table."""

    name: str
    """Exact, or `*.` and a suffix, which nginx matches at any depth, the longest first."""
    origins: tuple[str, ...]
    """Addresses; empty if the name exists but is not proxied, or is hidden from a wildcard: error 530."""
    zone_id: str = ""

    @property
    def verify_name(self) -> str:
        """Return the name that the origin's certificate must cover; `$host` is the name that the visitor requested.

        OpenSSL accepts no wildcard of one label: below `*.localhost` the origin must be `localhost`.
        """
        suffix = self.name.removeprefix("*.")
        return suffix if "." not in suffix else "$host"


def read_records(folder: Path) -> tuple[RecordSpec, ...]:
    """Read every record's file. Raises CloudError naming the file and the value that cannot be served."""
    records = []
    for path in sorted(folder.glob("*.json")):
        try:
            record = _RECORD.validate_json(path.read_bytes())
        except pydantic.ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(str(part) for part in problem["loc"])
            raise CloudError(f"{path}: {where}: {problem['msg']}, got {problem['input']!r}") from error
        if not _NAME.fullmatch(record.name):
            raise CloudError(f"{path}: name: not a lower-case host name: {record.name!r}")
        if record.proxied:
            _check_origin(path, record)
        records.append(record)
    return tuple(records)


def zone_servers(records: Iterable[RecordSpec]) -> tuple[Server, ...]:
    """Build nginx servers from records, sorted by name. Records of one name are one server with several origins."""
    origins: dict[str, set[str]] = {}
    zones: dict[str, str] = {}
    for record in records:
        addresses = origins.setdefault(record.name, set())
        zones.setdefault(record.name, record.zone_id)
        if record.proxied:
            addresses.add(record.content)
    for name in _existing(origins):
        # A name without a record of its own (a.b exists, so b does) exists too: the wildcard above does not cover it.
        if _wildcard_above(name, origins):
            origins.setdefault(name, set())
            origins.setdefault(f"*.{name}", set())
    return tuple(
        Server(name, tuple(sorted(addresses)), zones.get(name, "")) for name, addresses in sorted(origins.items())
    )


def visitor_names(servers: Iterable[Server], labels: Sequence[str]) -> tuple[str, ...]:
    """List the names that visitors' TLS covers: each served name, and labelled ones where clients accept no wildcard.

    OpenSSL, and so curl and Python, accepts no wildcard of one label; nor do browsers.
    """
    names: set[str] = set()
    for server in servers:
        suffix = server.name.removeprefix("*.")
        if server.origins:
            names.add(server.name)
            if suffix != server.name and "." not in suffix:
                names.update(f"{label}.{suffix}" for label in labels)
    return tuple(sorted(names))


def _check_origin(path: Path, record: RecordSpec) -> None:
    if record.type != "A":
        raise CloudError(f"{path}: type: the stand-in proxies A records only, got {record.type!r}")
    try:
        IPv4Address(record.content)
    except ValueError as error:
        raise CloudError(f"{path}: content: not an IPv4 address: {record.content!r}") from error


def _existing(names: Iterable[str]) -> set[str]:
    """List the names that exist: each name, and all between it and the top, also a wildcard's own suffix."""
    existing: set[str] = set()
    for name in names:
        labels = name.removeprefix("*.").split(".")
        existing.update(".".join(labels[start:]) for start in range(len(labels)))
    return existing


def _wildcard_above(name: str, names: Iterable[str]) -> bool:
    labels = name.split(".")
    wildcards = {f"*.{'.'.join(labels[start:])}" for start in range(1, len(labels))}
    return not wildcards.isdisjoint(names)
