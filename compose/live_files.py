"""What running services read again: directories that a link chooses from, so that a change recreates no container.

A container mounts the directory of its service whole; what the server reads is behind the link `current` in it:

    live/<service>/<hash>/     a directory of the bundle, and below `secrets/` the service's secret files
    live/<service>/current     a link to the one that the active release has
    live/<service>/loaded      the one that the container has read, and the container

Which services, and their signals: `x-live` in compose files (topology/fleet.py). Who sends it: containers.py.
Shipped in every bundle and run as root by Debian's own Python: standard library only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atomic_files import Files, lay_directory, link, write

CURRENT, LOADED, SECRETS = "current", "loaded", "secrets"


@dataclass(frozen=True)
class Live:
    """What one service reads again."""

    folder: str  # of the bundle
    secrets: tuple[str, ...]  # names of secret files
    signal: str  # at which it reads


class LiveFiles:
    """The live directories of one tier."""

    def __init__(self, directory: Path) -> None:
        """Nothing is read or written yet."""
        self.directory = directory

    def lay(self, service: str, live: Live, bundle: Files, secrets: Mapping[str, Mapping[str, Any]]) -> str:
        """Lay what a service is to read, beside what it reads, and return its hash. Raises KeyError for no secret."""
        inside = {
            name.removeprefix(f"{live.folder}/"): file
            for name, file in bundle.items()
            if name.startswith(f"{live.folder}/")
        }
        held = {name: secrets[name] for name in live.secrets}
        owned = sorted((name, each["content"], each["uid"], each["gid"]) for name, each in held.items())
        digest = hashlib.sha256(repr((sorted(inside.items()), owned)).encode()).hexdigest()[:12]
        path = self.directory / service / digest
        if not path.exists():
            temporary = path.with_name(f".{digest}.new")
            shutil.rmtree(temporary, ignore_errors=True)
            lay_directory(temporary, inside)
            for name, each in held.items():
                write(temporary / SECRETS / name, each["content"].encode(), 0o400, (each["uid"], each["gid"]))
            if held:
                (temporary / SECRETS).chmod(0o755)
            temporary.rename(path)
        (self.directory / service).chmod(0o755)  # the container's user finds its way, and each file has an owner
        return digest

    def current(self, service: str) -> str:
        """Return the hash that the link names; empty if there is none."""
        with contextlib.suppress(OSError):
            return (self.directory / service / CURRENT).readlink().name
        return ""

    def point(self, service: str, digest: str) -> None:
        """Let the link name this one, at once."""
        link(self.directory / service / CURRENT, digest)

    def has_read(self, service: str, container: str, started: float) -> bool:
        """Return whether this container has read what the link names; `started` in seconds since 1970.

        Either a reload of it was recorded since the link was switched, or it is not the container that was recorded
        last, and started after that: then it has read when it started.
        """
        current, loaded = self.directory / service / CURRENT, self.directory / service / LOADED
        digest = known = ""
        with contextlib.suppress(OSError, ValueError):  # nothing was recorded yet
            digest, known = loaded.read_text().split()
        switched = current.lstat().st_mtime
        if known != container:
            return started >= switched
        return digest == self.current(service) and loaded.stat().st_mtime >= switched

    def record(self, service: str, container: str) -> None:
        """Record that this container has read what the link names, now."""
        loaded = self.directory / service / LOADED
        write(loaded, f"{self.current(service)} {container}\n".encode())
        os.utime(loaded)  # also where the text is the same

    def unneeded(self, kept: Collection[str]) -> list[Path]:
        """List what no kept release names: `kept` are hashes."""
        found = self.directory.glob("*/*") if self.directory.is_dir() else ()
        return [path for path in found if path.is_dir() and path.name not in {*kept, CURRENT}]
