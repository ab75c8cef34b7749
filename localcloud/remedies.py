"""Remedies for faults of this machine: the doctor prints them before, and an error during work prints them too."""

from __future__ import annotations

import re

LOOP_DEVICES = "modprobe loop; in a container, give it /dev/loop-control and the right to make loop devices"
PORTS = {"LOCAL_HTTP_PORT": 8080, "LOCAL_HTTPS_PORT": 8443}
"""Other ports for taken ones, by variable."""
ENGINE = "apt-get install docker.io, then start dockerd"
DISK = "free space under /var/lib/docker and the cache (basec --version shows where that is)"
INOTIFY = "basec doctor, which raises fs.inotify"

_KNOWN = (
    (r"unused loop device|/dev/loop-control", LOOP_DEVICES),
    (r"port is already allocated|address already in use", f"{' '.join(f'{n}={p}' for n, p in PORTS.items())} make up"),
    (r"no space left on device", DISK),
    (r"cannot connect to the docker daemon|docker: not found", ENGINE),
    (r"too many open files|inotify", INOTIFY),
)
"""Patterns in messages of losetup, Docker and the kernel."""


def remedy(text: str) -> str:
    """Return the remedy for a fault, found by its text, or an empty string."""
    return next((helps for words, helps in _KNOWN if re.search(words, text, re.IGNORECASE)), "")


def with_hint(text: str) -> str:
    """Add the remedy to a text without a hint."""
    lines = text.strip().splitlines()
    if any(line.startswith("hint:") for line in lines) or not (helps := remedy(text)):
        return "\n".join(lines)
    return "\n".join([*lines, f"hint: {helps}"])
