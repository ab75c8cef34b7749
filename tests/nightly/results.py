"""What each part found, when, and on which content: a tracked file each, so that everybody sees what is proven."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.nightly.parts import Part

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).parent / "results"
DIGEST_CHARACTERS = 16
"""64 bits: enough to tell two contents of one repository apart, short enough to be read."""


class State(StrEnum):
    """What a part's result file is worth today."""

    CURRENT = "current"
    FAILED = "failed"
    OUTDATED = "outdated"
    MISSING = "never ran"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, kw_only=True)
class Result:
    """How one part ended."""

    part: str
    date: str
    """When it ended, in UTC, as ISO 8601."""
    commit: str
    """The commit that the tree was at; with `-dirty` if it had changes."""
    machine: str
    outcome: str
    """`passed` or `failed`."""
    reason: str
    """First line of the failure."""
    seconds: float
    """Of all runs that it took, if it was interrupted."""
    figures: Mapping[str, Any]
    judged: Mapping[str, str]
    """Path -> digest of its content."""

    @property
    def day(self) -> str:
        return self.date[:10]


def digests(root: Path, paths: Sequence[str]) -> dict[str, str]:
    """Return a digest of the content of each path of the work tree: of all files that git knows or would add.

    Content, names and executable bits count; times and commits do not, so it is the same in a shallow clone, and
    another as soon as a file is edited.
    """
    return {path: _digest(root, path) for path in paths}


def _digest(root: Path, path: str) -> str:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", path],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    whole = sha256()
    for name in sorted(set(filter(None, listed.split("\0")))):
        file = root / name
        if file.is_symlink():
            kind, content = "link", str(file.readlink()).encode()
        elif file.is_file():
            kind, content = "program" if file.stat().st_mode & 0o100 else "file", file.read_bytes()
        else:
            continue  # git knows it still, and it is deleted
        whole.update(f"{name}\0{kind}\0{sha256(content).hexdigest()}\n".encode())
    return whole.hexdigest()[:DIGEST_CHARACTERS]


def write(result: Result) -> Path:
    """Write a part's result file and give its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{result.part}.json"
    path.write_text(json.dumps(asdict(result), indent=2) + "\n")
    return path


def read(part: str) -> Result | None:
    """Read a part's result; None if there is none. Raises ValueError for a file that is none of ours."""
    path = RESULTS / f"{part}.json"
    if not path.exists():
        return None
    try:
        return Result(**json.loads(path.read_text()))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None


def judge(part: Part) -> tuple[State, str]:
    """Return what a part's result is worth today, and a few words for people."""
    try:
        result = read(part.name)
    except ValueError as error:
        return State.UNREADABLE, f"its result cannot be read: {error}"
    if result is None:
        return State.MISSING, "never ran"
    if result.outcome != "passed":
        return State.FAILED, f"failed on {result.day}: {result.reason}"
    today = digests(ROOT, part.judges)
    if others := [path for path in part.judges if result.judged.get(path) != today[path]]:
        return State.OUTDATED, f"ran {result.day} on other {', '.join(others)}: outdated"
    return State.CURRENT, f"passed on {result.day}"


def outdated(parts: Mapping[str, Part]) -> list[str]:
    """Return the parts that have no good result for today's content, a line each, with the command that renews it."""
    judged = {name: judge(part) for name, part in parts.items()}
    return [
        f"nightly: {name}: {words}; make nightly PARTS={name}"
        for name, (state, words) in judged.items()
        if state is not State.CURRENT
    ]
