"""What the caller sets in the environment, since all programs and plugins of the local cloud need it."""

from __future__ import annotations

import os
from pathlib import Path

NAMESPACE = os.environ.get("LOCALCLOUD_NAMESPACE") or "localcloud"
"""The caller's name for its own things: labels, certificates and files of this machine begin with it."""


def default_cache() -> Path:
    """Return the directory of what outlives a cloud: `LOCALCLOUD_CACHE`, or one in the user's cache directory."""
    named = os.environ.get("LOCALCLOUD_CACHE")
    if named:
        return Path(named).resolve()
    return (Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / NAMESPACE).resolve()
