"""How an operation of the engine fails. Apart from the engine itself, which takes a second to import."""

from __future__ import annotations

from basec.engine.progress import ProgressView
from topology.errors import BasecommerceError, ExitCode


class EngineError(BasecommerceError):
    """An operation failed; the message is its screen, and the log has what the engine said about each resource."""

    view: ProgressView | None = None
    """What was seen of the operation before it failed."""


class PlanChangedError(EngineError):
    """What `up` would do is not what its plan says; the engine refused the first such step and all after it."""

    exit_code = ExitCode.REFUSED


class BackendError(BasecommerceError):
    """The stack's state cannot be read; nothing was touched."""


class InterruptedOperationError(BasecommerceError):
    """The user interrupted an operation, and the engine has ended it in order."""

    exit_code = ExitCode.INTERRUPTED
