"""Where one local cloud lives: its name, its addresses and its directories, read from one `cloud.json`."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, Self

from localcloud.errors import NO_DOCUMENT, damaged

CONFIG_VARIABLE = "LOCALCLOUD_CONFIG"
NAME = r"[a-z][a-z0-9-]{0,20}"
LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"


class Mode(StrEnum):
    """`REAL` makes containers; `DRY` keeps records only, so the engine can be tested in seconds."""

    REAL = "real"
    DRY = "dry"


@dataclass(frozen=True, kw_only=True)
class CloudConfig:
    """One local cloud. Two clouds on a machine differ in every field but `cache`.

    Without pydantic: each provider plugin reads this when it starts, and that import is a third of its start.
    """

    name: str
    mode: Mode
    state: Path
    cache: Path
    public_subnet: IPv4Network
    cloudflare_address: IPv4Address
    registry_address: IPv4Address
    vpc_range: IPv4Network
    http_port: int
    https_port: int = 443
    """Of 127.0.0.1, as `http_port`. A `cloud.json` from before TLS has none."""
    visitor_labels: tuple[str, ...] = ()
    """First labels of names that visitors' TLS covers below a domain of one label: no client accepts `*.localhost`."""

    def __post_init__(self) -> None:
        """Raise ValueError for an invalid name, label or port."""
        for field, pattern, texts in (("name", NAME, (self.name,)), ("visitor_labels", LABEL, self.visitor_labels)):
            for text in texts:
                if not re.fullmatch(pattern, text):
                    raise ValueError(f"{field}: {text!r} does not match {pattern}")
        for field, port in (("http_port", self.http_port), ("https_port", self.https_port)):
            if not 1 <= port <= 65535:
                raise ValueError(f"{field}: {port} is not between 1 and 65535")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read `cloud.json`. Raises OSError, and CloudError for any other document."""
        try:
            return cls.from_document(json.loads(path.read_text()))
        except NO_DOCUMENT as error:
            hint = "restore it; without it the stack is lost: remove its containers and this directory"
            raise damaged(path, error, hint) from None

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Build a config from a JSON document. Raises ValueError, KeyError or TypeError."""
        return cls(**{field: READERS[field](value) for field, value in document.items()})

    def to_json(self, indent: int | None = None) -> str:
        """Return the document."""
        return json.dumps(asdict(self), default=str, indent=indent)

    @classmethod
    def from_environment(cls) -> CloudConfig:
        """Read the file named by `LOCALCLOUD_CONFIG`, as the provider plugins do. Raises KeyError when unset."""
        return cls.load(Path(os.environ[CONFIG_VARIABLE]))

    def physical(self, thing: str) -> str:
        """Return the name of a container or network of this cloud, e.g. `bc-local-edge`."""
        return f"bc-{self.name}-{thing}"


def _labels(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):  # each letter of a string would be a label
        raise TypeError(f"visitor_labels: {value!r} is not a list")
    return tuple(map(str, value))


READERS: Mapping[str, Callable[[Any], Any]] = {
    "name": str,
    "mode": Mode,
    "state": Path,
    "cache": Path,
    "public_subnet": IPv4Network,
    "cloudflare_address": IPv4Address,
    "registry_address": IPv4Address,
    "vpc_range": IPv4Network,
    "http_port": int,
    "https_port": int,
    "visitor_labels": _labels,
}
