"""The gRPC side of a provider plugin: unknowns, secrets, diffs, time-outs, cancel and errors, for every handler.

Our own servicer instead of `pulumi.provider.experimental`, which in SDK 3.259.0 has no partial failure, no cancel of
running handlers, no old inputs in Diff, no secret-aware comparison and no live log.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, NoReturn, TypeVar

import grpc
import grpc.aio
from google.protobuf import empty_pb2
from google.rpc import status_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from localcloud.config import CloudConfig
from localcloud.errors import CloudError, NotReadyError
from localcloud.provider.diff import compare
from localcloud.provider.handler import Created, Found, Handler, Job, Package, UnsupportedTypeError
from localcloud.provider.reporting import EngineLog, EventLog, Redactor, TracebackLog, describe, join_reasons
from localcloud.provider.schema import Failure, check_properties
from localcloud.provider.values import (
    UnknownValueError,
    Value,
    assert_known,
    decode_struct,
    encode_struct,
    flag_like,
    reveal_map,
)

Context = grpc.aio.ServicerContext[Any, Any]
Hook = Callable[[str, str, str, str], Awaitable[None]]
"""Called with ("before"|"after", operation, type, name) around each change: faults for tests, in dry mode only."""

T = TypeVar("T")


class OperationCancelledError(CloudError):
    """The user stopped the run; the engine called Cancel."""


class _Operation:
    """One running create, read, update or delete: its names, its stage, its redactor."""

    def __init__(self, op: str, urn: str, redactor: Redactor) -> None:
        self.op = op
        self.urn = urn
        self.token, self.name = _split_urn(urn)
        self.redactor = redactor
        self.stage = "start"

    @property
    def what(self) -> str:
        """The operation's name, e.g. `create Droplet edge`."""
        return f"{self.op} {self.token.rpartition(':')[2]} {self.name}"


