"""What belongs to the repository, as git lists it: not the files that an editor or a file manager leaves there.

A tree without git (a downloaded archive, a test's copy) is taken as it is, without such left-overs.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from topology.errors import ConfigurationError, Problem

EXECUTABLE, LINK, SUBMODULE = "100755", "120000", "160000"
"""Modes of git's index. Source: https://git-scm.com/docs/index-format"""
NO_REPOSITORY = "not a git repository"

LEFT_OVERS = (
    *(".DS_Store", "._*", ".directory", "Thumbs.db", "desktop.ini"),
    *(".*.sw?", "*~", ".#*", "#*#", "*.orig", "*.rej", "*.bak", "*.pyc"),
)
"""Of file managers, editors, merges and Python. For trees without git only: it knows its own files."""


def tracked_files(root: Path, folder: str) -> Mapping[PurePosixPath, bool]:
    """Return the files below a folder of the repository by path from the root, and whether each is executable.

    Contents are those of the work tree: an edit counts before it is committed. Raises ConfigurationError if git fails,
    or lists a file that is missing.
    """
    lines = _listed(root, "--stage", folder)
    if not lines:
        return _all_files(root, folder)
    files: dict[PurePosixPath, bool] = {}
    for line in lines:
        about, _, name = line.partition("\t")
        mode, _, stage = about.split(" ")
        if stage != "0":
            raise _refusal(name, "has merge conflicts", f"resolve them, then git add {name}")
        if mode == SUBMODULE:
            raise _refusal(name, "is a git submodule", "put the files themselves here")
        if mode != LINK and not (root / name).is_file():
            raise _refusal(name, "there is no such file", f"restore it with `git checkout`, or: git rm {name}")
        files[PurePosixPath(name)] = mode == EXECUTABLE
    return files


def unknown_files(root: Path, folder: str) -> tuple[PurePosixPath, ...]:
    """Return the files below a folder that git neither tracks nor ignores; none in a tree without git."""
    if not _listed(root, "--stage", folder):
        return ()
    return tuple(PurePosixPath(name) for name in _listed(root, "--others", "--exclude-standard", folder))


def check_nothing_is_missed(unknown: Iterable[PurePosixPath], texts: Mapping[PurePosixPath, str]) -> None:
    """Refuse an untracked file that a tracked one names or includes. Raises ConfigurationError."""
    folders = {parent for known in texts for parent in known.parents}
    for path in unknown:
        new = next(part for part in (*reversed(path.parents), path) if part not in folders)
        for known, text in texts.items():
            if _names(text, new):
                message = f"is not tracked by git, so no release has it, but {known} names it"
                raise _refusal(str(path), message, f"git add {path}")


def _names(text: str, path: PurePosixPath) -> bool:
    name = path.name.removesuffix(".j2")
    if path.suffix == ".py" and re.search(rf"^\s*(?:import|from)\s.*\b{re.escape(path.stem)}\b", text, re.MULTILINE):
        return True
    if re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w~-]|\.\w)", text):
        return True
    patterns = re.findall(r"[\w./*-]*\*\.\w[\w.*-]*", text)  # such as `include site/*.conf`, which takes no hidden file
    return not name.startswith(".") and any(fnmatchcase(name, pattern.rpartition("/")[2]) for pattern in patterns)


def _all_files(root: Path, folder: str) -> Mapping[PurePosixPath, bool]:
    """List a tree as it is. Modes may be lost on the way here, so a first line `#!` marks what is executable."""
    found = sorted(path for path in (root / folder).rglob("*") if path.is_symlink() or path.is_file())
    return {
        PurePosixPath(path.relative_to(root).as_posix()): not path.is_symlink() and path.read_bytes()[:2] == b"#!"
        for path in found
        if not any(fnmatchcase(path.name, pattern) for pattern in LEFT_OVERS)
    }


def _listed(root: Path, *arguments: str) -> list[str]:
    """Ask git for files; nothing where there is no repository, or no git."""
    *options, folder = arguments
    # In a hook, GIT_* variables point to another index; the owner of the tree may be another user, as in a container.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-c", "safe.directory=*", "-C", str(root), "ls-files", "-z", *options, "--", folder]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**variables, "LC_ALL": "C.UTF-8"}
        )
    except FileNotFoundError:
        return []
    if done.returncode == 0:
        return [line for line in done.stdout.split("\0") if line]
    if NO_REPOSITORY in done.stderr:
        return []
    said = done.stderr.strip().removeprefix("fatal: ") or f"ended with {done.returncode}"
    raise _refusal(folder, f"git cannot list its files: {said}", f"git -C {root} status")


def _refusal(file: str, message: str, hint: str) -> ConfigurationError:
    return ConfigurationError([Problem(file=file, path="", message=message, hint=hint)])
