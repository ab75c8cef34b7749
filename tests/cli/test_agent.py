"""The private agent: it holds the login key, and no file ever does."""

from __future__ import annotations

import os
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from basec.environments import Environment
from basec.hosts import agent
from basec.secrets.secret_values import new_ed25519_key
from basec.secrets.stack_file import StackFile
from basec.session import Session
from topology.errors import ConfigurationError
from topology.keys import public_key


class Keys:
    """Stands for the encrypted settings: counts how often a key was asked for."""

    def __init__(self) -> None:
        self.private = new_ed25519_key()
        self.reads = 0

    def secret(self, key: str) -> str:
        assert key == "basecommerce:login_private_key"
        self.reads += 1
        return self.private


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Keys:
    keys = Keys()
    monkeypatch.setattr(StackFile, "__init__", lambda *_: None)
    monkeypatch.setattr(StackFile, "secret", keys.secret)
    return keys


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    """Yield an environment whose run directory is the test's own, and end its agent."""
    run = Path("/tmp") / f"bc-{os.getpid()}"
    run.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(run))
    environment = Environment(name="local", root=tmp_path / ("deep" * 10))
    yield environment
    agent.stop(environment)
    run.rmdir()


def held(environment: Environment) -> str:
    variables = {**os.environ, "SSH_AUTH_SOCK": str(agent.socket_path(environment))}
    return subprocess.run(["ssh-add", "-L"], env=variables, capture_output=True, text=True, check=False).stdout


def test_the_agent_holds_the_key_and_no_file_does(environment: Environment, keys: Keys, tmp_path: Path) -> None:
    agent.ensure_key(Session(environment))
    assert held(environment).split()[:2] == public_key(keys.private).split()[:2]
    middle = keys.private.splitlines()[2]
    for directory in (tmp_path, agent.socket_path(environment).parent):
        for path in directory.rglob("*"):
            assert not path.is_file() or middle not in path.read_text()


def test_the_key_is_on_no_command_line(environment: Environment, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    run = subprocess.run

    def record(command: list[str], **options: object) -> object:
        commands.append(command)
        return run(command, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", record)
    agent.ensure_key(Session(environment))
    assert ["ssh-add", "-q", "-t", "28800", "-"] in commands
    assert not any(line in " ".join(command) for command in commands for line in keys.private.splitlines()[1:-1])


def test_a_key_that_is_there_is_not_asked_for_again(environment: Environment, keys: Keys) -> None:
    agent.ensure_key(Session(environment))
    agent.ensure_key(Session(environment))
    assert keys.reads == 1


def test_a_fresh_key_replaces_the_old_one(environment: Environment, keys: Keys) -> None:
    agent.ensure_key(Session(environment))
    keys.private = new_ed25519_key()
    agent.ensure_key(Session(environment), fresh=True)
    assert [line.split()[1] for line in held(environment).splitlines()] == [public_key(keys.private).split()[1]]


def test_only_the_owner_reaches_the_agent(environment: Environment, keys: Keys) -> None:
    agent.ensure_key(Session(environment))
    socket = agent.socket_path(environment)
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(socket.stat().st_mode) == 0o600


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that nobody reaps does not."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_stop_ends_the_agent_and_leaves_nothing(environment: Environment, keys: Keys) -> None:
    agent.ensure_key(Session(environment))
    socket = agent.socket_path(environment)
    pid = int(socket.with_suffix(".pid").read_text())
    agent.stop(environment)
    assert not socket.parent.exists()
    deadline = time.monotonic() + 10
    while is_alive(pid):
        assert time.monotonic() < deadline, "the agent was not told to end"
        time.sleep(0.02)
    agent.stop(environment)


def test_stop_ends_no_other_process_of_that_number(environment: Environment) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        socket = agent.socket_path(environment)
        socket.parent.mkdir(parents=True)
        socket.with_suffix(".pid").write_text(str(other.pid))
        agent.stop(environment)
        assert other.poll() is None
        other.kill()


@pytest.mark.parametrize("root", ["/r", "/" + "long/" * 20])
def test_the_path_of_the_socket_fits_the_kernels_limit(root: str) -> None:
    socket = agent.socket_path(Environment(name="local-withasuffix12", root=Path(root)))
    assert len(f"{socket.parent}/ssh-{'c' * 40}.{'x' * 16}") < 108


def test_a_missing_passphrase_starts_no_agent(environment: Environment, clone: Path) -> None:
    local = Environment(name="staging", root=clone)
    with pytest.raises(ConfigurationError):
        agent.ensure_key(Session(local))
    assert not agent.socket_path(local).exists()
