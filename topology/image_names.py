"""Names of images: one that always means the same build has a digest, or a tag that identifies the build."""

from __future__ import annotations

import re

REFERENCE = re.compile(
    r"(?P<name>[a-z0-9.-]+(?::\d+)?(?:/[a-z0-9._-]+)+)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
"""`<registry>/<name>:<tag>`, with a digest after the tag or instead of it."""

FULL_VERSION = {"postgres": 2}
"""How many numbers a full version of a server has. Source: https://www.postgresql.org/support/versioning/"""
NUMBERS = 3
"""The same for everything else: `redis:8.0` is another image with each 8.0.x."""
BUILD = re.compile(r"(?=[0-9a-f]*\d)[0-9a-f]{7,40}(?![a-z0-9])|(?<![a-z0-9])\d{4}|[_-]v?\d+$|\d+\.\d+\.\d+")
"""A commit, a day or a run, a count, a whole version. A digit after a word does not count: `branch2` is a branch."""
VERSION = re.compile(r"v?(\d+(?:\.\d+)*)(?![A-Za-z0-9])")
REFERENCE_BUILD = "reference"
"""The applications of this repository: `basec up` builds them, and appends their digest."""


def moves(tag: str, name: str = "") -> bool:
    """Return whether a tag can come to mean another build; `name` is the image's, with or without registry."""
    text = tag.lower()
    if "latest" in text:
        return True
    version = VERSION.match(text)
    if version:
        whole = FULL_VERSION.get(name.rpartition("/")[2], NUMBERS)
        return version[1].count(".") + 1 < whole and not BUILD.search(text)
    return text != REFERENCE_BUILD and not BUILD.search(text)


def image_fault(reference: str) -> str:
    """Return what is wrong with a full image reference; empty when it always means one build."""
    match = REFERENCE.fullmatch(reference)
    if match is None:
        return "is not an image with registry and name"
    if match["digest"]:
        return ""
    if not match["tag"]:
        return "has neither tag nor digest"
    return f"has a tag that moves: {match['tag']}" if moves(match["tag"], match["name"]) else ""


def major_version(reference: str) -> int | None:
    """Return the first number of an image's tag, e.g. 17 of `postgres:17.10-trixie`; None without one."""
    match = REFERENCE.fullmatch(reference)
    version = VERSION.match(match["tag"]) if match and match["tag"] else None
    return int(version[1].partition(".")[0]) if version else None
