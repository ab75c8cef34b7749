"""A HAProxy with the shipped configuration of the vertical, on this machine's own ports."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.services.nginx_support import free_ports
from tests.unit.edge_limits import haproxy
from tests.unit.release_support import colours

DEADLINE_S = 5.0
ADDRESSES = {"blue": "172.30.2.21:8000", "green": "172.30.2.22:8000"}


@dataclass(frozen=True)
class HAProxy:
    """One that runs."""

    port: int
    runtime_port: int
    choices: Any
    process: subprocess.Popen[bytes]

    def run(self, argv: Sequence[str], _deadline: float) -> str:
        """Do in this process's place what compose/colours.py runs in HAProxy's container."""
        docker, exec_, _container, *command = argv
        assert (docker, exec_) == ("docker", "exec")
        here = [word.replace("/9999;", f"/{self.runtime_port};") for word in command]
        return subprocess.run(here, capture_output=True, text=True, check=True, timeout=10).stdout

    def workers(self) -> set[str]:
        """Return the processes that serve, of this master."""
        listed = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=False)
        return set(listed.stdout.split())

    def reload(self) -> None:
        """Let it read its configuration again; return when another process serves."""
        before = self.workers()
        self.process.send_signal(signal.SIGUSR2)
        deadline = time.monotonic() + DEADLINE_S
        while not self.workers() - before:
            assert time.monotonic() < deadline
            time.sleep(0.02)


@contextmanager
def running(directory: Path, ports: Mapping[str, int], colour: str) -> Iterator[HAProxy]:
    """Run it with other ports and with checks ten times as fast; `ports` are those of construction, by colour."""
    port, runtime_port, nobody = free_ports(3)
    text = haproxy()
    for shipped, here in {
        "bind :8000": f"bind 127.0.0.1:{port}",
        ADDRESSES["blue"]: f"127.0.0.1:{ports.get('blue', nobody)}",
        ADDRESSES["green"]: f"127.0.0.1:{ports.get('green', nobody)}",
        "ipv4@127.0.0.1:9999": f"ipv4@127.0.0.1:{runtime_port}",
        "inter 1s": "inter 100ms",
        "timeout check 4s": "timeout check 400ms",
    }.items():
        assert shipped in text, shipped
        text = text.replace(shipped, here)
    (directory / "haproxy.cfg").write_text(text)
    choices = colours.Choices(directory / "colours.cfg")
    choices.write({"construction": colour})
    files = (str(directory / name) for name in ("colours.cfg", "haproxy.cfg"))
    command = ["haproxy", "-W", "-db", *(word for file in files for word in ("-f", file))]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        assert process.poll() is None, "HAProxy did not start; its message is above"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.02)
    try:
        yield HAProxy(port, runtime_port, choices, process)
    finally:
        process.terminate()
        process.wait(10)
