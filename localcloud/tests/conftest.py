"""Fixtures of the provider tests: a dry cloud, and a plugin's servicer behind a real gRPC connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import grpc.aio
import pytest
from google.rpc import status_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2, provider_pb2_grpc
from typing_extensions import override

from localcloud.config import CloudConfig, Mode
from localcloud.provider.handler import Created, Found, Handler, Job, Package, Values
from localcloud.provider.reporting import EngineLog
from localcloud.provider.schema import Kind, Property
from localcloud.provider.servicer import ProviderServicer
from localcloud.provider.values import Value, decode_struct, encode_struct
from localcloud.tests import kept
from localcloud.tests.doctor_support import machine
from localcloud.tests.engine_stack import EngineStack
from localcloud.tests.sample_program import Sample

__all__ = ["machine"]

THING = "test:index:Thing"


def thing_urn(name: str = "one") -> str:
    """Return a resource's URN as the engine writes it, with a parent."""
    return f"urn:pulumi:local::shop::shop:network:Network${THING}::{name}"


@pytest.fixture
def config(tmp_path: Path) -> CloudConfig:
    """Describe a dry cloud in a directory of the test."""
    return CloudConfig.from_document(
        {
            "name": "local",
            "mode": Mode.DRY,
            "state": tmp_path / "state",
            "cache": tmp_path / "cache",
            "public_subnet": "198.51.100.0/27",
            "cloudflare_address": "198.51.100.2",
            "registry_address": "198.51.100.3",
            "vpc_range": "10.77.1.0/24",
            "http_port": 8099,
        }
    )


@dataclass
class Behaviour:
    """What the test's handler does; each entry gets the job and the inputs."""

    create: Callable[[Job[Any], Values], Any] | None = None
    update: Callable[[Job[Any], Values], Any] | None = None
    read: Callable[[Job[Any], Values], Any] | None = None
    seen: list[tuple[str, Any]] = field(default_factory=list)


class Thing(Handler[None]):
    """A resource type for tests: `size` replaces, `label` changes in place."""

    type_name = THING
    timeout_s = 20.0
    properties: ClassVar[Mapping[str, Property]] = {
        "size": Property(kind=Kind.STRING, replace=True),
        "label": Property(kind=Kind.ANY),
        "nested": Property(kind=Kind.MAP),
        "items": Property(kind=Kind.LIST, unordered=True),
        "flag": Property(kind=Kind.BOOLEAN, default=False),
        "count": Property(kind=Kind.INTEGER),
    }

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour

    @override
    def volatile_outputs(self, changed: Any) -> tuple[str, ...]:
        return ("moving",) if "label" in set(changed) else ()

    async def _do(self, name: str, job: Job[None], inputs: Values, default: Any) -> Any:
        self._behaviour.seen.append((name, dict(inputs)))
        action = getattr(self._behaviour, name)
        if action is None:
            return default
        result = action(job, inputs)
        return await result if asyncio.iscoroutine(result) else result

    @override
    async def create(self, job: Job[None], inputs: Values) -> Created:
        created: Created = await self._do("create", job, inputs, Created(id="7", outputs={"fixed": "f", "moving": 1}))
        return created

    @override
    async def update(self, job: Job[None], resource_id: str, old: Values, new: Values, state: Values) -> Values:
        outputs: Values = await self._do("update", job, new, {"fixed": "f", "moving": 2})
        return outputs

    @override
    async def read(self, job: Job[None], resource_id: str, inputs: Values, state: Values) -> Found | None:
        found: Found | None = await self._do("read", job, inputs, Found(inputs=inputs, outputs={"fixed": "f"}))
        return found

    @override
    async def delete(self, job: Job[None], resource_id: str, inputs: Values, state: Values) -> None:
        self._behaviour.seen.append(("delete", dict(inputs)))


class FakeEngine(engine_pb2_grpc.EngineServicer):
    """Collects the live lines."""

    def __init__(self) -> None:
        self.lines: list[Any] = []

    @override
    async def Log(self, request: Any, context: Any) -> Any:
        self.lines.append(request)
        from google.protobuf import empty_pb2  # noqa: PLC0415 - only needed by this stub

        return empty_pb2.Empty()


