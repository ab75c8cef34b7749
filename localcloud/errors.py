"""The local cloud's errors: refusals, failures, damaged files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path


class CloudError(Exception):
    """The cloud refuses or fails; the text reads like the real API's and may hold a `hint:` line."""


NO_DOCUMENT = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What reading a damaged document raises: not UTF-8, not JSON, a field that is missing or of another type."""


def damaged(path: Path, error: Exception, hint: str) -> CloudError:
    """Build the error of a file of the cloud that cannot be read back."""
    return CloudError(f"{path}: damaged: {type(error).__name__}: {str(error)[:200]}\nhint: {hint}")


class NotReadyError(CloudError):
    """The thing exists but is not ready: it is kept in the state, with `outputs`, and the next `up` continues."""

    def __init__(self, reasons: Sequence[str], resource_id: str, outputs: Mapping[str, object]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = tuple(reasons)
        self.resource_id = resource_id
        self.outputs = dict(outputs)
