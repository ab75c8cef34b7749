"""What can be in a file that was whole once: for tests of whatever is read back."""

from __future__ import annotations

NO_DOCUMENTS: dict[str, bytes] = {
    "empty": b"",
    "null": b"null",
    "a number": b"5",
    "a text": b'"text"',
    "a list": b"[1]",
    "an empty object": b"{}",
    "an object of another kind": b'{"other": {"a": [null]}}',
    "not UTF-8": b'{"caf\xe9": 1}',
    "zeros": b"\0" * 4096,
    "nested too deep": b"[" * 100_000,
}
"""None of these is a document of ours."""


def damages(whole: bytes) -> dict[str, bytes]:
    """Return the damages by name; one of them is the whole file cut in the middle, as a full disk leaves it."""
    return {**NO_DOCUMENTS, "cut": whole[: len(whole) // 2]}


KINDS = tuple(damages(b""))
"""Their names, for `parametrize`."""
