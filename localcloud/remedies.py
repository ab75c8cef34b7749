"""What helps against a fault of this machine: the doctor says it before, and an error on the way says it too."""

from __future__ import annotations

import re

LOOP_DEVICES = "modprobe loop; in a container, give it /dev/loop-control and the right to make loop devices"
PORTS = {"LOCAL_HTTP_PORT": 8080, "LOCAL_HTTPS_PORT": 8443}
"""What to take instead where a port is taken, by variable."""
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
"""In the words of losetup, Docker and the kernel."""


def remedy(text: str) -> str:
    """Return what helps against a fault that its text tells, or an empty text."""
    return next((helps for words, helps in _KNOWN if re.search(words, text, re.IGNORECASE)), "")


def with_hint(text: str) -> str:
    """Put the remedy below a text that has no hint of its own."""
    lines = text.strip().splitlines()
    if any(line.startswith("hint:") for line in lines) or not (helps := remedy(text)):
        return "\n".join(lines)
    return "\n".join([*lines, f"hint: {helps}"])
