"""Run commands on droplets by OpenSSH: pinned host keys, through the bastion, one kept connection per host."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from basec.environments import Environment
from basec.hosts.agent import ensure_key
from basec.hosts.facts import Facts
from basec.io.temporary import temporary_directory
from basec.session import Session
from topology.errors import RemoteError

BATCH = ("-T", "-o", "BatchMode=yes")
SHOWN = 80
"""Characters of an answer that cannot be read."""
STOP_GRACE_S = 2.0
SSH_FAILED = 255
"""OpenSSH's exit code when it could not run the command."""


class UnreachableError(RemoteError):
    """No answer: no connection, or no end within the time limit."""


NO_CONNECTION = (
    (
        RemoteError,
        "Host key verification failed|IDENTIFICATION HAS CHANGED",
        "wrong host key: what answers there is not the machine of this stack; nothing was sent to it",
        "find out who answers; if the stack has a new key for it: basec inventory refresh --env {environment}",
    ),
    (
        RemoteError,
        r"Permission denied \(publickey",
        "login refused: the machine does not accept this stack's key",
        "basec up --env {environment}; if it fails again, restore ~/.ssh/authorized_keys from the provider's console",
    ),
    (
        UnreachableError,
        "timed out|refused|No route|unreachable|forwarding failed|banner"
        r"|kex_exchange_identification|Connection closed by|Connection reset by \S+ port",
        "cannot be reached by SSH: {said}",
        "basec status --env {environment} shows which hosts answer; the edge is the way to the others",
    ),
)
"""OpenSSH's messages when it gets no connection, what they mean, and what to do; the first match counts.

`Read from remote host ...: Connection reset by peer` is not among them: a command had begun on that host.
"""


def ssh_command(environment: Environment, host: str, *options: str) -> list[str]:
    config: Path = environment.facts_dir / "ssh_config"
    return ["ssh", "-F", str(config), *options, host]


def shell_words(command: Sequence[str]) -> list[str]:
    """Return a command as the one argument that the remote shell reads: several words arrive as they are.

    One word alone is a line for that shell, such as `docker ps | wc -l`: ssh itself would join several with spaces.
    """
    return list(command) if len(command) <= 1 else [shlex.join(command)]


def interactive(session: Session, facts: Facts, host: str, command: Sequence[str]) -> int:
    """Run a shell or a command with the terminal attached and return the remote's own exit code."""
    name = facts.host(host).name
    ensure_key(session)
    options = ["-t"] if sys.stdin.isatty() and sys.stdout.isatty() else []
    # ssh's own messages go to a file: standard error belongs to the remote command.
    with temporary_directory("basec-ssh-") as directory:
        log = directory / "log"
        log.touch()
        argv = [*ssh_command(session.environment, name, "-E", str(log), *options), *shell_words(command)]
        code = subprocess.run(argv, check=False, env=dict(os.environ)).returncode
        said = log.read_text(errors="replace").strip()
    if code == SSH_FAILED and said:
        raise failure(session.environment, name, "ssh", code, said)
    return code


def run_script(session: Session, host: str, script: str, *, timeout_s: float = 60) -> str:
    """Run a shell script, given on standard input, as root on a droplet and return its output.

    Nothing of the script is in any argument list. Raises RemoteError with the host and the last lines of the output.
    """
    return run_with_input(session, host, ["sudo", "-n", "bash", "-s"], script, timeout_s=timeout_s)


def run_with_input(session: Session, host: str, command: Sequence[str], text: str, *, timeout_s: float) -> str:
    """Run a command with text on its standard input. Raises RemoteError."""
    ensure_key(session)
    try:
        run = subprocess.run(
            [*ssh_command(session.environment, host, *BATCH), *shell_words(command)],
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        raise UnreachableError(
            f"{host}: {' '.join(command)}: not finished after {timeout_s:.0f} s",
            f"basec ssh {host} --env {session.environment.name}",
        ) from None
    if run.returncode == 0:
        return run.stdout
    raise failure(
        session.environment, host, " ".join(command), run.returncode, run.stderr.strip() or run.stdout.strip()
    )


def run_program(
    session: Session, host: str, source: str, arguments: Sequence[str], *, timeout_s: float, text: str = ""
) -> str:
    """Run a Python program, given as its text, as root on a droplet and return its output. Raises RemoteError.

    `text` is what the program reads from its standard input.
    """
    return run_with_input(session, host, _python(source, arguments), source + text, timeout_s=timeout_s)


def ask_program(
    session: Session, host: str, source: str, arguments: Sequence[str], *, timeout_s: float, text: str = ""
) -> dict[str, Any]:
    """Run a Python program as `run_program` does, and return the JSON object that it printed. Raises RemoteError."""
    output = run_program(session, host, source, arguments, timeout_s=timeout_s, text=text)
    with suppress(ValueError, RecursionError):
        document = json.loads(output)
        if isinstance(document, dict):
            return document
    raise RemoteError(
        f"{host}: its answer is not a JSON object: {output[:SHOWN]!r}",
        f"basec ssh {host} --env {session.environment.name}",
    )


@contextmanager
def started_program(
    environment: Environment, host: str, source: str, arguments: Sequence[str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a Python program as root on a droplet; at the end of the block it has ended, here and there.

    Its standard input stays open, and its end shows the program that nobody reads any more. A session of its own
    keeps the terminal's Ctrl-C from it: only we decide when it ends. The caller first ensures the key in the agent,
    and reads and closes both outputs.
    """
    process = subprocess.Popen(
        [*ssh_command(environment, host, *BATCH), *shell_words(_python(source, arguments))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        if process.stdin is not None:
            with suppress(BrokenPipeError):  # ssh has already failed; its message explains why
                process.stdin.write(source.encode())
                process.stdin.flush()
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin is not None:
            process.stdin.close()


def failure(environment: Environment, host: str, what: str, code: int, said: str) -> RemoteError:
    """Build the error of `what` on a host: why there was no connection, or the last lines of output."""
    if code == SSH_FAILED:
        for kind, words, message, hint in NO_CONNECTION:
            if re.search(words, said):
                text = message.format(said=said.splitlines()[-1])
                return kind(f"{host}: {text}", hint.format(environment=environment.name))
    tail = "\n  ".join(said.splitlines()[-10:])
    how = "no connection" if code == SSH_FAILED else f"{what} ended with {code}"
    return RemoteError(f"{host}: {how}:\n  {tail}", f"basec ssh {host} --env {environment.name}")


def _python(source: str, arguments: Sequence[str]) -> list[str]:
    """Return the command that runs a program whose text comes first on standard input; the rest is the program's."""
    load = f"import sys; exec(compile(sys.stdin.buffer.read({len(source.encode())}), 'basec', 'exec'))"
    return ["sudo", "-n", "python3", "-I", "-c", load, *arguments]
