"""Versions of what we do not build: Debian, Pulumi, service images. Read from `versions.yaml`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from topology.fields import Expected, Image, Name, Section, Table
from topology.files import read_model

Version = Annotated[
    str,
    Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$"),
    Expected("a version", "write all three numbers, such as 3.259.0"),
]


class DebianVersion(Section):
    """The Debian release of droplets and of the images that we build."""

    suite: Literal["trixie"]
    """The one that the user data is written for."""


class PulumiVersion(Section):
    """Pulumi's engine; the SDK in requirements.txt has the same version."""

    version: Version
    """Version of the command line, which contains the engine."""


class ActionlintVersion(Section):
    """The linter of GitHub's workflows; its Go module in `toolchain/actionlint/` has the same version."""

    version: Version
    """Version of its release on GitHub."""


class ImageVersions(Section):
    """Images of others, by service name."""

    services: Table[Name, Image]
    """With a tag that does not move, or a digest."""


class Versions(Section):
    """Everything of `versions.yaml`."""

    debian: DebianVersion
    pulumi: PulumiVersion
    actionlint: ActionlintVersion
    images: ImageVersions


def load_versions(path: Path) -> Versions:
    """Read and check `versions.yaml`. Raises ConfigurationError with every problem of the file."""
    return read_model(path, Versions)


def provider_pins(root: Path) -> Mapping[str, str]:
    """Read the exact versions of the providers' SDKs from `requirements.txt`, e.g. `{"digitalocean": "4.84.1"}`.

    Raises OSError where there is no such file.
    """
    text = (root / "requirements.txt").read_text()
    return dict(re.findall(r"^pulumi-([a-z]+)==([0-9.]+)$", text, re.MULTILINE))
