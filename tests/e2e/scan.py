"""Scans of every TCP port from inside a network namespace, with nmap."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.e2e.stack import docker

Pace = tuple[str, ...]


def _steady(probes: int, patience: str) -> Pace:
    """Have so many probes under way at most, and wait so long for each answer: then no buffer overflows."""
    window = ("--min-parallelism", str(probes), "--max-parallelism", str(probes))
    return (*window, "--initial-rtt-timeout", patience, "--max-rtt-timeout", patience, "--max-retries", "1")


BRISK = _steady(4000, "75ms")
"""3 to 14 s a host, by the machine. Not a rate: where the machine is slow, nmap then sends and never reads answers."""
SURE = _steady(600, "150ms")
"""20 to 30 s a host."""
CANARY_PORT = 61_234
"""A listener of the test's own, high up: a scan that does not find it proves nothing."""


def process_of(container: str) -> int:
    """Return the process whose namespaces are the container's. Raises AssertionError when it does not run."""
    pid = int(docker("inspect", "--format", "{{.State.Pid}}", container))
    assert pid > 0, f"{container} does not run"
    return pid


def in_network_of(container: str, *command: str, check: bool = True, stdin: str | None = None) -> str:
    """Run one of the machine's own programs in a container's network. Raises AssertionError on failure."""
    whole = ["nsenter", "--target", str(process_of(container)), "--net", *command]
    done = subprocess.run(whole, input=stdin, capture_output=True, text=True, check=False, timeout=300)
    assert not check or done.returncode == 0, f"{' '.join(command[:4])}: {done.stdout}{done.stderr}"
    return done.stdout


@contextmanager
def canary(container: str) -> Iterator[None]:
    """Listen on the canary's port in a container's network."""
    command = ["nsenter", "--target", str(process_of(container)), "--net"]
    command += ["python3", "-m", "http.server", "--bind", "0.0.0.0", str(CANARY_PORT)]  # noqa: S104 - in a namespace of the test
    listener = subprocess.Popen(command, cwd="/proc", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while str(CANARY_PORT) not in in_network_of(container, "ss", "-Hltn"):
            assert listener.poll() is None, "the canary did not start"
            time.sleep(0.05)
        yield
    finally:
        listener.kill()
        listener.wait()


def every_port(container: str, targets: Sequence[str], pace: Pace = BRISK) -> set[tuple[str, int]]:
    """Return all open TCP ports of the targets as seen from a container: pairs of address and port."""
    scan = ("nmap", "-Pn", "-n", "-sS", "-p-", *pace, "-oG", "-")
    report = in_network_of(container, *scan, *targets)
    assert report.count("Ports:") + report.count("Status: Up") >= len(targets), report
    return {
        (line.split()[1], int(port))
        for line in report.splitlines()
        if "Ports:" in line
        for port in re.findall(r"(\d+)/open/tcp", line)
    }