class Plugin:
    """The engine's side of one provider plugin: plain values in and out."""

    def __init__(self, stub: Any, servicer: ProviderServicer, engine: FakeEngine, behaviour: Behaviour) -> None:
        self.stub = stub
        self.servicer = servicer
        self.engine = engine
        self.behaviour = behaviour

    async def check(self, news: Values, olds: Values | None = None, urn: str = thing_urn()) -> Any:
        return await self.stub.Check(
            provider_pb2.CheckRequest(urn=urn, news=encode_struct(news), olds=encode_struct(olds or {}))
        )

    async def diff(self, old: Values, new: Values, *, ignore: list[str] | None = None, state: Values = {}) -> Any:  # noqa: B006
        request = provider_pb2.DiffRequest(
            id="7",
            urn=thing_urn(),
            olds=encode_struct({**old, **state}),
            news=encode_struct(new),
            old_inputs=encode_struct(old),
            ignoreChanges=ignore or [],
        )
        return await self.stub.Diff(request)

    async def create(
        self, inputs: Values, *, preview: bool = False, timeout_s: float = 0, urn: str = thing_urn()
    ) -> Any:
        request = provider_pb2.CreateRequest(
            urn=urn, properties=encode_struct(inputs), preview=preview, timeout=timeout_s
        )
        return await self.stub.Create(request)

    async def update(self, old: Values, new: Values, state: Values, *, preview: bool = False) -> dict[str, Value]:
        request = provider_pb2.UpdateRequest(
            id="7",
            urn=thing_urn(),
            olds=encode_struct({**old, **state}),
            news=encode_struct(new),
            old_inputs=encode_struct(old),
            preview=preview,
        )
        return decode_struct((await self.stub.Update(request)).properties)

    async def read(self, inputs: Values, state: Values) -> Any:
        request = provider_pb2.ReadRequest(
            id="7", urn=thing_urn(), inputs=encode_struct(inputs), properties=encode_struct({**inputs, **state})
        )
        return await self.stub.Read(request)

    async def cancel(self) -> None:
        from google.protobuf import empty_pb2  # noqa: PLC0415 - only needed here

        await self.stub.Cancel(empty_pb2.Empty())


def failed_details(error: grpc.aio.AioRpcError) -> Any:
    """Read what the engine reads of a partial failure."""
    headers = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(headers["grpc-status-details-bin"])
    failed = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(failed)
    return failed


@pytest.fixture
def behaviour() -> Behaviour:
    """Let the test decide what the handler does."""
    return Behaviour()


@pytest.fixture
async def plugin(config: CloudConfig, behaviour: Behaviour) -> AsyncIterator[Plugin]:
    """Serve the test's handler and speak to it over a real connection."""
    engine = FakeEngine()
    engine_server = grpc.aio.server()
    engine_pb2_grpc.add_EngineServicer_to_server(engine, engine_server)
    engine_port = engine_server.add_insecure_port("127.0.0.1:0")
    await engine_server.start()

    servicer = ProviderServicer(
        Package("command", [Thing(behaviour)]), config, lambda: None, EngineLog(f"127.0.0.1:{engine_port}")
    )
    server = grpc.aio.server()
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Plugin(provider_pb2_grpc.ResourceProviderStub(channel), servicer, engine, behaviour)
    await server.stop(None)
    await engine_server.stop(None)


@pytest.fixture
def stack_of(tmp_path: Path) -> Callable[..., EngineStack]:
    """Build temporary stacks under the real engine."""

    def make(program: Callable[[], None], **options: Any) -> EngineStack:
        directory = tmp_path / f"stack-{len(list(tmp_path.iterdir()))}"
        directory.mkdir()
        return EngineStack(directory, program, **options)

    return make


@pytest.fixture
def stack(stack_of: Callable[..., EngineStack]) -> EngineStack:
    """One throw-away stack with the sample program."""
    return stack_of(Sample())


@pytest.fixture
def stack_up(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> EngineStack:
    """One throw-away stack after the first `up` of the sample program: a copy of one that all such tests share."""

    def make(directory: Path) -> None:
        EngineStack(directory, Sample()).up()

    directory = tmp_path / "stack"
    kept.copy(kept.kept(tmp_path_factory, "sample", make), directory)
    return EngineStack(directory, Sample())
