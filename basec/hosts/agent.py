"""A private ssh-agent per environment: the login key is piped into it and is never unencrypted in a file.

The agent forgets the key after some hours and then gets it again from the stack's encrypted settings.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import tempfile
from pathlib import Path

from basec.environments import Environment
from basec.session import Session
from topology.errors import BasecommerceError
from topology.names import LOGIN_KEY, PROJECT

KEY_LIFETIME_S = 8 * 3600
SOCKET_PATH_MAX = 108 - 58
"""The kernel's limit for a socket's path, less room for ssh's own `ssh-%C` and its temporary suffix."""
NO_IDENTITIES = 1
AGENT_UNREACHABLE = 2


def socket_path(environment: Environment) -> Path:
    """Return the agent's socket: beside the environment's facts, or in a run directory where that path is too long."""
    beside = environment.facts_dir / "agent"
    if len(str(beside)) <= SOCKET_PATH_MAX:
        return beside
    run = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    digest = hashlib.sha256(str(environment.facts_dir).encode()).hexdigest()[:8]
    return run / f"basec-{os.geteuid()}-{digest}" / "agent"


def ensure_key(session: Session, *, fresh: bool = False) -> None:
    """Make sure that the agent runs and holds the login key; `fresh` replaces the key that it has.

    Raises ConfigurationError when the key is needed and the passphrase is not known.
    """
    socket = socket_path(session.environment)
    state = _list(socket)
    if state == 0 and not fresh:
        return
    key = session.stack_file.secret(f"{PROJECT}:{LOGIN_KEY}")
    if state == AGENT_UNREACHABLE:
        _start(socket)
    elif state == 0:
        _ssh_add(socket, "-D")
    _ssh_add(socket, "-t", str(KEY_LIFETIME_S), "-", key=key if key.endswith("\n") else key + "\n")


def stop(environment: Environment) -> None:
    """End the environment's agent and its kept connections, if it has any."""
    socket = socket_path(environment)
    pid_file = socket.with_suffix(".pid")
    try:
        pid = int(pid_file.read_text())
        if Path(f"/proc/{pid}/comm").read_text().strip() == "ssh-agent":
            os.kill(pid, signal.SIGTERM)
    except (OSError, ValueError):
        pass  # no agent, or one that ended on its own
    config = environment.facts_dir / "ssh_config"
    for control in socket.parent.glob("ssh-*"):
        if config.exists():
            command = ["ssh", "-F", str(config), "-o", f"ControlPath={control}", "-O", "exit", "any"]
            subprocess.run(command, capture_output=True, check=False, timeout=10)
        control.unlink(missing_ok=True)
    for path in (pid_file, socket):
        path.unlink(missing_ok=True)
    if socket.parent != environment.facts_dir and socket.parent.exists():
        socket.parent.rmdir()


def _start(socket: Path) -> None:
    socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if socket.parent.stat().st_uid != os.geteuid():
        raise BasecommerceError(f"basec: {socket.parent}: belongs to another user", "remove it, or set XDG_RUNTIME_DIR")
    socket.unlink(missing_ok=True)
    run = subprocess.run(["ssh-agent", "-s", "-a", str(socket)], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise BasecommerceError(f"basec: ssh-agent: {run.stderr.strip()}", "apt-get install openssh-client")
    pid = next(part.split("=")[1] for part in run.stdout.split(";") if "SSH_AGENT_PID=" in part)
    socket.with_suffix(".pid").write_text(pid)


def _list(socket: Path) -> int:
    return subprocess.run(["ssh-add", "-l"], capture_output=True, check=False, env=_environment(socket)).returncode


def _ssh_add(socket: Path, *arguments: str, key: str | None = None) -> None:
    run = subprocess.run(
        ["ssh-add", "-q", *arguments], input=key, capture_output=True, text=True, check=False, env=_environment(socket)
    )
    if run.returncode != 0:
        raise BasecommerceError(f"basec: ssh-add: {run.stderr.strip()}", "basec --verbose ssh HOST")


def _environment(socket: Path) -> dict[str, str]:
    return {**os.environ, "SSH_AUTH_SOCK": str(socket)}
