"""Where one local cloud lives: its name, its addresses and its directories, read from one `cloud.json`."""

from __future__ import annotations

import os
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

CONFIG_VARIABLE = "LOCALCLOUD_CONFIG"
VisitorLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]


class Mode(StrEnum):
    """`REAL` makes containers; `DRY` keeps records only, so the engine can be tested in seconds."""

    REAL = "real"
    DRY = "dry"


class CloudConfig(BaseModel):
    """One local cloud. Two clouds on a machine differ in every field but `cache`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,20}$")
    mode: Mode
    state: Path
    cache: Path
    public_subnet: IPv4Network
    cloudflare_address: IPv4Address
    registry_address: IPv4Address
    vpc_range: IPv4Network
    http_port: int = Field(ge=1, le=65535)
    https_port: int = Field(default=443, ge=1, le=65535)
    """Of 127.0.0.1, as `http_port`. A `cloud.json` of before there was TLS has none."""
    visitor_labels: tuple[VisitorLabel, ...] = ()
    """First labels of names that visitors' TLS covers below a domain of one label: no client takes `*.localhost`."""

    @classmethod
    def load(cls, path: Path) -> CloudConfig:
        """Read `cloud.json`. Raises OSError or pydantic.ValidationError."""
        return cls.model_validate_json(path.read_text())

    @classmethod
    def from_environment(cls) -> CloudConfig:
        """Read the file named by `LOCALCLOUD_CONFIG`, as the provider plugins do. Raises KeyError when unset."""
        return cls.load(Path(os.environ[CONFIG_VARIABLE]))

    def physical(self, thing: str) -> str:
        """Name a container or network of this cloud, e.g. `bc-local-edge`."""
        return f"bc-{self.name}-{thing}"
