"""How an operation of the engine fails. Separate from the engine itself, which takes a second to import."""

from __future__ import annotations

from basec.engine.progress import ProgressView
from topology.errors import BasecommerceError, ExitCode


class EngineError(BasecommerceError):
    """An operation failed; the message is what the screen shows, and the log has the engine's messages by resource."""

    view: ProgressView | None = None
    """What was seen of the operation before it failed."""


class PlanChangedError(EngineError):
    """What `up` would do differs from its plan; the engine refused the first such step and all after it."""

    exit_code = ExitCode.REFUSED


class BackendError(BasecommerceError):
    """The stack's state cannot be read; nothing was touched."""


class InterruptedOperationError(BasecommerceError):
    """The user interrupted an operation, and the engine has ended it cleanly."""

    exit_code = ExitCode.INTERRUPTED
