"""The stack that is measured: a clone of the last commit, with three droplets of its own."""

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
"""Where the search for free ports begins: 80 and 443 are those of a stack that runs beside, and the kernel gives ports
from 32768 on to whoever connects to something."""


@dataclass(frozen=True)
class Stack:
    """The clone, and `basec` in it."""

    root: Path

    @property
    def hosts(self) -> Mapping[str, Mapping[str, Any]]:
        """What the last `up` left of each host, by name."""
        document = yaml.safe_load((self.root / ".basec" / ENVIRONMENT / "inventory.yaml").read_text())
        return dict(document[ENVIRONMENT])

    def argv(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "basec", *arguments]

    def basec(
        self, command: str, *arguments: str, timeout_s: float = 900, environment: Mapping[str, str] | None = None
    ) -> Run:
        """Run one of basec's commands on the measured stack."""
        # Not at the end: what stands behind `--` is a remote command.
        argv = self.argv(command, "--env", ENVIRONMENT, *arguments)
        return run(argv, cwd=self.root, timeout_s=timeout_s, environment=environment)

    def init(self) -> None:
        """Make settings, keys and passwords, on ports that nobody has: a stack may run beside."""
        ports = {name: str(free_port(first)) for name, first in FIRST_PORTS.items()}
        self.basec("init", environment=ports)

    def up(self) -> Run:
        return self.basec("up")

    def down(self) -> None:
        self.basec("down")

    def remake(self) -> None:
        """Take everything down, and make settings, keys and passwords anew: the next `up` starts from nothing."""
        self.down()
        self.init()


@contextmanager
def measured_stack() -> Iterator[Stack]:
    """Clone the last commit and give its stack, which is not up yet; take everything down in the end."""
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True)
    if changed.stdout:
        raise BenchError("bench: the work tree has changes that are not committed; a figure must name its commit")
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
    """Return the first port of 127.0.0.1 from there on at which nobody listens. Raises BenchError if none is."""
    for port in range(first, first + 1000):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what was closed a minute ago is free
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise BenchError(f"bench: no port from {first} on is free")


def remove(stack: Stack) -> None:
    if (stack.root / ".local" / ENVIRONMENT / "cloud.json").exists():
        stack.down()
    shutil.rmtree(stack.root)
