"""The measured stack: a clone of the last commit, with its own three droplets."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.measure import BenchError, Run, run

ENVIRONMENT = "local-bench"
WORK = Path("/var/tmp/basecommerce-bench")  # noqa: S108 - a fixed place, so that the next run heals one that was killed
ROOT = Path(__file__).resolve().parents[1]
FIRST_PORTS = {"LOCAL_HTTP_PORT": 18080, "LOCAL_HTTPS_PORT": 18443}
"""Where the search for free ports begins: another stack here may use 80 and 443, and the kernel uses ports
from 32768 on for outgoing connections."""


@dataclass(frozen=True)
class Stack:
    """The clone, and `basec` in it."""

    root: Path

    @property
    def hosts(self) -> Mapping[str, Mapping[str, Any]]:
        """The facts that the last `up` wrote of each host, by name."""
        document = yaml.safe_load((self.root / ".basec" / ENVIRONMENT / "inventory.yaml").read_text())
        return dict(document[ENVIRONMENT])

    def argv(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "basec", *arguments]

    def basec(
        self, command: str, *arguments: str, timeout_s: float = 900, environment: Mapping[str, str] | None = None
    ) -> Run:
        """Run one of basec's commands on the measured stack."""
        # Not at the end: after `--` comes a remote command.
        argv = self.argv(command, "--env", ENVIRONMENT, *arguments)
        return run(argv, cwd=self.root, timeout_s=timeout_s, environment=environment)

    def init(self) -> None:
        """Make settings, keys and passwords, with free ports: another stack may run here."""
        ports = {name: str(free_port(first)) for name, first in FIRST_PORTS.items()}
        self.basec("init", environment=ports)

    def up(self) -> Run:
        return self.basec("up")

    def down(self) -> None:
        self.basec("down")

    def remake(self) -> None:
        """Take everything down, and make new settings, keys and passwords: the next `up` starts from nothing."""
        self.down()
        self.init()


@contextmanager
def measured_stack() -> Iterator[Stack]:
    """Clone the last commit and yield its stack, which is not up yet; take everything down at the end."""
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True)
    if changed.stdout:
        raise BenchError("bench: the work tree has uncommitted changes; a figure needs its commit")
    stack = Stack(WORK / "clone")
    if stack.root.exists():
        remove(stack)
    WORK.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "clone", "--quiet", ROOT, stack.root], check=True)
    try:
        stack.init()
        yield stack
    finally:
        remove(stack)


def free_port(first: int) -> int:
    """Return the first free port of 127.0.0.1, searched upwards. Raises BenchError if there is none."""
    for port in range(first, first + 1000):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a recently closed port is free
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise BenchError(f"bench: no free port from {first} on")


def remove(stack: Stack) -> None:
    if (stack.root / ".local" / ENVIRONMENT / "cloud.json").exists():
        stack.down()
    shutil.rmtree(stack.root)
