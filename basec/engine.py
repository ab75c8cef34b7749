"""Run one engine operation: live progress, one graceful interruption, short errors, and stale locks cleared."""

from __future__ import annotations

import json
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from pulumi import automation

from basec import policy
from basec.console import say, stderr
from basec.environments import PROJECT, Environment
from basec.progress import ProgressView
from basec.workspace import EngineCommand, open_stack
from topology.errors import BasecommerceError, ExitCode

LOCK_WAIT_S = 60
"""How long to wait for an engine that was told to stop: it ends its current steps first."""
MESSAGE_LINES = 50
UP_HINT = "mend the cause and run the same command again: it continues where it stopped"


class EngineError(BasecommerceError):
    """An operation failed; the message holds what the engine said about each resource."""


class InterruptedOperationError(BasecommerceError):
    """The user interrupted an operation, and the engine has ended it in order."""

    exit_code = ExitCode.INTERRUPTED


@dataclass(frozen=True, kw_only=True)
class Lock:
    """Who holds a local stack's lock."""

    path: Path
    pid: int
    host: str

    @property
    def is_ours(self) -> bool:
        return self.host == socket.gethostname()

    @property
    def is_dead(self) -> bool:
        """Whether the holder ran on this machine and is gone, or its number now belongs to something else."""
        if not self.is_ours:
            return False
        try:
            text = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return True
        fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        # A killed engine stays as a zombie where process 1 of a container does not reap, and holds nothing any more.
        return "pulumi" not in fields["Name"] or fields["State"].split()[0] in {"Z", "X"}


def locks(environment: Environment) -> list[Lock]:
    """List the locks of a local stack; the state is a directory of ours, so they can be read without the engine."""
    directory = environment.work_dir / "state" / ".pulumi" / "locks" / "organization" / PROJECT / environment.name
    found: list[Lock] = []
    for path in sorted(directory.glob("*.json")):
        try:
            document = json.loads(path.read_text())
            found.append(Lock(path=path, pid=int(document["pid"]), host=str(document["hostname"])))
        except (OSError, ValueError, KeyError):
            continue  # released between listing and reading
    return found


class Engine:
    """The engine of one environment. `operate` runs up, preview, destroy and refresh the same way."""

    def __init__(
        self, environment: Environment, binary: Path, program: Callable[[], None] | None, *, verbose: bool = False
    ) -> None:
        self.environment = environment
        self._command = EngineCommand(binary)
        self._verbose = verbose
        if environment.is_local:
            self.clear_stale_locks()
        self.stack = open_stack(environment, self._command, program)

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

    def clear_stale_locks(self) -> None:
        """Clear locks of dead processes of this machine, wait for live ones. Raises EngineError for other machines'."""
        deadline = time.monotonic() + LOCK_WAIT_S
        said = False
        while held := locks(self.environment):
            for lock in held:
                if lock.is_dead:
                    say(f"{self.environment.name}: cleared the lock of process {lock.pid}, which is gone")
                    lock.path.unlink(missing_ok=True)
                    lock.path.with_name(f"{lock.path.name}.attrs").unlink(missing_ok=True)
                elif not lock.is_ours or time.monotonic() > deadline:
                    raise EngineError(
                        f"basec: {self.environment.name}: the stack is locked by process {lock.pid} on {lock.host}",
                        "wait for it to end, or end it, and run the same command again",
                    )
                elif not said:
                    said = True
                    say(f"{self.environment.name}: process {lock.pid} holds the stack; waiting for it to end")
            time.sleep(0.3)

    def _pending_operations(self) -> bool:
        path = self.environment.work_dir / "state" / ".pulumi" / "stacks" / PROJECT / f"{self.environment.name}.json"
        try:
            latest = json.loads(path.read_text())["checkpoint"]["latest"] or {}
        except (OSError, ValueError, KeyError):
            return False
        return bool(latest.get("pending_operations"))

    def _operate(self, name: str, operation: Callable[..., object], *, preview: bool = False) -> ProgressView:
        view = ProgressView(stderr(), preview=preview)
        options: dict[str, Any] = {"on_event": view.on_event, "color": "never"}
        if name in policy.JUDGED:
            options["policy_packs"] = [str(policy.PACK)]
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
        if failure:
            raise self._explain(name, failure[0], view)
        return view

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
            return EngineError(
                f"basec: {self.environment.name}: the stack is locked by another run",
                "wait for it to end, or: pulumi cancel",
            )
        if not isinstance(error, automation.CommandError):
            return error
        if self._command.last_code < 0:
            text = f"basec: {self.environment.name}: {name}: the engine was ended by signal {-self._command.last_code}"
            return EngineError(text, "run the same command again: it continues where it stopped")
        blocks = [
            "\n  ".join([f"{failure.resource}:", *_short("\n".join(failure.messages))])
            for urn, failure in view.failures.items()
            if failure.messages and (len(view.failures) == 1 or not _is_echo(urn))
        ]
        if policy.refused(view.violations):
            if name == "preview" and all(map(_is_echo, view.failures)):
                return policy.PolicyError(self.environment.name, view.violations)
            blocks.append(policy.blocks(view.violations))
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
