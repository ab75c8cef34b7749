"""The plugin as a process: how it starts, what it forgets, and how it ends with the engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2_grpc

from localcloud.config import CloudConfig
from localcloud.tests.engine_stack import ROOT

Process = subprocess.Popen[bytes]


@pytest.fixture
def process(config: CloudConfig, tmp_path: Path) -> Iterator[Process]:
    """Start a plugin as the engine does: pipes, and secrets in the environment."""
    cloud = tmp_path / "cloud.json"
    cloud.write_text(config.to_json())
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "LOCALCLOUD_CONFIG": str(cloud),
        "PULUMI_CONFIG_PASSPHRASE": "top-secret",
        "PULUMI_CONFIG": '{"digitalocean:token": "top-secret"}',
    }
    arguments = [sys.executable, "-m", "localcloud.plugin", "digitalocean", "127.0.0.1:1"]
    started = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    yield started
    if started.poll() is None:
        started.kill()
    started.wait()


def port_of(process: Process) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def cancel(port: int) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        provider_pb2_grpc.ResourceProviderStub(channel).Cancel(empty_pb2.Empty(), timeout=5)


def test_the_port_is_printed_through_a_pipe_at_once(process: Process) -> None:
    assert 0 < port_of(process) < 65536


def test_the_plugin_ends_when_the_engine_is_gone(process: Process) -> None:
    port_of(process)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(2) == 0


def test_an_interrupt_of_the_terminal_is_left_to_the_engine(process: Process) -> None:
    port = port_of(process)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    cancel(port)
    time.sleep(0.3)
    assert process.poll() is None, "Cancel comes at a normal end too: the plugin goes on"
    process.send_signal(signal.SIGINT)
    assert process.wait(2) == 0


def test_the_sdk_is_not_imported_as_a_whole() -> None:
    code = (
        "import sys; from localcloud import plugin; plugin._skip_sdk_import();"
        "from pulumi.runtime.proto import provider_pb2_grpc; plugin.package('digitalocean');"
        "bad = {'pulumi.automation', 'pulumi.resource', 'asyncssh'} & set(sys.modules);"
        "sys.exit(str(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_secrets_of_the_engine_are_dropped_from_the_environment() -> None:
    code = (
        "import os; from localcloud import plugin; plugin._forget_secrets();"
        "assert not [name for name in os.environ if name.startswith('PULUMI_CONFIG')]"
    )
    secrets = {"PULUMI_CONFIG_PASSPHRASE": "x", "PULUMI_CONFIG_PASSPHRASE_FILE": "y", "PULUMI_CONFIG": "{}"}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env={**os.environ, **secrets})


def test_an_unknown_package_is_a_usage_error() -> None:
    arguments = [sys.executable, "-m", "localcloud.plugin", "aws"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr == "usage: python -m localcloud.plugin digitalocean|cloudflare|command [engine address]\n"
