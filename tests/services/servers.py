"""Where this machine has the servers and programs that tests of this room start."""

from __future__ import annotations

import shutil
from pathlib import Path

HINT = "hint: scripts/install-servers"
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
"""Debian leaves the first and third out of an ordinary user's PATH."""


def nginx() -> str | None:
    return shutil.which("nginx")


def redis() -> str | None:
    return shutil.which("redis-server")


def postgresql() -> Path | None:
    """Return the directory of the newest PostgreSQL's programs: Debian has one a version, outside PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = versions[-1] if versions else shutil.which("initdb")
    return None if found is None else Path(found).parent


def sshd() -> str | None:
    """Return its whole path, which it wants to be called by."""
    return shutil.which("sshd", path=SYSTEM_PATH)


def ufw() -> str | None:
    return shutil.which("ufw", path=SYSTEM_PATH)


def missing() -> list[str]:
    """Return the servers and programs that are not here."""
    there = {
        "nginx": nginx(),
        "HAProxy": shutil.which("haproxy"),
        "PostgreSQL": postgresql(),
        "Redis": redis(),
        "certutil": shutil.which("certutil"),
        "sshd": sshd(),
        "ufw": ufw(),
    }
    return [name for name, found in there.items() if found is None]
