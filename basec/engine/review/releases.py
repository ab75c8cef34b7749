"""Compare two releases of a tier: which files and images differ, and which services are recreated or read again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from basec.engine.review.values import line_diff
from topology.fleet import LIVE, service_of

Files = Mapping[str, str]
"""The files of a bundle, by name."""
COMPOSE, VARIABLES = "compose.yaml", ".env"
VARIABLE = re.compile(r"\$\{(?P<name>[A-Z]\w*)(?::?-(?P<otherwise>[^}]*)|:?[?+][^}]*)?\}")
IMAGE = re.compile(r"^IMAGE_(?P<service>\w+)='?(?P<image>[^'\n]*)'?$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class FileChange:
    """One file of a bundle that differs."""

    name: str
    kind: Literal["added", "removed", "changed"]
    diff: tuple[str, ...]

    @property
    def added(self) -> int:
        """How many lines are added."""
        return sum(line.startswith("+") for line in self.diff)

    @property
    def removed(self) -> int:
        """How many lines are removed."""
        return sum(line.startswith("-") for line in self.diff)


@dataclass(frozen=True, kw_only=True)
class ImageChange:
    """A service's new image; references without what both have in common."""

    service: str
    old: str
    new: str


@dataclass(frozen=True, kw_only=True)
class ReleaseChange:
    """What is different in a new release."""

    files: tuple[FileChange, ...]
    images: tuple[ImageChange, ...]
    services: tuple[str, ...]
    """The services whose containers are recreated."""
    switches: tuple[str, ...] = ()
    """The services whose other colour starts, and takes over."""
    reloads: tuple[str, ...] = ()
    """The services that go on serving, and read their files again."""


def compare_releases(old: Files, new: Files) -> ReleaseChange:
    """Compare two bundles of one tier."""
    before, after = _fingerprints(old), _fingerprints(new)
    recreated = {name for name in after if before.get(name) != after[name]}
    read, now = _read_again(old), _read_again(new)
    return ReleaseChange(
        files=tuple(_file_changes(old, new)),
        images=tuple(_image_changes(old, new)),
        services=tuple(sorted(name for name in recreated if service_of(name) == name)),
        switches=tuple(sorted({service_of(name) for name in recreated} - recreated)),
        reloads=tuple(sorted(name for name in set(now) - recreated if read.get(name) != now[name])),
    )


def _file_changes(old: Files, new: Files) -> Iterator[FileChange]:
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            kind: Literal["added", "removed", "changed"]
            kind = "added" if name not in old else "removed" if name not in new else "changed"
            yield FileChange(name=name, kind=kind, diff=line_diff(old.get(name, ""), new.get(name, "")))


def _image_changes(old: Files, new: Files) -> Iterator[ImageChange]:
    before, after = (
        {match["service"]: match["image"] for match in IMAGE.finditer(files.get(VARIABLES, ""))} for files in (old, new)
    )
    for name in sorted(after):
        if name in before and before[name] != after[name]:
            yield ImageChange(service=name.lower().replace("_", "-"), old=_tag(before[name]), new=_tag(after[name]))


def _tag(image: str) -> str:
    """Return what follows the name: a tag, or the first digits of a digest."""
    if "@sha256:" in image:
        return image.rpartition("@sha256:")[2][:12]
    return image.rpartition("/")[2].partition(":")[2]


def _fingerprints(files: Files) -> dict[str, str]:
    """Return all that a container is made of, by service: its definition, what it refers to, and the files it mounts.

    `compose/tier_files.py` mounts a directory of the bundle by the digest of all its files (`AUTH_DIR`). What a service
    reads again (`x-live`) is not among them.
    """
    variables = {
        name: value.strip("'")
        for name, _, value in (line.partition("=") for line in files.get(VARIABLES, "").splitlines())
    }
    services = _services(files.get(COMPOSE, ""))
    found = {}
    for name, definition in services.items():
        if definition.get("profiles"):
            continue  # it leaves no container
        # Compose does not compare extensions.
        own = {key: value for key, value in definition.items() if not str(key).startswith("x-")}
        text = json.dumps(own, sort_keys=True)
        used = {match["name"] for match in VARIABLE.finditer(text)}
        folders = sorted(variable.removesuffix("_DIR").lower() for variable in used if variable.endswith("_DIR"))
        mounted = {file: files[file] for file in sorted(files) for folder in folders if file.startswith(f"{folder}/")}
        filled = VARIABLE.sub(lambda match: variables.get(match["name"], match["otherwise"] or match[0]), text)
        found[name] = json.dumps([filled, mounted], sort_keys=True)
    return found


def _read_again(files: Files) -> dict[str, dict[str, str]]:
    """Return the files that each service with `x-live` reads at a signal."""
    return {
        name: {file: files[file] for file in sorted(files) if file.startswith(f"{each[LIVE]['folder']}/")}
        for name, each in _services(files.get(COMPOSE, "")).items()
        if LIVE in each
    }


def _services(compose: str) -> dict[str, dict[str, Any]]:
    document = yaml.safe_load(compose) or {}
    return dict(document.get("services") or {})
