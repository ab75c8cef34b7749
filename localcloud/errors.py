"""What the local cloud says when it refuses or fails, and what it says of a damaged file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path


class CloudError(Exception):
    """The cloud refuses or fails; the text reads like the real API's and may hold a `hint:` line."""


NO_DOCUMENT = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What a damaged document raises when it is read: not UTF-8, no JSON, a field that is missing or of another type."""


def damaged(path: Path, error: Exception, hint: str) -> CloudError:
    """Say that a file of the cloud cannot be read back."""
    return CloudError(f"{path}: damaged: {type(error).__name__}: {str(error)[:200]}\nhint: {hint}")


class NotReadyError(CloudError):
    """The thing exists but is not ready: it is kept in the state, with `outputs`, and the next `up` continues."""

    def __init__(self, reasons: Sequence[str], resource_id: str, outputs: Mapping[str, object]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = tuple(reasons)
        self.resource_id = resource_id
        self.outputs = dict(outputs)