class ProviderServicer(provider_pb2_grpc.ResourceProviderServicer):
    """Serves the resource types of one package."""

    def __init__(
        self,
        package: Package,
        config: CloudConfig,
        backend: Callable[[], Any],
        engine_log: EngineLog,
        hook: Hook | None = None,
    ) -> None:
        self._package = package
        self._config = config
        self._make_backend = backend
        self._backend: Any = None
        self._engine_log = engine_log
        self._hook = hook
        self._events = EventLog(config.state)
        self._tracebacks = TracebackLog(config.state, package.name)
        self._running: set[asyncio.Task[Any]] = set()
        self.cancel_seen = False

    @property
    def idle(self) -> bool:
        """Whether no operation runs."""
        return not self._running

    # The plugin as a whole

    async def Handshake(self, request: Any, context: Context) -> Any:  # noqa: N802
        del context
        if request.engine_address:
            self._engine_log.attach(request.engine_address)
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    async def Attach(self, request: Any, context: Context) -> Any:  # noqa: N802
        del context
        self._engine_log.attach(request.address)
        return empty_pb2.Empty()

    async def GetPluginInfo(self, request: Any, context: Context) -> Any:  # noqa: N802
        del request, context
        from importlib.metadata import version  # noqa: PLC0415 - 15 ms of each start, and the engine seldom asks

        return plugin_pb2.PluginInfo(version=version(f"pulumi-{self._package.name}"))

    async def CheckConfig(self, request: Any, context: Context) -> Any:  # noqa: N802
        del context
        return provider_pb2.CheckResponse(inputs=request.news)

    async def DiffConfig(self, request: Any, context: Context) -> Any:  # noqa: N802
        """Ignore provider settings: a new token is still the same cloud."""
        del request, context
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    async def Configure(self, request: Any, context: Context) -> Any:  # noqa: N802
        del request, context
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    async def Invoke(self, request: Any, context: Context) -> Any:  # noqa: N802
        await _refuse(context, f"local cloud does not implement the function {request.tok}")

    async def Call(self, request: Any, context: Context) -> Any:  # noqa: N802
        await _refuse(context, f"local cloud does not implement the method {request.tok}")

    async def Construct(self, request: Any, context: Context) -> Any:  # noqa: N802
        await _refuse(context, f"local cloud does not implement the component {request.type}")

    async def Cancel(self, request: Any, context: Context) -> Any:  # noqa: N802
        """Stop what runs now. Called at a normal end too, and more than once, so nothing else changes."""
        del request, context
        self.cancel_seen = True
        for task in list(self._running):
            task.cancel()
        return empty_pb2.Empty()

    # Preview: check and compare, change nothing

    async def Check(self, request: Any, context: Context) -> Any:  # noqa: N802
        handler = await self._handler(request.urn, context)
        flagged = decode_struct(request.news)
        inputs, old = reveal_map(flagged), reveal_map(decode_struct(request.olds))
        failures: list[Failure] = list(check_properties(handler.properties, inputs))
        if not failures:
            failures.extend(handler.check(inputs, old))
        clean = Redactor(flagged).clean
        wire = [provider_pb2.CheckFailure(property=f.property, reason=clean(f.reason)) for f in failures]
        return provider_pb2.CheckResponse(inputs=request.news, failures=wire)

    async def Diff(self, request: Any, context: Context) -> Any:  # noqa: N802
        """Compare INPUTS with inputs: the state's computed outputs would all look like deletions."""
        handler = await self._handler(request.urn, context)
        old = self._old_inputs(handler, request.old_inputs, request.olds)
        new = reveal_map(decode_struct(request.news))
        changes = compare(handler.properties, old, new, list(request.ignoreChanges))
        replaces = sorted({change.property for change in changes if change.replace})
        detailed = {}
        for change in changes:
            kind = f"{change.change}_REPLACE" if change.replace else change.change.value
            detailed[change.path] = provider_pb2.PropertyDiff(
                kind=provider_pb2.PropertyDiff.Kind.Value(kind), inputDiff=True
            )
        some, none = provider_pb2.DiffResponse.DIFF_SOME, provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(
            changes=some if changes else none,
            replaces=replaces,
            deleteBeforeReplace=bool(replaces) and handler.delete_before_replace,
            diffs=sorted({change.property for change in changes}),
            detailedDiff=detailed,
            hasDetailedDiff=True,
        )

    # Changes

    async def Create(self, request: Any, context: Context) -> Any:  # noqa: N802
        handler = await self._handler(request.urn, context)
        flagged = decode_struct(request.properties)
        if request.preview:
            # Missing outputs become unknown in the engine; a preview needs no more.
            return provider_pb2.CreateResponse(id="", properties=request.properties)
        operation = _Operation("create", request.urn, Redactor(flagged))

        async def create(job: Job[Any]) -> Created:
            assert_known(flagged, operation.what)
            return await handler.create(job, reveal_map(flagged))

        created = await self._run(operation, handler, request.timeout, context, work=create, flagged=flagged)
        return provider_pb2.CreateResponse(id=created.id, properties=self._outputs(flagged, created.outputs))

    async def Update(self, request: Any, context: Context) -> Any:  # noqa: N802
        handler = await self._handler(request.urn, context)
        flagged, flagged_state = decode_struct(request.news), decode_struct(request.olds)
        state = reveal_map(flagged_state)
        old = self._old_inputs(handler, request.old_inputs, request.olds)
        new = reveal_map(flagged)
        if request.preview:
            changed = {change.property for change in compare(handler.properties, old, new)}
            volatile = set(handler.volatile_outputs(changed))
            kept = {k: v for k, v in flagged_state.items() if k not in handler.properties and k not in volatile}
            return provider_pb2.UpdateResponse(properties=encode_struct({**kept, **flagged}))
        operation = _Operation("update", request.urn, Redactor(flagged, flagged_state))

        async def update(job: Job[Any]) -> Mapping[str, Value]:
            assert_known(flagged, operation.what)
            return await handler.update(job, request.id, old, new, state)

        outputs = await self._run(operation, handler, request.timeout, context, work=update, flagged=flagged)
        return provider_pb2.UpdateResponse(properties=self._outputs(flagged, outputs, flagged_state))

    async def Read(self, request: Any, context: Context) -> Any:  # noqa: N802
        """Refresh or import. An empty id in the answer means to the engine that the thing is gone."""
        handler = await self._handler(request.urn, context)
        flagged, flagged_state = decode_struct(request.inputs), decode_struct(request.properties)
        operation = _Operation("read", request.urn, Redactor(flagged, flagged_state))

        async def read(job: Job[Any]) -> Found | None:
            return await handler.read(job, request.id, reveal_map(flagged), reveal_map(flagged_state))

        found = await self._run(operation, handler, request.timeout, context, work=read, flagged=flagged)
        if found is None:
            return provider_pb2.ReadResponse()
        inputs = flag_like(found.inputs, flagged, flagged_state)
        outputs = self._outputs(inputs, found.outputs, flagged_state)
        return provider_pb2.ReadResponse(id=request.id, inputs=encode_struct(inputs), properties=outputs)

    async def Delete(self, request: Any, context: Context) -> Any:  # noqa: N802
        handler = await self._handler(request.urn, context)
        flagged_state = decode_struct(request.properties)
        state = reveal_map(flagged_state)
        inputs = self._old_inputs(handler, request.old_inputs, request.properties)
        operation = _Operation("delete", request.urn, Redactor(flagged_state, decode_struct(request.old_inputs)))

        async def delete(job: Job[Any]) -> None:
            await handler.delete(job, request.id, inputs, state)

        await self._run(operation, handler, request.timeout, context, work=delete, flagged=inputs)
        return empty_pb2.Empty()

    # Shared parts

    async def _handler(self, urn: str, context: Context) -> Handler[Any]:
        try:
            return self._package.handler(_split_urn(urn)[0])
        except UnsupportedTypeError as error:
            await _refuse(context, str(error))

    @staticmethod
    def _old_inputs(handler: Handler[Any], old_inputs: Any, state: Any) -> dict[str, Value]:
        old = reveal_map(decode_struct(old_inputs))
        if old:
            return old
        return {key: value for key, value in reveal_map(decode_struct(state)).items() if key in handler.properties}

    @staticmethod
    def _outputs(inputs: Mapping[str, Value], outputs: Mapping[str, Value], state: Mapping[str, Value] = {}) -> Any:
        """Join inputs and computed outputs, secret flags kept. Raises UnknownValueError for an unknown value."""
        result = {**inputs, **flag_like(outputs, inputs, state)}
        assert_known(result, "answer to the engine")
        return encode_struct(result)

    async def _run(
        self,
        operation: _Operation,
        handler: Handler[Any],
        timeout_s: float,
        context: Context,
        *,
        work: Callable[[Job[Any]], Coroutine[Any, Any, T]],
        flagged: Mapping[str, Value],
    ) -> T:
        """Run a handler; write its line in the event log; turn every error into one message."""
        started = time.monotonic()
        try:
            result = await self._attempt(operation, timeout_s or handler.timeout_s, work)
        except Exception as error:
            self._record(operation, handler, flagged, "failed", time.monotonic() - started)
            if isinstance(error, NotReadyError):
                await self._abort_not_ready(operation, error, flagged, context)
            await self._abort(operation, error, context)
        self._record(operation, handler, flagged, "done", time.monotonic() - started)
        return result

    async def _attempt(
        self, operation: _Operation, limit_s: float, work: Callable[[Job[Any]], Coroutine[Any, Any, T]]
    ) -> T:
        """Run a handler under its deadline, so that Cancel can end it. The engine enforces no time-out itself."""
        task = asyncio.ensure_future(self._work(operation, work))
        self._running.add(task)
        try:
            async with asyncio.timeout(limit_s) as deadline:
                return await task
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise CloudError(
                f"{operation.what}: not done within {limit_s:g} s; last stage: {operation.stage}\n"
                "hint: run the same command again, or give the resource longer customTimeouts"
            ) from error
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if not task.cancelled() or current is None or current.cancelling():
                raise  # the engine hung up
            raise OperationCancelledError(
                f"{operation.what}: cancelled at stage: {operation.stage}\nhint: run the same command again"
            ) from None
        finally:
            self._running.discard(task)
            task.cancel()

    async def _work(self, operation: _Operation, work: Callable[[Job[Any]], Coroutine[Any, Any, T]]) -> T:
        async def progress(line: str) -> None:
            operation.stage = line
            await self._engine_log.show(operation.urn, operation.redactor.clean(line))

        if self._backend is None:
            self._backend = self._make_backend()
        job = Job(urn=operation.urn, name=operation.name, backend=self._backend, config=self._config, progress=progress)
        if self._hook is not None:
            await self._hook("before", operation.op, operation.token, operation.name)
        result = await work(job)
        if self._hook is not None:
            await self._hook("after", operation.op, operation.token, operation.name)
        return result

    def _record(
        self, operation: _Operation, handler: Handler[Any], flagged: Mapping[str, Value], outcome: str, seconds: float
    ) -> None:
        if operation.op == "read":
            return
        self._events.append(
            {
                "op": operation.op,
                "type": operation.token,
                "name": operation.name,
                "outcome": outcome,
                "seconds": round(seconds, 3),
                **handler.event_details(flagged),
            }
        )

    async def _abort(self, operation: _Operation, error: Exception, context: Context) -> NoReturn:
        if isinstance(error, UnknownValueError):
            error.add_note("This is a bug in the plugin or in the program: an unknown value outside of a preview.")
        if not isinstance(error, OperationCancelledError):
            self._tracebacks.write(operation.what, error, operation.redactor)
        message = describe(error, self._tracebacks.path, operation.what)
        await _refuse(context, operation.redactor.clean(message))

    async def _abort_not_ready(
        self, operation: _Operation, error: NotReadyError, flagged: Mapping[str, Value], context: Context
    ) -> NoReturn:
        """Keep the thing in the state, with its reasons: the next run updates it instead of making a second one.

        The engine reads this from a detail of the gRPC status, which grpc.aio sends as a trailing header.
        """
        self._tracebacks.write(operation.what, error, operation.redactor)
        reasons = [operation.redactor.clean(reason) for reason in join_reasons(error.reasons)]
        failed = provider_pb2.ErrorResourceInitFailed(
            id=error.resource_id,
            properties=self._outputs(flagged, error.outputs),
            inputs=encode_struct(flagged),
            reasons=[*reasons, f"hint: run the same command again (details: {self._tracebacks.path})"],
        )
        status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=f"{operation.what}: not ready")
        status.details.add().Pack(failed)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        await context.abort(grpc.StatusCode.UNKNOWN, status.message)
        raise AssertionError("abort returned")


async def _refuse(context: Context, message: str) -> NoReturn:
    """End the call with a message. FAILED_PRECONDITION means to the engine that it knows the resource's state."""
    await context.abort(grpc.StatusCode.FAILED_PRECONDITION, message)
    raise AssertionError("abort returned")


def _split_urn(urn: str) -> tuple[str, str]:
    """Return type token and name of `urn:pulumi:<stack>::<project>::<parent type>$<type>::<name>`."""
    parts = urn.split("::", 3)
    return parts[2].rpartition("$")[2], parts[3]
