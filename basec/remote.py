"""Run commands on droplets by OpenSSH: pinned host keys, through the bastion, over one kept connection a host."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from basec.agent import ensure_key
from basec.environments import Environment
from basec.facts import Facts
from topology.errors import RemoteError

SSH_FAILED = 255
"""What OpenSSH ends with when it never got to run the command."""


def ssh_command(environment: Environment, host: str, *options: str) -> list[str]:
    config: Path = environment.facts_dir / "ssh_config"
    return ["ssh", "-F", str(config), *options, host]


def interactive(environment: Environment, facts: Facts, host: str, command: Sequence[str]) -> int:
    """Run a shell or a command with the terminal attached and answer the remote's own exit code."""
    name = facts.host(host).name
    ensure_key(environment)
    options = ["-t"] if sys.stdin.isatty() and sys.stdout.isatty() else []
    # One argument joined by spaces, as ssh itself does it: the remote shell sees what the operator typed.
    return subprocess.run(
        [*ssh_command(environment, name, *options), *command], check=False, env=dict(os.environ)
    ).returncode


def run_script(environment: Environment, host: str, script: str, *, timeout_s: float = 60) -> str:
    """Run a shell script, given on standard input, as root on a droplet and answer its output.

    Nothing of the script is in any argument list. Raises RemoteError with the host and the last lines of the output.
    """
    ensure_key(environment)
    return run_with_input(environment, host, ["sudo", "-n", "bash", "-s"], script, timeout_s=timeout_s)


def run_with_input(environment: Environment, host: str, command: Sequence[str], text: str, *, timeout_s: float) -> str:
    """Run a command with text on its standard input. Raises RemoteError."""
    ensure_key(environment)
    try:
        run = subprocess.run(
            [*ssh_command(environment, host, "-T", "-o", "BatchMode=yes"), *command],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        raise RemoteError(
            f"{host}: {' '.join(command)}: no end after {timeout_s:.0f} s", f"basec ssh {host} --env {environment.name}"
        ) from None
    if run.returncode == 0:
        return run.stdout
    tail = "\n  ".join((run.stderr.strip() or run.stdout.strip()).splitlines()[-10:])
    what = "no connection" if run.returncode == SSH_FAILED else f"{' '.join(command)} ended with {run.returncode}"
    raise RemoteError(f"{host}: {what}:\n  {tail}", f"basec ssh {host} --env {environment.name}")
