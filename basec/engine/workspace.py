"""ONE function builds the engine's workspace for every environment; only directory and variables differ.

The program runs inline: it is loaded from `__main__.py` and its `main()` is called, so no language plugin is needed.
Pulumi is imported here, and never for a command's help.
"""

from __future__ import annotations

import importlib.metadata
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pulumi import automation
from pulumi.automation.errors import create_command_error
from semver import VersionInfo

from basec.engine.backend import described, state_of
from basec.engine.locks import RUN_VARIABLE
from basec.engine.variables import variables
from basec.environments import Environment
from basec.io.console import say
from topology.names import PROJECT

OPERATIONS = ("preview", "up", "destroy", "refresh")
SKIPPED_QUESTIONS: Mapping[tuple[str, ...], str] = {
    ("stack", "output"): "{}",
    ("stack", "history"): '[{"kind": "update", "startTime": "2026-01-01T00:00:00.000Z", "message": "",'
    ' "environment": {}, "config": {}, "result": "succeeded"}]',
}
"""The SDK asks the CLI for this after each operation. We do not read the result; asking takes 1 to 2 s of an `up`."""
SELECT = ["stack", "select"]
OnLine = Callable[[str], Any]


class EngineCommand(automation.PulumiCommand):
    """The Pulumi CLI in a process group of its own.

    A terminal's Ctrl-C goes to every process of the foreground group, and a second SIGINT makes the engine drop its
    work, leaving pending operations. So only we signal the engine: exactly one SIGINT. If we are killed, the
    kernel sends it.
    """

    def __init__(self, binary: Path) -> None:
        # The base class looks for <root>/bin/pulumi only, and asks it for its version: a third of a second for what
        # is known already, since toolchain/ accepts only the SDK's own version.
        self.command = str(binary)
        self.version = VersionInfo.parse(importlib.metadata.version("pulumi"))
        self.last_code = 0
        self.deadline_s: float | None = None
        """Seconds after which a command is killed; only for commands that change nothing."""
        self.timed_out = False
        self._process: subprocess.Popen[str] | None = None
        self._starting = threading.Lock()
        self.extra: tuple[str, ...] = ()
        """Options of the operation's own command that the Automation API does not know."""
        self.variables: Mapping[str, str] = {}
        """Variables of the operation's own, beside those of the environment."""
        self.is_known = False
        """Whether the stack was seen in its state directory, so that nobody needs to select it."""
        self._interrupted = False
        self.operating = False
        """Whether an operation runs; exports and failures are then read from its events."""

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: OnLine | None = None,
        on_error: OnLine | None = None,
    ) -> automation.CommandResult:
        if self.operating and (told := SKIPPED_QUESTIONS.get(tuple(args[:2]))):
            return automation.CommandResult(stdout=told, stderr="", code=0)
        if self.is_known and args[:2] == SELECT:
            return automation.CommandResult(stdout="", stderr="", code=0)
        environment = {
            **os.environ,
            **additional_env,
            **self.variables,
            "PULUMI_AUTOMATION_API": "true",
            RUN_VARIABLE: str(os.getpid()),
        }
        extra = self.extra if args[0] in OPERATIONS else ()
        command = ["setpriv", "--pdeathsig", "INT", "--", self.command, "--non-interactive", *args, *extra]
        with self._starting:
            if self._interrupted:  # between two commands of one operation there is no process to signal
                raise KeyboardInterrupt
            started = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=cwd,
                env=environment,
                encoding="utf-8",
                start_new_session=True,
            )
            self._process = started
        with started as process, self._limited(process):
            errors: list[str] = []
            reader = threading.Thread(target=_consume, args=(process.stderr, on_error, errors))
            reader.start()
            output: list[str] = []
            _consume(process.stdout, on_output, output)
            reader.join()
            self.last_code = code = process.wait()
            self._process = None
        result = automation.CommandResult(stdout="\n".join(output), stderr="\n".join(errors), code=code)
        if code != 0:
            raise create_command_error(result)
        return result

    @contextmanager
    def _limited(self, process: subprocess.Popen[str]) -> Iterator[None]:
        """Kill the command when its time has passed."""

        def end() -> None:
            self.timed_out = True
            process.kill()

        timer = threading.Timer(self.deadline_s, end) if self.deadline_s is not None else None
        self.timed_out = False
        if timer:
            timer.start()
        try:
            yield
        finally:
            if timer:
                timer.cancel()

    def allow(self) -> None:
        """Start an operation: its commands run until `interrupt` is called."""
        self._interrupted, self.operating = False, True

    def interrupt(self) -> None:
        """Ask the running command to cancel, and start no further one of this operation."""
        with self._starting:
            self._interrupted = True
            process = self._process
        if process is not None:
            process.send_signal(signal.SIGINT)


def _consume(stream: Any, callback: OnLine | None, lines: list[str]) -> None:
    for line in stream:
        text = line.rstrip()
        if callback is not None:
            callback(text)
        lines.append(text)


def open_stack(
    environment: Environment, command: EngineCommand, program: Callable[[], None] | None
) -> automation.Stack:
    """Open the environment's stack, and create an empty one on its first use: that only changes the back-end's list.

    Raises StackNotFoundError when the stack was up before: an empty one would create everything a second time.
    """
    options = automation.LocalWorkspaceOptions(
        work_dir=str(environment.work_dir), pulumi_command=command, env_vars=variables(environment)
    )

    def nothing() -> None:
        """Stand in for the program where no operation runs it."""

    chosen: dict[str, Any] = {
        "stack_name": environment.name,
        "project_name": PROJECT,
        "program": program or nothing,
        "opts": options,
    }
    if environment.is_contained:
        command.is_known = state_of(environment) is not None
        return automation.create_or_select_stack(**chosen)
    try:
        return automation.select_stack(**chosen)
    except automation.StackNotFoundError:
        if environment.hosts_file.exists():
            raise
        say(f"{environment.name}: a new, empty stack in {described(environment)}")
        return automation.create_stack(**chosen)
