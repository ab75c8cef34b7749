"""Versions of what we do not build: Debian, Pulumi, service images. Read from `versions.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

from topology.files import read_model
from topology.rules import Frozen, Name, Section, Table, choice, image_reference, pattern


class DebianVersion(Section):
    """The Debian release of droplets and of the images that we build."""

    suite: Annotated[str, BeforeValidator(choice("a Debian suite that the user data is written for", "trixie"))]


class PulumiVersion(Section):
    """Pulumi's engine; the SDK in requirements.txt has the same version."""

    version: Annotated[
        str, BeforeValidator(pattern("a version", r"\d+\.\d+\.\d+", "write all three numbers, such as 3.259.0"))
    ]


class ActionlintVersion(Section):
    """The linter of GitHub's workflows; its Go module in `toolchain/actionlint/` has the same version."""

    version: Annotated[
        str, BeforeValidator(pattern("a version", r"\d+\.\d+\.\d+", "write all three numbers, such as 1.7.12"))
    ]


class ImageVersions(Section):
    """Images of others, by service name."""

    services: Annotated[Mapping[Name, Annotated[str, BeforeValidator(image_reference)]], Table, Frozen]


class Versions(Section):
    """Everything of `versions.yaml`."""

    debian: Annotated[DebianVersion, Table]
    pulumi: Annotated[PulumiVersion, Table]
    actionlint: Annotated[ActionlintVersion, Table]
    images: Annotated[ImageVersions, Table]


def load_versions(path: Path) -> Versions:
    """Read and check `versions.yaml`. Raises ConfigurationError with every problem of the file."""
    return read_model(path, Versions)
