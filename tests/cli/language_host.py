"""A stand-in for `pulumi-language-python`, the program between the CLI and a Python program.

Its Go module is not on every module mirror, so tests cannot build it as they build the CLI. This one answers the
engine's calls and starts the virtual environment that Pulumi.yaml names, with the official
`pulumi-language-python-exec`, which the SDK's Go module does hold. What is not tried by it: how the official one
installs dependencies.
"""

from __future__ import annotations

# ruff: noqa: ARG002, N802 - the protocol names methods and arguments
import json
import os
import subprocess
import sys
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format
from pulumi.runtime.proto import language_pb2, plugin_pb2
from pulumi.runtime.proto.language_pb2_grpc import LanguageRuntimeServicer, add_LanguageRuntimeServicer_to_server


class Host(LanguageRuntimeServicer):
    """Runs the program as the official host does."""

    def __init__(self, engine: str, script: str) -> None:
        self.engine, self.script = engine, script

    def Handshake(self, request: Any, context: Any) -> Any:
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="3.259.0")

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:
        return language_pb2.GetRequiredPackagesResponse()

    def GetRequiredPlugins(self, request: Any, context: Any) -> Any:
        return language_pb2.GetRequiredPluginsResponse()

    def Run(self, request: Any, context: Any) -> Any:
        options = json_format.MessageToDict(request.info.options)
        root = Path(request.info.root_directory)
        python = root / options["virtualenv"] / "bin" / "python"
        arguments = {
            "project": request.project,
            "stack": request.stack,
            "parallel": str(request.parallel),
            "dry_run": str(request.dryRun).lower(),
            "pwd": request.info.program_directory,
            "monitor": request.monitor_address,
            "engine": self.engine,
            "organization": request.organization,
            "root_directory": str(root),
        }
        configuration = {
            "PULUMI_CONFIG": json.dumps(dict(request.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
        }
        command = [str(python), "-u", self.script, *(f"--{name}={value}" for name, value in arguments.items())]
        done = subprocess.run(
            [*command, request.info.entry_point], env={**os.environ, **configuration}, cwd=root, check=False
        )
        error = "" if done.returncode in (0, 32) else f"the program ended with {done.returncode}"
        return language_pb2.RunResponse(error=error, bail=done.returncode == 32)


def main(engine: str, script: str) -> None:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    add_LanguageRuntimeServicer_to_server(Host(engine, script), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")  # where the engine calls us
    sys.stdout.flush()
    server.wait_for_termination()


if __name__ == "__main__":
    main(next(one for one in sys.argv[2:] if not one.startswith("-")), sys.argv[1])
