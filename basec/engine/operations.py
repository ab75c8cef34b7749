"""Run one engine operation: with live progress, one graceful interruption, short errors, and stale locks cleared."""

from __future__ import annotations

import json
import re
import signal
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from pulumi import automation

from basec.engine import locks, policy_pack
from basec.engine.backend import DOCS, URL_VARIABLE, described, directory_of, state_of
from basec.engine.errors import BackendError, EngineError, InterruptedOperationError, PlanChangedError
from basec.engine.failures import REFRESH, STATE, Failure, failures_of, names_of, screen
from basec.engine.progress import VIOLATION, ProgressView
from basec.engine.run_log import Mask
from basec.engine.variables import variables
from basec.engine.workspace import EngineCommand, open_stack
from basec.io.console import say, stderr
from basec.secrets import passphrase_file
from basec.session import Session
from policy.analyzer import Analyzer, start
from topology.dangerous_edits import STATEFUL, Step
from topology.errors import BasecommerceError
from topology.names import DROPLET, VPC

OPEN_DEADLINE_S = 30
"""For one question to the back-end; a bucket behind a dead address would be asked for minutes."""
MESSAGE_LINES = 5
"""Of the engine's message when it cannot read a state."""
LOOKED_AT = (VPC, DROPLET, "digitalocean:index/reservedIpAssignment:ReservedIpAssignment")
"""The types that are refreshed before everything is destroyed; more could fail for other reasons."""
IGNORE_PROTECT = ("--ignore-protect",)


