"""Entry of the provider plugins: `python -m localcloud.plugin digitalocean|cloudflare|command <engine address>`.

The engine starts one process per package and operation, reads the port from standard output and keeps the other end
of standard input: when that closes, the engine is gone (also after kill -9) and the plugin ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import os
import signal
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from localcloud.config import CloudConfig
    from localcloud.provider.handler import Package

PACKAGES = ("digitalocean", "cloudflare", "command")
MESSAGE_BYTES_MAX = 400 * 1024 * 1024
"""Limit of one gRPC message, the same as the engine's. Source: sdk/go/common/util/rpcutil of Pulumi 3.259.0."""
EXIT_USAGE = 2


def main(arguments: list[str]) -> int:
    """Serve one package until the engine ends."""
    if not arguments or arguments[0] not in PACKAGES:
        print(f"usage: python -m localcloud.plugin {'|'.join(PACKAGES)} [engine address]", file=sys.stderr)  # noqa: T201
        return EXIT_USAGE
    _forget_secrets()
    _skip_sdk_import()
    addresses = [argument for argument in arguments[1:] if not argument.startswith("-")]
    threading.Thread(target=_exit_with_engine, name="engine-watch", daemon=True).start()
    asyncio.run(_serve(arguments[0], addresses[0] if addresses else None))
    return 0


def _forget_secrets() -> None:
    """Drop the passphrase and the provider settings the engine put into the environment: children inherit it."""
    for name in [name for name in os.environ if name.startswith("PULUMI_CONFIG")]:
        del os.environ[name]


def _skip_sdk_import() -> None:
    """Make modules of `pulumi.runtime.proto` importable without running the whole SDK (0.2 s of each start)."""
    spec = importlib.util.find_spec("pulumi")
    if "pulumi" in sys.modules or spec is None or spec.origin is None:
        return
    root = Path(spec.origin).parent
    for name in ("pulumi", "pulumi.runtime", "pulumi.runtime.proto"):
        path = root.joinpath(*name.split(".")[1:])
        module = ModuleType(name)
        module.__path__ = [str(path)]
        sys.modules[name] = module


def _exit_with_engine() -> None:
    """End at once when the engine closes our standard input. Children die with us (setpriv --pdeathsig)."""
    with contextlib.suppress(OSError, ValueError):
        while os.read(sys.stdin.fileno(), 4096):
            pass
    os._exit(0)


async def _serve(name: str, engine_address: str | None) -> None:
    import grpc.aio  # noqa: PLC0415 - after _skip_sdk_import, like the rest here
    from pulumi.runtime.proto import provider_pb2_grpc  # noqa: PLC0415

    from localcloud.config import CloudConfig, Mode  # noqa: PLC0415
    from localcloud.dry import apply_faults  # noqa: PLC0415
    from localcloud.provider.reporting import EngineLog  # noqa: PLC0415
    from localcloud.provider.servicer import ProviderServicer  # noqa: PLC0415

    config = CloudConfig.from_environment()

    async def hook(when: str, op: str, token: str, resource: str) -> None:
        await apply_faults(config.state, when, op, token, resource)

    servicer = ProviderServicer(
        package(name),
        config,
        lambda: backend(name, config),
        EngineLog(engine_address),
        hook if config.mode is Mode.DRY else None,
    )
    limits = [
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ]
    server = grpc.aio.server(options=limits)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)  # type: ignore[no-untyped-call,unused-ignore]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    def on_interrupt() -> None:
        """End on the engine's own SIGINT, which follows Cancel; the engine handles Ctrl-C in a terminal."""
        if servicer.cancel_seen and servicer.idle:
            os._exit(0)

    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, on_interrupt)
    print(port, flush=True)  # noqa: T201 - the engine reads the port here, with no time-out: it must be flushed
    await server.wait_for_termination()


def package(name: str) -> Package:
    """Load the resource types of one stand-in only: start time is paid at every operation."""
    loaded: Package = importlib.import_module(f"localcloud.{name}.resources").package()
    return loaded


def backend(name: str, config: CloudConfig) -> Any:
    """Build their back-end: from the stand-in's `real.py` or its `dry.py`."""
    return importlib.import_module(f"localcloud.{name}.{config.mode.value}").backend(config)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
