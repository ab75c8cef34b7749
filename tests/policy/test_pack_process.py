"""The pack as a program: it prints its port at once, ends with the engine, and leaves Ctrl-C to the engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import analyzer_pb2_grpc

from tests.policy.dry_stack import PACK

DEADLINE_S = 60
"""Generous: starting takes a second on a quiet machine."""


@pytest.fixture
def pack() -> Iterator[subprocess.Popen[bytes]]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    command = [str(PACK), "127.0.0.1:1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        yield process
        process.kill()


def port(process: subprocess.Popen[bytes]) -> int:
    assert process.stdout
    return int(process.stdout.readline())


def test_it_ends_when_the_engine_is_gone(pack: subprocess.Popen[bytes]) -> None:
    assert port(pack) > 0
    assert pack.stdin
    pack.stdin.close()
    assert pack.wait(DEADLINE_S) == 0


def test_an_interrupt_ends_it_only_after_the_engine_said_so(pack: subprocess.Popen[bytes]) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{port(pack)}") as channel:
        engine = analyzer_pb2_grpc.AnalyzerStub(channel)  # type: ignore[no-untyped-call,unused-ignore]
        pack.send_signal(signal.SIGINT)
        assert engine.GetPluginInfo(empty_pb2.Empty()).version
        assert engine.GetAnalyzerInfo(empty_pb2.Empty()).name == "basecommerce"
        engine.Cancel(empty_pb2.Empty())
    pack.send_signal(signal.SIGINT)
    assert pack.wait(DEADLINE_S) == 0


@pytest.fixture
def passing_on(monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """The pack under an engine that basec started: basec itself serves the rules, at this port."""
    monkeypatch.setenv("BASECOMMERCE_POLICY_PORT", "40404")
    with subprocess.Popen([str(PACK), "127.0.0.1:1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_under_basec_it_passes_the_port_on_and_ends_with_the_engine(passing_on: subprocess.Popen[bytes]) -> None:
    assert port(passing_on) == 40404
    assert passing_on.stdin
    passing_on.stdin.close()
    assert passing_on.wait(DEADLINE_S) == 0


def test_under_basec_an_interrupt_ends_it(passing_on: subprocess.Popen[bytes]) -> None:
    assert port(passing_on) == 40404
    passing_on.send_signal(signal.SIGINT)
    assert passing_on.wait(DEADLINE_S) == -signal.SIGINT


def test_without_the_sdk_it_says_what_to_do() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(PACK.with_name("serve.py"))], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == (
        "policy: this python3 has no Pulumi SDK\nhint: activate .venv, or run the operation with basec\n"
    )
