"""Run one engine operation: live progress, one graceful interruption, short errors, and stale locks cleared."""

from __future__ import annotations

import json
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from pulumi import automation

from basec import locks, passphrase_file
from basec.backend import DOCS, URL_VARIABLE, described, directory_of, state_of
from basec.console import say, stderr
from basec.environments import Environment
from basec.progress import ProgressView
from basec.workspace import EngineCommand, open_stack, variables
from topology.errors import BasecommerceError, ExitCode

OPEN_DEADLINE_S = 30
"""For one question to the back-end; a bucket behind a dead address would be asked for minutes."""
MESSAGE_LINES = 50
UP_HINT = "mend the cause and run the same command again: it continues where it stopped"


class EngineError(BasecommerceError):
    """An operation failed; the message holds what the engine said about each resource."""


class BackendError(BasecommerceError):
    """The stack's state cannot be read; nothing was touched."""


class InterruptedOperationError(BasecommerceError):
    """The user interrupted an operation, and the engine has ended it in order."""

    exit_code = ExitCode.INTERRUPTED


class Engine:
    """The engine of one environment. `operate` runs up, preview, destroy and refresh the same way."""

    def __init__(
        self, environment: Environment, binary: Path, program: Callable[[], None] | None, *, verbose: bool = False
    ) -> None:
        self.environment = environment
        self._command = EngineCommand(binary)
        self._verbose = verbose
        locks.settle(environment)
        self.stack = self._open(program)

    def _open(self, program: Callable[[], None] | None) -> automation.Stack:
        """Open the stack. Raises BackendError when its back-end does not answer, or is not the one of the last `up`."""
        environment = self.environment
        self._command.deadline_s = OPEN_DEADLINE_S
        try:
            return open_stack(environment, self._command, program)
        except automation.StackNotFoundError:
            raise BackendError(
                f"basec: {environment.name}: {described(environment)} has no such stack, yet it was up before "
                f"({environment.facts_dir.relative_to(environment.root)})",
                f"set {URL_VARIABLE} to where its state is: {DOCS}",
            ) from None
        except automation.CommandError as error:
            words = "\n  ".join(_short(_last_words(str(error)).removeprefix("error: ")))
            if self._command.timed_out:
                words = f"no answer within {OPEN_DEADLINE_S} s"
            raise BackendError(
                f"basec: {environment.name}: the state in {described(environment)} cannot be reached\n  {words}",
                f"check the network, the URL and its credentials: {DOCS}; nothing was touched",
            ) from None
        finally:
            self._command.deadline_s = None

    def preview(self) -> ProgressView:
        return self._operate("preview", self.stack.preview, preview=True)

    def has_work(self, planned: ProgressView) -> bool:
        """Whether `up` would change a resource or an export, or has to clean up after a run that was killed."""
        return bool(planned.changed or planned.exports_changed or self._pending_operations())

    def up(self) -> ProgressView:
        """Bring the stack up, after dropping what a killed run left pending: creates adopt what they find."""
        if self.environment.is_local and self._pending_operations():
            say("an earlier run was killed in the middle of an operation; reading what is there")
            self._operate("refresh", lambda **options: self.stack.refresh(clear_pending_creates=True, **options))
        return self._operate("up", self.stack.up)

    def destroy(self) -> ProgressView:
        return self._operate("destroy", self.stack.destroy)

    def outputs(self) -> dict[str, Any]:
        """Give the stack's exports, those of the last `up`."""
        return {name: output.value for name, output in self.stack.outputs().items()}

    def _pending_operations(self) -> bool:
        """Whether a run was killed in the middle of a resource; asked of the file where there is one, for speed."""
        if directory_of(self.environment) is not None:
            state = state_of(self.environment) or {}
        else:
            export = self._command.run(
                ["stack", "export", "--stack", self.environment.name],
                str(self.environment.work_dir),
                variables(self.environment),
            )
            state = json.loads(export.stdout).get("deployment") or {}
        return bool(state.get("pending_operations"))

    def _operate(self, name: str, operation: Callable[..., object], *, preview: bool = False) -> ProgressView:
        view = ProgressView(stderr(), preview=preview)
        options: dict[str, Any] = {"on_event": view.on_event, "color": "never"}
        if self._verbose:
            options["on_output"] = lambda line: say(f"  engine: {line}")
        failure: list[BaseException] = []

        def work() -> None:
            try:
                operation(**options)
            except BaseException as error:
                failure.append(error)

        # A thread of its own: Python delivers signals to the main one, which must stay free to pass them on.
        worker = threading.Thread(target=work, name=name)
        self._command.allow()
        with view, self._interruptible() as interrupted:
            worker.start()
            while worker.is_alive():
                worker.join(0.1)
        if interrupted.is_set():
            raise InterruptedOperationError(
                f"basec: {self.environment.name}: {name} interrupted", "the same command continues"
            )
        if failure and self._clear_dead_holder(failure[0]):
            return self._operate(name, operation, preview=preview)
        if failure:
            raise self._explain(name, failure[0], view)
        return view

    def _clear_dead_holder(self, error: BaseException) -> bool:
        """Clear locks that only the engine can reach, if each of them is of a dead process of this machine.

        `pulumi cancel` removes all locks of a stack, so one live or remote holder among them leaves them alone.
        """
        held = locks.locks_in(str(error)) if isinstance(error, automation.ConcurrentUpdateError) else []
        if not held or not all(lock.is_dead for lock in held):
            return False
        say(f"{self.environment.name}: cleared the lock of {held[0]}, which is gone")
        self.stack.cancel()
        return True

    @contextmanager
    def _interruptible(self) -> Iterator[threading.Event]:
        """Pass the first Ctrl-C or SIGTERM on to the engine, once; the operation then ends by itself."""
        interrupted = threading.Event()

        def handle(_signal: int, _frame: FrameType | None) -> None:
            if interrupted.is_set():
                say("still waiting for the engine: stopping it now would leave half-made things behind")
                return
            interrupted.set()
            say("interrupted: the engine ends what it is doing; please wait")
            self._command.interrupt()

        previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield interrupted
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _explain(self, name: str, error: BaseException, view: ProgressView) -> BaseException:
        if isinstance(error, automation.ConcurrentUpdateError):
            held = locks.locks_in(str(error))
            if held:
                return locks.refusal(self.environment, held[0])
            return locks.LockedError(
                f"basec: {self.environment.name}: locked: another update runs, says {described(self.environment)}",
                f"its page there shows whose; wait for it to end, and run the same command again; {locks.RUNBOOK}",
            )
        if not isinstance(error, automation.CommandError):
            return error
        if "incorrect passphrase" in str(error):  # the settings' own is checked before anything starts
            return BackendError(
                f"basec: {self.environment.name}: the state in {described(self.environment)} was written with another "
                "passphrase than the settings",
                passphrase_file.LOST,
            )
        if self._command.last_code < 0:
            text = f"basec: {self.environment.name}: {name}: the engine was ended by signal {-self._command.last_code}"
            return EngineError(text, "run the same command again: it continues where it stopped")
        blocks = [
            "\n  ".join([f"{failure.resource}:", *_short("\n".join(failure.messages))])
            for urn, failure in view.failures.items()
            if failure.messages and (len(view.failures) == 1 or not _is_echo(urn))
        ]
        text = "\n".join(blocks) or "\n".join(_short(_last_words(str(error))))
        return EngineError(f"basec: {self.environment.name}: {name} failed\n{text}", UP_HINT)


def _is_echo(urn: str) -> bool:
    """The engine repeats on the stack, and on no resource at all, that something failed."""
    return not urn or "pulumi:pulumi:Stack::" in urn


def _short(text: str) -> list[str]:
    lines = text.splitlines()
    if len(lines) <= MESSAGE_LINES:
        return lines
    return [f"... ({len(lines) - MESSAGE_LINES} lines more: basec --verbose)", *lines[-MESSAGE_LINES:]]


def _last_words(text: str) -> str:
    """Give what a failed CLI said, without the SDK's wrapping."""
    match = re.search(r"stderr: (.*)", text, re.DOTALL)
    return (match[1] if match and match[1].strip() else text).strip()
