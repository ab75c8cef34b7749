"""Errors that people read, and the exit codes of every program of this repository.

BasecommerceError (1)
├── UsageError (2)            wrong arguments
├── ConfigurationError (2)    settings, inventory, versions or secrets; holds every problem at once
├── HostCheckError (3)        the machine cannot run the local cloud
├── RemoteError (4)           a command on a droplet failed
└── RefusedPlanError (5)      a plan with dangerous edits (`topology/dangerous_edits.py`), or one that no longer fits
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import groupby
from typing import ClassVar


class ExitCode(IntEnum):
    """The exit codes of this repository's programs."""

    OK = 0
    FAILURE = 1
    CONFIGURATION = 2
    HOST_CHECK = 3
    REMOTE = 4
    REFUSED = 5
    INTERRUPTED = 130
    """128 + SIGINT, as shells report it."""


MEANINGS = {
    ExitCode.OK: "done",
    ExitCode.FAILURE: "failed, or a check found something wrong",
    ExitCode.CONFIGURATION: "wrong usage or configuration; nothing was touched",
    ExitCode.HOST_CHECK: "this machine cannot run the local cloud (host check)",
    ExitCode.REMOTE: "a host could not be reached, or a command there failed",
    ExitCode.REFUSED: "refused: a broken rule, a dangerous edit not allowed by name, or a step not in the plan",
    ExitCode.INTERRUPTED: "interrupted; the same command continues",
}
"""In the words of `basec --help` and of docs/infra-cli.md, the one page that lists them."""


class BasecommerceError(Exception):
    """A failure that is explained to the user without a traceback."""

    exit_code: ClassVar[ExitCode] = ExitCode.FAILURE

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def render(self) -> str:
        """Return the text for standard error: the message, and its hint on a line of its own."""
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message

    def __str__(self) -> str:
        return self.render()


class UsageError(BasecommerceError):
    """The command line asks for something that does not exist or does not fit together."""

    exit_code = ExitCode.CONFIGURATION


class HostCheckError(BasecommerceError):
    """The machine lacks something that the local cloud needs."""

    exit_code = ExitCode.HOST_CHECK


class RemoteError(BasecommerceError):
    """A command on a droplet failed or timed out."""

    exit_code = ExitCode.REMOTE


@dataclass(frozen=True, kw_only=True, order=True)
class Problem:
    """One thing that is wrong in one file."""

    file: str
    path: str
    """The key, e.g. `firewall.2.ports.0`; empty when the whole file is meant."""
    message: str
    """What is wrong, with the value."""
    hint: str
    """The next action or command."""

    @property
    def line(self) -> str:
        """Return `<file>: <path>: <message>`."""
        return ": ".join(part for part in (self.file, self.path, self.message) if part)

    def render(self) -> str:
        """Return the line, and the hint below it."""
        return f"{self.line}\nhint: {self.hint}"


class ConfigurationError(BasecommerceError):
    """Everything that is wrong in settings, inventory, versions and secrets, raised once."""

    exit_code = ExitCode.CONFIGURATION

    def __init__(self, problems: Sequence[Problem]) -> None:
        if not problems:
            raise ValueError("a ConfigurationError needs at least one problem")
        self.problems = tuple(problems)
        lines = []
        for hint, same in groupby(self.problems, key=lambda problem: problem.hint):
            lines += [*(problem.line for problem in same), f"hint: {hint}"]
        super().__init__("\n".join(lines))
