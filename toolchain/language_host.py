"""The host for Python programs, `pulumi-language-python`, where the official one cannot be had.

The official one comes with every release of Pulumi; its Go module is on no public mirror, so a CLI that was built from
source is without it. `pulumi_cli.py` lays this file beside such a CLI, which finds it there and nowhere else: an
official host on PATH goes before it.

It answers the calls (https://github.com/pulumi/pulumi/blob/master/proto/pulumi/language.proto) that running a program
needs: run and cancel, `pulumi about`, `pulumi install`, and the program's packages. It runs in the project's virtual
environment, which has grpc and the SDK; the script `pulumi-language-python` finds that. Not answered: generating code,
debuggers, toolchains other than pip, and policy packs and providers in Python (ours start without it).
"""

from __future__ import annotations

# ruff: noqa: ARG002, N802 - the protocol names methods and arguments
import argparse
import asyncio
import contextlib
import importlib.metadata
import json
import logging
import os
import platform
import runpy
import shutil
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pulumi
from google.protobuf import empty_pb2, json_format
from pulumi.runtime.proto import language_pb2, plugin_pb2
from pulumi.runtime.proto.language_pb2_grpc import LanguageRuntimeServicer, add_LanguageRuntimeServicer_to_server

SHOWN = 32
"""The exit code of a program whose error was shown already (`pulumi-language-python-exec` of the SDK)."""
STOP_S = 10.0
"""Seconds that a program has to end after a cancellation."""
MESSAGE_BYTES = 400 * 1024 * 1024
"""The engine's own limit for a message."""


