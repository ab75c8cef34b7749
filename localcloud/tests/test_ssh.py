"""remote.Command over SSH: real connections to asyncssh servers on loopback, with and without a bastion."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncssh
import pytest
from typing_extensions import override

from localcloud.command.ssh import run
from localcloud.errors import CloudError

LOGIN = asyncssh.generate_private_key("ssh-ed25519")
STRANGER = asyncssh.generate_private_key("ssh-ed25519")


def private(key: asyncssh.SSHKey) -> str:
    return key.export_private_key().decode()


def public(key: asyncssh.SSHKey) -> str:
    return key.export_public_key().decode()


class Login(asyncssh.SSHServer):
    """Accepts the login key and any forwarding."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    @override
    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._machine.connections += 1

    @override
    def public_key_auth_supported(self) -> bool:
        return True

    @override
    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == "basec" and key.public_data == LOGIN.public_data

    @override
    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        return True


@dataclass
class Machine:
    """One SSH server that runs scripts with the local shell."""

    port: int
    host_key: asyncssh.SSHKey
    connections: int = 0
    server: asyncssh.SSHAcceptor | None = None

    async def start(self) -> None:
        self.server = await asyncssh.create_server(
            lambda: Login(self), "127.0.0.1", self.port, server_host_keys=[self.host_key], process_factory=_shell
        )

    def connection(self, **more: object) -> dict[str, object]:
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "user": "basec",
            "privateKey": private(LOGIN),
            "hostKey": public(self.host_key),
            "dialErrorLimit": 2,
            "perDialTimeout": 5,
            **more,
        }


async def _shell(process: asyncssh.SSHServerProcess[str]) -> None:
    child = await asyncio.create_subprocess_shell(
        process.command or "",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate((await process.stdin.read()).encode())
    process.stdout.write(out.decode())
    process.stderr.write(err.decode())
    process.exit(child.returncode or 0)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def silent(line: str) -> None:
    """Show nothing."""


@pytest.fixture
async def machine() -> AsyncIterator[Machine]:
    made = Machine(free_port(), asyncssh.generate_private_key("ssh-ed25519"))
    await made.start()
    yield made
    assert made.server is not None
    made.server.close()


@pytest.fixture
async def bastion() -> AsyncIterator[Machine]:
    made = Machine(free_port(), asyncssh.generate_private_key("ssh-ed25519"))
    await made.start()
    yield made
    assert made.server is not None
    made.server.close()


async def test_the_script_runs_in_the_remote_shell_and_output_loses_its_last_newline(machine: Machine) -> None:
    result = await run(machine.connection(), "A=1; echo out $A; echo err >&2", None, silent)
    assert (result.stdout, result.stderr) == ("out 1", "err")


async def test_stdin_arrives_whole_and_ends(machine: Machine) -> None:
    payload = "x" * 3_000_000
    assert (await run(machine.connection(), "wc -c", payload, silent)).stdout.strip() == str(len(payload))
    assert (await asyncio.wait_for(run(machine.connection(), "cat; echo end", None, silent), 5)).stdout == "end"


async def test_a_failed_script_tells_host_code_and_last_error_lines_but_never_stdin(machine: Machine) -> None:
    with pytest.raises(CloudError) as caught:
        await run(machine.connection(), "cat >/dev/null; seq 50 >&2; exit 7", "the-secret-payload", silent)
    message = str(caught.value)
    assert message.startswith("127.0.0.1: the command ended with exit code 7; last lines of its standard error:\n11\n")
    assert message.endswith("\n50")
    assert "the-secret-payload" not in message


async def test_the_machine_is_reached_through_the_bastion(machine: Machine, bastion: Machine) -> None:
    result = await run(machine.connection(proxy=bastion.connection()), "echo through", None, silent)
    assert result.stdout == "through"
    assert (bastion.connections, machine.connections) == (1, 1)


async def test_each_command_dials_anew_since_sshd_reads_permit_open_at_the_start(
    machine: Machine, bastion: Machine
) -> None:
    for _ in range(2):
        await run(machine.connection(proxy=bastion.connection()), "true", None, silent)
    assert (bastion.connections, machine.connections) == (2, 2)


@pytest.mark.parametrize("hop", ["target", "bastion"])
async def test_a_wrong_host_key_fails_at_once_and_names_the_machine(
    machine: Machine, bastion: Machine, hop: str
) -> None:
    wrong = {"hostKey": public(STRANGER), "dialErrorLimit": 30}
    if hop == "target":
        connection, guilty = machine.connection(proxy=bastion.connection(), **wrong), machine
    else:
        connection, guilty = machine.connection(proxy=bastion.connection(**wrong)), bastion
    started = time.monotonic()
    with pytest.raises(CloudError) as caught:
        await run(connection, "touch /tmp/never", None, silent)
    assert time.monotonic() - started < 3
    assert str(caught.value).startswith(f"basec@127.0.0.1:{guilty.port}: wrong host key")
    assert str(caught.value).endswith("if it is the droplet, restore its host key or replace it")
    assert guilty.connections <= 1


async def test_a_refused_login_key_fails_at_once(machine: Machine) -> None:
    with pytest.raises(CloudError) as caught:
        await run(machine.connection(privateKey=private(STRANGER), dialErrorLimit=30), "true", None, silent)
    assert str(caught.value).startswith(f"basec@127.0.0.1:{machine.port}: login refused")
    assert machine.connections == 1


async def test_refused_dials_are_retried_until_the_limit_is_exceeded(machine: Machine) -> None:
    lines: list[str] = []

    async def progress(line: str) -> None:
        lines.append(line)

    port = free_port()
    started = time.monotonic()
    with pytest.raises(CloudError) as caught:
        await run(machine.connection(port=port, dialErrorLimit=2), "true", None, progress)
    assert time.monotonic() - started >= 0.1 + 0.15
    assert str(caught.value).startswith(f"basec@127.0.0.1:{port}: no connection after 3 dials: ")
    assert [line.split(" failed")[0] for line in lines] == ["dial 1/2", "dial 2/2"]


async def test_a_machine_that_comes_up_meanwhile_is_reached(bastion: Machine) -> None:
    late = Machine(free_port(), asyncssh.generate_private_key("ssh-ed25519"))

    async def start_late() -> None:
        await asyncio.sleep(0.6)
        await late.start()

    starting = asyncio.ensure_future(start_late())
    try:
        result = await run(late.connection(dialErrorLimit=30, proxy=bastion.connection()), "echo up", None, silent)
    finally:
        await starting
        assert late.server is not None
        late.server.close()
    assert result.stdout == "up"


async def test_a_machine_that_says_nothing_is_given_up_after_the_dial_time_out() -> None:
    mute = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = mute.sockets[0].getsockname()[1]
    silent_machine = Machine(port, STRANGER)
    started = time.monotonic()
    with pytest.raises(CloudError) as caught:
        await run(silent_machine.connection(perDialTimeout=1, dialErrorLimit=0), "true", None, silent)
    mute.close()
    assert 0.9 < time.monotonic() - started < 4
    assert "no connection after 1 dials: timed out" in str(caught.value)


async def test_an_unreadable_private_key_is_refused_without_showing_it(machine: Machine) -> None:
    with pytest.raises(CloudError) as caught:
        await run(machine.connection(privateKey="secret nonsense"), "true", None, silent)
    assert str(caught.value) == f"basec@127.0.0.1:{machine.port}: privateKey is not a readable OpenSSH private key"
    assert caught.value.__cause__ is None