class Engine:
    """The engine of one environment. `operate` runs up, preview, destroy and refresh the same way."""

    def __init__(
        self,
        session: Session,
        binary: Path,
        program: Future[Callable[[], None]] | None,
        *,
        verbose: bool = False,
    ) -> None:
        """`program` may still be loading: it is needed only when an operation runs it."""
        self.session = session
        self.environment = session.environment
        self._program = program
        self._analyzer = Analyzer(session.environment.root, str(session.environment.stack_file))
        """One for preview and `up`, which applies nothing but what the preview saw: files are judged once."""
        self._command = EngineCommand(binary)
        self._verbose = verbose
        locks.clear_stale_locks(session.environment)
        self.stack = self._open()

    def _open(self) -> automation.Stack:
        """Open the stack. Raises BackendError when its back-end does not answer, or is not the one of the last `up`."""
        environment = self.environment
        self._command.deadline_s = OPEN_DEADLINE_S
        try:
            return open_stack(environment, self._command, self._run_program if self._program else None)
        except automation.StackNotFoundError:
            raise BackendError(
                f"basec: {environment.name}: {described(environment)} has no such stack, but it was up before "
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

    def _run_program(self) -> None:
        if self._program:
            self._program.result()()

    def deployed(self) -> list[Step]:
        """Return the data and addresses in the state, for a preview that failed before it reached them."""
        resources = self._resources()
        return [
            Step(
                op="same",
                urn=each["urn"],
                old_inputs=each.get("inputs") or {},
                default_vpc=each["type"] == VPC and bool((each.get("outputs") or {}).get("default")),
            )
            for each in resources
            if each.get("type") in STATEFUL and not each.get("delete")
        ]

    def _resources(self) -> list[dict[str, Any]]:
        command = ["stack", "export", "--stack", self.environment.name]
        done = self._command.run(command, str(self.environment.work_dir), self.stack.workspace.env_vars)
        return list((json.loads(done.stdout).get("deployment") or {}).get("resources") or [])

    def drop_pending_operations(self) -> None:
        """Drop a killed run's pending operations, before a preview plans on the state: creates adopt what they find."""
        if self.environment.is_local and self._pending_operations():
            say("an earlier run was killed in the middle of an operation; reading what is there")
            self._operate("refresh", lambda **options: self.stack.refresh(clear_pending_creates=True, **options))

    def gone(self, droplets: Collection[str]) -> tuple[str, ...]:
        """Ask the cloud for the machines of these droplets, and return the missing ones. Takes seconds."""
        urns = [step.urn for step in self.deployed() if step.type == DROPLET and step.droplet in droplets]
        if not urns:
            return ()
        run = lambda **more: self.stack.preview_refresh(target=urns, **more)  # noqa: E731
        return tuple(step.droplet for step in self._operate("refresh", run, preview=True).gone)

    def activations(self, hosts: Collection[str]) -> tuple[str, ...]:
        """Return the URNs of the commands that activated the releases of these hosts."""
        names = {f"{host}-stack-activation" for host in hosts}
        urns = (each["urn"] for each in self._resources() if not each.get("delete"))
        return tuple(urn for urn in urns if urn.rsplit("::", maxsplit=1)[-1] in names)

    def preview(self, plan: Path | None = None, replace: Sequence[str] = (), *, refresh: bool = False) -> ProgressView:
        """Find what `up` would do, and write it to the file `plan`; the resources of `replace` are recreated.

        `refresh` asks the cloud first what exists, and does not change the state. With protection the engine would
        stop here at the first violation; `topology/dangerous_edits.py` reports all of them.
        """
        options = _options(plan, replace, refresh=refresh)
        run = lambda **more: self.stack.preview(**options, **more)  # noqa: E731
        return self._operate("preview", run, preview=True, extra=IGNORE_PROTECT)

    @staticmethod
    def has_work(planned: ProgressView) -> bool:
        """Whether `up` would change a resource, its protection or an export."""
        return bool(planned.changed or planned.exports_changed or planned.protection_changed)

    def up(
        self,
        plan: Path | None = None,
        replace: Sequence[str] = (),
        *,
        hosts: Mapping[str, str] | None = None,
        unprotect: bool = False,
        refresh: bool = False,
    ) -> ProgressView:
        """Apply exactly the plan; protected resources are deleted only if that was asked for.

        `hosts` are those of the resources that change, by URN: for the progress. `refresh` as in the preview.
        """
        options = _options(plan, replace, refresh=refresh)
        run = lambda **more: self.stack.up(**options, **more)  # noqa: E731
        return self._operate("up", run, hosts=hosts, extra=IGNORE_PROTECT if unprotect else ())

    def destroy(self) -> tuple[ProgressView, tuple[str, ...]]:
        """Destroy everything, protected resources too: the caller has asked the user. Returns the names of what stays.

        What DigitalOcean never deletes stays in the state too, so that the next `up` finds it. The cloud is asked first
        about it, and about machines that are gone: on the address of a lost machine the official provider crashes.
        """
        urns = [each["urn"] for each in self._resources() if each.get("type") in LOOKED_AT and not each.get("delete")]
        if urns:
            self._operate("refresh", lambda **options: self.stack.refresh(target=urns, **options))
        kept = [step for step in self.deployed() if step.default_vpc]
        extra = (*IGNORE_PROTECT, *(word for step in kept for word in ("--exclude", step.urn)))
        return self._operate("destroy", self.stack.destroy, extra=extra), tuple(step.resource for step in kept)

    def outputs(self) -> dict[str, Any]:
        """Return the stack's exports, those of the last `up`."""
        return {name: output.value for name, output in self.stack.outputs().items()}

    def _pending_operations(self) -> bool:
        """Whether a run was killed in the middle of a resource; read from the file if there is one, for speed."""
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

    def _operate(
        self,
        name: str,
        operation: Callable[..., object],
        *,
        preview: bool = False,
        hosts: Mapping[str, str] | None = None,
        extra: tuple[str, ...] = (),
    ) -> ProgressView:
        view = ProgressView(stderr(), preview=preview, hosts=hosts)
        options: dict[str, Any] = {"on_event": view.on_event, "color": "never"}
        self._command.extra = extra
        judged = name in policy_pack.JUDGED
        if judged:
            options["policy_packs"] = [str(self.environment.root / policy_pack.PACK)]
        if self._verbose:
            options["on_output"] = _Echo()
        failure: list[BaseException] = []

        def work() -> None:
            try:
                operation(**options)
            except BaseException as error:
                failure.append(error)
            finally:
                self._command.operating = False

        # A thread of its own: Python delivers signals to the main one, which must stay free to pass them on.
        worker = threading.Thread(target=work, name=name)
        self._command.allow()
        with view, self._rules_served(judged), self._interruptible() as interrupted:
            worker.start()
            while worker.is_alive():
                worker.join(0.1)
        if interrupted.is_set():
            raise InterruptedOperationError(
                f"basec: {self.environment.name}: {name} interrupted", "run the same command again to continue"
            )
        if failure and self._clear_dead_holder(failure[0]):
            return self._operate(name, operation, preview=preview, hosts=hosts, extra=extra)
        if failure:
            explained = self._unloadable() or self._explain(name, failure[0], view)
            if isinstance(explained, EngineError):
                explained.view = view
            raise explained
        return view

    def _clear_dead_holder(self, error: BaseException) -> bool:
        """Clear locks that only the engine can reach, if each belongs to a dead process of this machine.

        `pulumi cancel` removes all locks of a stack, so one live or remote holder keeps all of them.
        """
        held = locks.locks_in(str(error)) if isinstance(error, automation.ConcurrentUpdateError) else []
        if not held or not all(lock.is_dead for lock in held):
            return False
        say(f"{self.environment.name}: cleared the lock of {held[0]}, which is gone")
        self.stack.cancel()
        return True

    @contextmanager
    def _rules_served(self, judged: bool) -> Iterator[None]:
        """Serve the rules to the engine meanwhile: a separate process would import all of this again."""
        if not judged:
            yield
            return
        server, port = start(self._analyzer)
        self._command.variables = {policy_pack.PORT_VARIABLE: str(port)}
        try:
            yield
        finally:
            self._command.variables = {}
            server.stop(None)

    @contextmanager
    def _interruptible(self) -> Iterator[threading.Event]:
        """Pass the first Ctrl-C or SIGTERM to the engine, once; the operation then ends on its own."""
        interrupted = threading.Event()

        def handle(_signal: int, _frame: FrameType | None) -> None:
            if interrupted.is_set():
                say("still waiting for the engine: stopping it now would leave resources half done")
                return
            interrupted.set()
            say("interrupted: the engine finishes its current steps; please wait")
            self._command.interrupt()

        previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield interrupted
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _unloadable(self) -> BaseException | None:
        """Return why the program could not be loaded, if so: the engine only repeats it, at length."""
        return self._program.exception() if self._program and self._program.done() else None

    def _explain(self, name: str, error: BaseException, view: ProgressView) -> BaseException:
        if isinstance(error, automation.ConcurrentUpdateError):
            return self._locked(error)
        if not isinstance(error, automation.CommandError):
            return error
        if "incorrect passphrase" in str(error):  # that of the settings is checked before anything starts
            return BackendError(
                f"basec: {self.environment.name}: the state in {described(self.environment)} was written with a "
                "different passphrase than the settings",
                passphrase_file.LOST,
            )
        broken = policy_pack.refused(view.violations)
        # Without an earlier failure, what was planned but did not come is no longer declared.
        missed = not view.failed and (view.unreached or VIOLATION.search(str(error)))
        if not broken and (view.plan_mismatch or missed):
            return PlanChangedError(
                f"basec: {self.environment.name}: {name}: refused, because it is not in the plan\n"
                f"  {view.plan_mismatch or 'something was edited after the preview'}",
                "steps planned before it may be done; run preview and up again for the rest",
            )
        if self._command.last_code < 0:
            text = f"basec: {self.environment.name}: {name}: the engine was ended by signal {-self._command.last_code}"
            return EngineError(text, f"{self._again(name)}: it continues where it stopped")
        return self._failure(name, error, view)

    def _locked(self, error: automation.ConcurrentUpdateError) -> BasecommerceError:
        held = locks.locks_in(str(error))
        if held:
            return locks.refusal(self.environment, held[0])
        return locks.LockedError(
            f"basec: {self.environment.name}: locked: another update runs, reports {described(self.environment)}",
            f"its page there shows who runs it; wait for it to end, and run the same command again; {locks.RUNBOOK}",
        )

    def _failure(self, name: str, error: automation.CommandError, view: ProgressView) -> BasecommerceError:
        """Build the error: what failed, resource by resource, and which rules were broken."""
        broken = policy_pack.refused(view.violations)
        if broken and name == "preview" and not view.failed:
            return policy_pack.PolicyError(self.environment.name, view.violations)
        mask = Mask.of(self.session.stack_file)
        said = {urn: [mask.clean(each) for each in messages] for urn, messages in view.failures.items()}
        if not any(said.values()):
            said = {} if broken else {"": [mask.clean(_last_words(str(error)))]}
        failures = failures_of(said, names_of(self.environment))
        head = f"basec: {self.environment.name}: {name} failed"
        if view.unreached:
            head += f"; {len(view.unreached)} resources after it were not reached"
        text = screen(head, failures, view.log.write(self.environment, f"basec {name} failed", mask))
        return EngineError(
            "\n".join([text, *([policy_pack.blocks(view.violations)] if broken else [])]), self._hint(name, failures)
        )

    def _hint(self, name: str, failures: Sequence[Failure]) -> str:
        """Return one hint: of a host that does not answer, otherwise the first given, otherwise the same command."""
        ordered = sorted(failures, key=lambda failure: not failure.unreachable)
        own = next((failure.hint for failure in ordered if failure.hint), "")
        return (
            own.replace(REFRESH, f"basec up --refresh --env {self.environment.name}").replace(
                STATE, f"basec pulumi --env {self.environment.name} -- refresh"
            )
            or f"fix the cause, then {self._again(name)}"
        )

    def _again(self, name: str) -> str:
        command = {"destroy": "down", "refresh": "up"}.get(name, name)
        dry = " --dry" if self.environment.dry_dir else ""
        return f"basec {command} --env {self.environment.name}{dry}"


class _Echo:
    """Prints the engine's own output, without the values that it prints of what violates a plan."""

    def __init__(self) -> None:
        self._silent = False

    def __call__(self, line: str) -> None:
        if not self._silent and VIOLATION.search(line):
            self._silent = True
            say("  engine: (a line on what violates the plan is hidden: its values may be secret)")
        if not self._silent:
            say(f"  engine: {line}")


def _options(plan: Path | None, replace: Sequence[str], *, refresh: bool) -> dict[str, Any]:
    return {"plan": str(plan) if plan else None, "replace": list(replace) or None, "refresh": refresh or None}


def _short(text: str) -> list[str]:
    lines = text.splitlines()
    if len(lines) <= MESSAGE_LINES:
        return lines
    return [f"... ({len(lines) - MESSAGE_LINES} lines more: basec --verbose)", *lines[-MESSAGE_LINES:]]


def _last_words(text: str) -> str:
    """Return a failed CLI's message, without the SDK's wrapping."""
    match = re.search(r"stderr: (.*)", text, re.DOTALL)
    return (match[1] if match and match[1].strip() else text).strip()
