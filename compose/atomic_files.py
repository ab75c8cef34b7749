"""Files and directories that are written whole or not at all; a killed run leaves no half of one.

Shipped in every bundle and run as root by Debian's own Python: standard library only.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from programs import say

Files = Mapping[str, tuple[bytes, int]]
"""By name below a directory: content and mode, 0o755 or 0o644."""


def same(path: Path, content: bytes) -> bool:
    """Return whether the file is there with this content."""
    with contextlib.suppress(OSError):
        return path.read_bytes() == content
    return False


def write(path: Path, content: bytes, mode: int = 0o644, owner: tuple[int, int] | None = None) -> bool:
    """Replace the file at once, and only when content, mode or owner differ; return whether it did."""
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
    """Point the symbolic link to the target at once, unless it does already."""
    if not path.is_symlink() or str(path.readlink()) != target:
        temporary = path.with_name(f".{path.name}.new")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.rename(path)


def read_files(directory: Path) -> Files:
    """Return the files below a directory. Of the mode, only the owner's execute bit counts."""
    return {
        path.relative_to(directory).as_posix(): (path.read_bytes(), 0o755 if path.stat().st_mode & 0o100 else 0o644)
        for path in directory.rglob("*")
        if path.is_file()
    }


def lay_directory(directory: Path, files: Files) -> None:
    """Make the directory hold exactly these files: whole, or not at all."""
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


def remove(paths: Iterable[Path]) -> None:
    """Remove files, and directories with all that is in them. One that cannot be removed is reported, and stays."""
    for path in paths:
        try:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        except OSError as error:
            say(f"{path}: cannot be removed: {error.strerror}")
