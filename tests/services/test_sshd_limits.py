"""sshd's limits of connections before a login, with a real sshd: a stranger who holds hundreds keeps nobody out."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.program.recording import ENGINE_LOGINS_AT_ONCE
from tests.services import servers
from tests.services.nginx_support import free_port
from topology.cloud_init import SSHD_LIMITS

STRANGER, OPERATOR = "127.0.0.2", "127.0.0.3"
IDLE = 250
BEFORE = ("MaxStartups 100:30:200", "LoginGraceTime 120")
"""What droplets had when a stranger kept operators out."""


class Sshd:
    """A running sshd on every loopback address, for the user who runs the tests."""

    def __init__(self, directory: Path, port: int) -> None:
        self._directory = directory
        self.port = port

    def hold(self, count: int, source: str) -> ExitStack:
        """Open connections and say nothing on them."""
        held = ExitStack()
        for _ in range(count):
            held.enter_context(socket.create_connection(("127.0.0.1", self.port), 5, (source, 0)))
        return held

    def logs_in(self, source: str) -> bool:
        command = [
            "ssh",
            *("-F", "none", "-b", source, "-p", str(self.port), "-i", str(self._directory / "login")),
            *("-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"),
            *("-o", f"UserKnownHostsFile={self._directory / 'known_hosts'}", "-o", "GlobalKnownHostsFile=none"),
            *("127.0.0.1", "true"),
        ]
        return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0


@contextmanager
def running_sshd(directory: Path, limits: Iterable[str]) -> Iterator[Sshd]:
    directory.mkdir()
    for name in ("host", "login"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / name], check=True)
    port = free_port()
    public = (directory / "host.pub").read_text()
    (directory / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}")
    own = [
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {directory}/host",
        f"AuthorizedKeysFile {directory}/login.pub",
        "StrictModes no",  # pytest's directory lies below one that everybody may write
        "PidFile none",
        "UsePAM no",
    ]
    (directory / "sshd_config").write_text("\n".join([*own, *limits, ""]))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd of root locks itself in; Debian's unit makes it
    program = servers.sshd()
    assert program
    with (directory / "log").open("w") as log:
        process = subprocess.Popen([program, "-D", "-e", "-f", directory / "sshd_config"], stderr=log)
    try:
        deadline = time.monotonic() + 10
        while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
            assert process.poll() is None, (directory / "log").read_text()
            assert time.monotonic() < deadline, (directory / "log").read_text()
            time.sleep(0.05)
        yield Sshd(directory, port)
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with running_sshd(tmp_path / "sshd", SSHD_LIMITS) as running:
        yield running


def test_an_operator_logs_in_while_a_stranger_holds_250_connections(sshd: Sshd) -> None:
    with sshd.hold(IDLE, STRANGER):
        assert [sshd.logs_in(OPERATOR) for _ in range(8)] == [True] * 8
        assert not sshd.logs_in(STRANGER)


def test_without_a_limit_by_address_the_same_stranger_keeps_operators_out(tmp_path: Path) -> None:
    with running_sshd(tmp_path / "sshd", BEFORE) as sshd, sshd.hold(IDLE, STRANGER):
        assert not all(sshd.logs_in(OPERATOR) for _ in range(8))


def test_the_engine_logs_in_as_often_at_once_as_it_may(sshd: Sshd) -> None:
    with ThreadPoolExecutor(ENGINE_LOGINS_AT_ONCE) as pool:
        assert all(pool.map(lambda _: sshd.logs_in(OPERATOR), range(ENGINE_LOGINS_AT_ONCE * 2)))


def test_a_connection_that_says_nothing_is_closed_and_its_place_is_free_again(sshd: Sshd) -> None:
    (grace,) = (int(line.split()[1]) for line in SSHD_LIMITS if line.startswith("LoginGraceTime"))
    (share,) = (int(line.split()[1]) for line in SSHD_LIMITS if line.startswith("PerSourceMaxStartups"))
    with sshd.hold(share, OPERATOR):
        assert not sshd.logs_in(OPERATOR)
        time.sleep(grace + 1)
        assert sshd.logs_in(OPERATOR)
