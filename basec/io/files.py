"""Write files that others read, safe against a kill: as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from topology.errors import UsageError

NO_DOCUMENT = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What reading a damaged document raises: not UTF-8, not JSON, a field that is missing or of another type."""

PRIVATE = 0o600
SAID = 200
"""Characters shown of a library's message about a damaged file."""


def write_private(path: Path, text: str, mode: int = PRIVATE) -> None:
    """Write a file by rename, so that a killed write leaves the old one; skip an unchanged text."""
    if path.exists() and path.read_bytes() == text.encode():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as handle:
        os.fchmod(handle.fileno(), mode)  # a tracked file keeps its mode, whatever the umask is
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)


def damaged(environment: str, path: Path, error: Exception, hint: str) -> UsageError:
    """Build the error of a file that cannot be read back, with the hint that repairs it."""
    said = " ".join(str(error).split())[:SAID]
    return UsageError(f"basec: {environment}: {path}: damaged: {type(error).__name__}: {said}", hint)
