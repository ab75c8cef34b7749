"""What a release is on the disk of a droplet: names, files laid whole or not at all, the systemd unit.

Shipped beside release.py, which owns the order of things. Standard library only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import socket
import sys
import syslog
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

UNIT = """[Unit]
Description=BaseCommerce {tier} containers
# Wants, not Requires: a restart of Docker must not stop the containers (live-restore keeps them).
Wants=docker.service network-online.target
After=docker.service network-online.target
{mounts}# Never gives up: the next attempt may find its network.
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
# Docker starts containers itself at boot, but never again one whose private address came too late.
ExecStart=/usr/bin/python3 -B {script} start {tier}
ExecStop=/usr/bin/python3 -B {script} stop {tier}
Restart=on-failure
RestartSec=15
TimeoutStartSec=900
TimeoutStopSec=150

[Install]
WantedBy=multi-user.target
"""
# Directories on the data volume: name -> owner (the ids of the images' users).
DATA_DIRECTORIES = {"infra": {"postgres": 999, "redis": 999}}


class ReleaseError(Exception):
    """What is wrong as `<where>: <key>: <what>`, and a hint."""

    def __init__(self, message: str, hint: str) -> None:
        """Keeps the hint apart, for its own line."""
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Paths:
    """Places on the droplet; tests name others."""

    root: Path = Path("/opt/basecommerce")
    units: Path = Path("/etc/systemd/system")
    data: Path = Path("/mnt/data")


@dataclass(frozen=True)
class Release:
    """What one activation consists of, by names on the disk."""

    digest: str
    hosts: str  # hash of the variables file: addresses, and the hashes of secrets and mounted directories
    since: str = ""

    def same(self, other: Release | None) -> bool:
        """Whether both start the same containers."""
        return other is not None and (self.digest, self.hosts) == (other.digest, other.hosts)


def say(text: str) -> None:
    """One line for the caller and for the journal."""
    sys.stderr.write(f"release: {text}\n")
    sys.stderr.flush()
    syslog.syslog(text)


def short(content: bytes) -> str:
    """The hash used in names."""
    return hashlib.sha256(content).hexdigest()[:12]


def write(path: Path, content: bytes, mode: int = 0o644, owner: tuple[int, int] | None = None) -> bool:
    """Replaces the file at once, and only when content, mode or owner differ; says whether it did."""
    with contextlib.suppress(OSError):
        have = path.stat()
        same_owner = owner is None or (have.st_uid, have.st_gid) == owner
        if same_owner and have.st_mode & 0o7777 == mode and path.read_bytes() == content:
            return False
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)  # of an interrupted run
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        if owner is not None:
            os.fchown(file.fileno(), *owner)
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    return True


def link(path: Path, target: str) -> None:
    """Points the symbolic link to the target at once, if it does not yet."""
    if not path.is_symlink() or str(path.readlink()) != target:
        temporary = path.with_name(f".{path.name}.new")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.rename(path)


def lay(directory: Path, files: Mapping[str, tuple[bytes, int]]) -> None:
    """Makes the directory hold exactly these files: whole, or not at all."""
    have = {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}
    if have and have == {name: content for name, (content, _) in files.items()}:
        return
    temporary, old = directory.with_name(f".{directory.name}.new"), directory.with_name(f".{directory.name}.old")
    for leftover in (temporary, old):
        shutil.rmtree(leftover, ignore_errors=True)
    for name, (content, mode) in files.items():
        write(temporary / name, content, mode)
    for made in [temporary, *(p for p in temporary.rglob("*") if p.is_dir())]:
        made.chmod(0o755)  # read by the containers' users, whatever the caller's umask
    if directory.exists():
        directory.rename(old)
    temporary.rename(directory)
    shutil.rmtree(old, ignore_errors=True)


def read_files(directory: Path) -> dict[str, tuple[bytes, int]]:
    """Gives the files below a directory. Of a mode only the owner's right to execute counts."""
    return {
        path.relative_to(directory).as_posix(): (path.read_bytes(), 0o755 if path.stat().st_mode & 0o100 else 0o644)
        for path in directory.rglob("*")
        if path.is_file()
    }


MIN_FREE_MIB = {"/": 1024, "data": 512}
"""MiB that must be free before a release: images of a tier take up to 700 MiB unpacked beside those that run, and
PostgreSQL needs room for the log that it writes while a migration runs."""


def check_disks(tier: str, paths: Paths) -> None:
    """Refuses to begin a release on a disk that it could fill: nothing was touched then."""
    places = {paths.root: MIN_FREE_MIB["/"], Path("/var/lib/docker"): MIN_FREE_MIB["/"]}
    if tier in DATA_DIRECTORIES:
        places[paths.data] = MIN_FREE_MIB["data"]
    for path, wanted in places.items():
        there = next(p for p in (path, *path.parents) if p.exists())
        free = shutil.disk_usage(there).free // 2**20
        if free < wanted:
            raise ReleaseError(
                f"{tier}: disk: {path}: {free} MiB free, a release wants {wanted}",
                "look at `df -h` and `docker system df`; `docker image prune` removes what nothing names",
            )


def unit(tier: str, paths: Paths) -> bytes:
    """The tier's systemd unit."""
    mounts = f"RequiresMountsFor={paths.data}\n" if tier in DATA_DIRECTORIES else ""
    return UNIT.format(tier=tier, script=paths.root / "scripts" / "release.py", mounts=mounts).encode()


def variable(name: str) -> str:
    """A file's or directory's name as part of a variable's name."""
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def images_of(release: Path) -> set[str]:
    """The images that a release names in its .env."""
    with contextlib.suppress(OSError):
        return set(re.findall(r"""^IMAGE_\w+=["']?([^"'\s]+)""", (release / ".env").read_text(), re.MULTILINE))
    return set()


def is_local(address: str) -> bool:
    """Whether an interface of this machine has the address: only then can a socket be bound to it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
        return True


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
