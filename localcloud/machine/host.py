"""Run the machine's own programs (docker, losetup, iptables) without letting them outlive us or show secrets.

Callers pass secrets on standard input only: an argument list can be read by every user of the machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from localcloud.errors import CloudError

COMMAND_TIMEOUT_S = 120.0
"""No single step of ours takes that long; `docker stop` waits 30 s at most."""

_INHERITED = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "TMPDIR")
_ERROR_LINES = 5


@dataclass(frozen=True)
class Result:
    """A program's result; `stderr` is text for people."""

    code: int
    stdout: str
    stderr: str


class CommandError(CloudError):
    """A program of the machine failed; the text has its name, its verb and its last lines, never its arguments."""

    def __init__(self, title: str, result: Result) -> None:
        lines = (result.stderr or result.stdout).strip().splitlines()[-_ERROR_LINES:]
        super().__init__(f"{title}: exit code {result.code}: " + " | ".join(lines))
        self.result = result


class Host(Protocol):
    """What the modules here need of the machine; tests pass a recording fake."""

    async def run(
        self,
        *argv: str,
        stdin: bytes | None = None,
        check: bool = True,
        deadline_s: float = COMMAND_TIMEOUT_S,
    ) -> Result: ...


class LinuxHost:
    """This machine."""

    async def run(
        self,
        *argv: str,
        stdin: bytes | None = None,
        check: bool = True,
        deadline_s: float = COMMAND_TIMEOUT_S,
    ) -> Result:
        """Run a program to its end. Raises CommandError on a non-zero exit (unless `check` is false) or time-out."""
        title = _title(argv)
        try:
            # The kernel ends the child when this process dies, for any reason. A preexec_fn for that would fork Python
            # code inside a threaded gRPC server, which crashes.
            process = await asyncio.create_subprocess_exec(
                "setpriv",
                "--pdeathsig",
                "KILL",
                "--",
                *argv,
                stdin=asyncio.subprocess.PIPE if stdin is not None else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=_environment(),
            )
        except FileNotFoundError as error:
            raise CloudError("setpriv: not found\nhint: install the Debian package `util-linux`") from error
        try:
            stdout, stderr = await asyncio.wait_for(process.communicate(stdin), deadline_s)
        except TimeoutError as error:
            raise CloudError(f"{title}: no answer after {deadline_s:.0f} seconds") from error
        finally:
            # Also on cancel: a stopped `up` must not leave a `docker create` running.
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        result = Result(process.returncode or 0, stdout.decode(errors="replace"), stderr.decode(errors="replace"))
        if check and result.code != 0:
            raise CommandError(title, result)
        return result


async def inspect(host: Host, kind: str, name: str) -> Mapping[str, Any] | None:
    """Return `docker <kind> inspect` of one thing, None if there is no such thing."""
    result = await host.run("docker", kind, "inspect", name, check=False)
    if result.code != 0:
        if "no such" in result.stderr.lower() or "not found" in result.stderr.lower():
            return None
        raise CommandError(f"docker {kind} inspect", result)
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found[0] if found else None


async def labelled(host: Host, kind: str, *labels: str) -> tuple[str, ...]:
    """List ids (names of volumes) of one kind (`container`, `network`, `volume`) that have all the labels."""
    filters = [word for label in labels for word in ("--filter", f"label={label}")]
    everything = ("--all",) if kind == "container" else ()
    result = await host.run("docker", kind, "ls", "--quiet", *everything, *filters)
    return tuple(result.stdout.split())


def _title(argv: Sequence[str]) -> str:
    """Return a command's name for a message: the program, and Docker's verb, without a caller's values."""
    return " ".join(argv[:3]) if argv[0] == "docker" else argv[0]


def _environment() -> dict[str, str]:
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    # iptables and losetup live in sbin, which is not on every user's PATH.
    path = environment.get("PATH", "/usr/local/bin:/usr/bin:/bin")
    return {**environment, "PATH": f"{path}:/usr/local/sbin:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"}