class LanguageHost(LanguageRuntimeServicer):
    """Answers the engine."""

    def __init__(self, engine: str) -> None:
        """`engine` is the address at which the engine takes messages; a handshake may bring it later."""
        self.engine = engine
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._cancelled = False

    def Handshake(self, request: Any, context: Any) -> Any:
        self.engine = request.engine_address
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=importlib.metadata.version("pulumi"))

    def About(self, request: Any, context: Any) -> Any:
        return language_pb2.AboutResponse(executable=sys.executable, version=platform.python_version())

    def GetProgramDependencies(self, request: Any, context: Any) -> Any:
        found = {each.name: each.version for each in importlib.metadata.distributions()}
        if not request.transitiveDependencies:
            needed = {name for each in importlib.metadata.distributions() for name in _requirements(each)}
            found = {name: version for name, version in found.items() if _normal(name) not in needed}
        listed = [language_pb2.DependencyInfo(name=name, version=found[name]) for name in sorted(found)]
        return language_pb2.GetProgramDependenciesResponse(dependencies=listed)

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:
        packages = [
            plugin_pb2.PackageDependency(name=name, kind="resource", version=version, server=server)
            for name, version, server in required_plugins()
        ]
        return language_pb2.GetRequiredPackagesResponse(packages=packages)

    def GetRequiredPlugins(self, request: Any, context: Any) -> Any:
        plugins = [
            plugin_pb2.PluginDependency(name=name, kind="resource", version=version, server=server)
            for name, version, server in required_plugins()
        ]
        return language_pb2.GetRequiredPluginsResponse(plugins=plugins)

    def RuntimeOptionsPrompts(self, request: Any, context: Any) -> Any:
        return language_pb2.RuntimeOptionsResponse()

    def InstallDependencies(self, request: Any, context: Any) -> Iterator[Any]:
        """Run the project's own script, which makes the virtual environment from locked requirements."""
        script = Path(request.directory) / "scripts/bootstrap"
        command = (
            [str(script)] if script.exists() else [sys.executable, "-m", "pip", "install", "-r", "requirements.txt"]
        )
        done = subprocess.run(
            command, cwd=request.directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        yield language_pb2.InstallDependenciesResponse(stdout=done.stdout)
        if done.returncode != 0:
            context.abort(grpc.StatusCode.INTERNAL, f"{command[0]} ended with {done.returncode}")

    def Run(self, request: Any, context: Any) -> Any:
        info = request.info
        options = json_format.MessageToDict(info.options)
        root = Path(info.root_directory)
        environment = root / str(options.get("virtualenv", ".venv"))
        python = environment / "bin/python"
        if not python.exists():
            return language_pb2.RunResponse(error=f"{environment}: no virtual environment\nhint: scripts/bootstrap")
        arguments = {
            "project": request.project,
            "stack": request.stack,
            "parallel": str(request.parallel),
            "dry-run": str(request.dryRun).lower(),
            "monitor": request.monitor_address,
            "engine": self.engine,
            "organization": request.organization,
            "root": str(root),
        }
        variables = {
            **os.environ,
            "VIRTUAL_ENV": str(environment),
            "PATH": f"{environment}/bin:{os.environ.get('PATH', os.defpath)}",
            "PULUMI_CONFIG": json.dumps(dict(request.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
        }
        program = str(Path(info.program_directory) / info.entry_point)
        # Should this host be killed, the kernel ends the program.
        command = ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []
        command += [str(python), "-u", __file__, "--program", program]
        command += [f"--{name}={value}" for name, value in arguments.items()]
        with self._lock:
            if self._cancelled:
                return language_pb2.RunResponse(error="cancelled")
            # A session of its own: Ctrl-C in a terminal is for the engine, which then ends the program in order.
            process = subprocess.Popen(command, env=variables, cwd=info.program_directory, start_new_session=True)
            self._running.add(process)
        code = process.wait()
        with self._lock:
            self._running.discard(process)
        if code == SHOWN:
            return language_pb2.RunResponse(bail=True)
        if self._cancelled:
            return language_pb2.RunResponse(error="cancelled")
        return language_pb2.RunResponse(error=f"the program ended with {code}" if code else "")

    def Cancel(self, request: Any, context: Any) -> Any:
        """End the program: first asked, then killed."""
        with self._lock:
            self._cancelled, running = True, tuple(self._running)
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
        return empty_pb2.Empty()


def required_plugins() -> list[tuple[str, str, str]]:
    """Return the provider plugins of the installed SDKs: name, version and download server, as each SDK tells them."""
    found = []
    for distribution in importlib.metadata.distributions():
        for file in distribution.files or ():
            if file.name == "pulumi-plugin.json":
                told = json.loads(Path(str(distribution.locate_file(file))).read_text())
                if told.get("resource"):
                    version = told.get("version") or distribution.version
                    found.append((str(told["name"]), f"v{str(version).removeprefix('v')}", str(told.get("server", ""))))
    return sorted(found)


def _requirements(distribution: importlib.metadata.Distribution) -> Iterator[str]:
    for line in distribution.requires or ():
        if "extra ==" not in line:
            yield _normal(line.split(";")[0].split("[")[0].strip(" ()<>=!~0123456789.,"))


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def run_program(arguments: argparse.Namespace) -> int:
    """Run the program as the SDK's own runner does, in this process. Answers the exit code."""
    pulumi.runtime.set_all_config(pulumi.runtime.get_config_env(), pulumi.runtime.get_config_secret_keys_env())
    pulumi.runtime.configure(
        pulumi.runtime.Settings(
            monitor=arguments.monitor,
            engine=arguments.engine,
            project=arguments.project,
            stack=arguments.stack,
            parallel=int(arguments.parallel),
            dry_run=arguments.dry_run == "true",
            organization=arguments.organization,
            root_directory=arguments.root,
        )
    )
    sys.argv = [arguments.program]
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # the SDK leaves futures behind when a program fails
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.set_default_executor(futures.ThreadPoolExecutor(max(int(arguments.parallel), 1) * 4))

    def program() -> None:
        runpy.run_path(arguments.program, run_name="__main__")

    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(program))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return 1
    except Exception:
        pulumi.log.error(f"Program failed with an unhandled exception:\n{traceback.format_exc()}")
        return SHOWN
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def serve(engine: str) -> None:
    """Serve the engine until it ends this process."""
    # Ctrl-C reaches every process of the terminal; the engine says what is to be done about it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    server = grpc.server(
        futures.ThreadPoolExecutor(8),
        options=[("grpc.max_receive_message_length", MESSAGE_BYTES), ("grpc.max_send_message_length", MESSAGE_BYTES)],
    )
    add_LanguageRuntimeServicer_to_server(LanguageHost(engine), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")  # where the engine calls us
    sys.stdout.flush()
    with contextlib.suppress(KeyboardInterrupt):
        server.wait_for_termination()


def main(argv: list[str]) -> int:
    """Run a program, or be the host: the engine gives its own address as the last argument."""
    if "--program" in argv:
        parser = argparse.ArgumentParser()
        for name in ("program", "project", "stack", "parallel", "dry-run", "monitor", "engine", "organization", "root"):
            parser.add_argument(f"--{name}", required=True)
        return run_program(parser.parse_args(argv))
    serve(next((word for word in reversed(argv) if not word.startswith("-")), ""))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
