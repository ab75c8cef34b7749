"""Recipes: the hash of all that an image is made of. An image with an unchanged recipe is never built again."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

DIGEST_LENGTH = 12
"""Hexadecimal digits of a recipe; long enough to tell a few dozen builds apart, short enough to read in a tag."""
_IGNORED = {"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", "tests"}
LEFT_OVERS = (
    *(".DS_Store", "._*", ".directory", "Thumbs.db", "desktop.ini"),
    *(".*.sw?", "*~", ".#*", "#*#", "*.orig", "*.rej", "*.bak", "*.pyc"),
)
"""Of file managers, editors, merges and Python. The same as in topology/tracked.py, which this room may not import."""

Files = Mapping[str, tuple[bytes, int]]
"""Path inside the build context -> (content, mode)."""


def folder_files(folder: Path, prefix: str = "") -> Files:
    """Read a folder as build context files. Modes become 0644 or 0755, so that a umask does not change a recipe."""
    files: dict[str, tuple[bytes, int]] = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        left_over = any(fnmatchcase(part, pattern) for part in relative.parts for pattern in LEFT_OVERS)
        if path.is_file() and not _IGNORED.intersection(relative.parts) and not left_over:
            mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            files[prefix + relative.as_posix()] = (path.read_bytes(), mode)
    return files


def digest(files: Files, *ingredients: str) -> str:
    """Hash a build context and everything else that decides the result (the parent's recipe, package names)."""
    total = hashlib.sha256()
    for text in ingredients:
        total.update(f"ingredient {len(text)}\n{text}\n".encode())
    for name, (content, mode) in sorted(files.items()):
        total.update(f"file {name} {mode:o} {len(content)}\n".encode())
        total.update(content)
    return total.hexdigest()[:DIGEST_LENGTH]


def context(files: Files) -> bytes:
    """Pack a build context: the same files give the same bytes, whatever their owner and date."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, (content, mode) in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
