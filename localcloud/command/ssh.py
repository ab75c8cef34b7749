"""Run one script over SSH, through a bastion or not, with pinned host keys.

Dials are retried as pulumi-command 1.2.1 does (0.1 s, times 1.5, at most 5 s; `dialErrorLimit` errors are allowed), for
what may pass: refused, timed out or dropped connections. A wrong host key or a refused login key fails at once.
Connections are not reused: sshd reads `PermitOpen` when a connection starts, and Host changes it on the bastion.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import asyncssh
from typing_extensions import override

from localcloud.backend import Progress
from localcloud.command.backend import Result
from localcloud.errors import CloudError
from localcloud.provider.values import Value

DIAL_ERROR_LIMIT_DEFAULT = 10
DIAL_TIMEOUT_DEFAULT_S = 15
FIRST_DELAY_S, DELAY_FACTOR, LAST_DELAY_S = 0.1, 1.5, 5.0
"""Source: connection.go of pulumi-command, and pulumi/sdk/go/common/util/retry."""
HANDSHAKE_FACTOR = 2
"""Factor on the dial's limit, for the handshake that follows: the original waits forever."""
KEEPALIVE_S, KEEPALIVE_MISSED_MAX = 15, 4
"""A droplet that disappears ends the command in a minute instead of never."""
TAIL_LINES = 40
"""Enough for `release.py`'s output on a failed service: its name, its last check and 20 log lines."""
_TRANSIENT = (OSError, asyncssh.DisconnectError, asyncssh.ChannelOpenError, TimeoutError)


@dataclass(frozen=True, kw_only=True)
class Hop:
    """One machine to log in to."""

    host: str
    port: int
    user: str
    private_key: str
    passphrase: str | None
    host_key: str
    error_limit: int
    timeout_s: float | None

    @classmethod
    def of(cls, connection: Mapping[str, Value]) -> Hop:
        """Read the property map; defaults are the original's."""
        seconds = _number(connection, "perDialTimeout", DIAL_TIMEOUT_DEFAULT_S)
        passphrase = connection.get("privateKeyPassword")
        return cls(
            host=str(connection["host"]),
            port=_number(connection, "port", 22),
            user=str(connection.get("user") or "root"),
            private_key=str(connection["privateKey"]),
            passphrase=passphrase if isinstance(passphrase, str) else None,
            host_key=str(connection["hostKey"]),
            error_limit=_number(connection, "dialErrorLimit", DIAL_ERROR_LIMIT_DEFAULT),
            timeout_s=seconds or None,
        )


async def run(connection: Mapping[str, Value], script: str, stdin: str | None, progress: Progress) -> Result:
    """Run a script in the remote user's shell. Raises CloudError."""
    target = Hop.of(connection)
    proxy = connection.get("proxy")
    bastion: asyncssh.SSHClientConnection | None = None
    client: asyncssh.SSHClientConnection | None = None
    try:
        if isinstance(proxy, dict):
            hop = Hop.of(proxy)
            bastion = await _dial(hop, None, progress)
            client = await _dial(target, bastion, progress)
        else:
            client = await _dial(target, None, progress)
        await progress("running")
        return await _execute(client, target, script, stdin)
    finally:
        for opened in (client, bastion):
            if opened is not None:
                opened.abort()


async def _execute(client: asyncssh.SSHClientConnection, target: Hop, script: str, stdin: str | None) -> Result:
    try:
        done = await client.run(
            script,
            input=stdin,
            # Without input the remote side must see the end of its standard input at once, not an open pipe.
            stdin=asyncssh.DEVNULL if stdin is None else asyncssh.PIPE,
            check=False,
            encoding="utf-8",
            errors="replace",
        )
    except (OSError, asyncssh.Error) as error:
        raise CloudError(f"{target.host}: the connection broke while the command ran: {error}") from error
    stdout, stderr = str(done.stdout or ""), str(done.stderr or "")
    if done.exit_status != 0:
        ended = f"signal {done.exit_signal[0]}" if done.exit_signal else f"exit code {done.exit_status}"
        if done.exit_status is None and not done.exit_signal:
            ended = "a broken connection"
        tail = "\n".join(stderr.strip().splitlines()[-TAIL_LINES:]) or "(nothing on standard error)"
        raise CloudError(f"{target.host}: the command ended with {ended}; last lines of its standard error:\n{tail}")
    return Result(stdout=stdout.removesuffix("\n"), stderr=stderr.removesuffix("\n"))


class _Connected(asyncssh.SSHClient):
    """Gives the handshake its own time limit: the original's limit ends with the TCP connection."""

    def __init__(self, limit: asyncio.Timeout, timeout_s: float | None) -> None:
        self._limit, self._timeout_s = limit, timeout_s

    @override
    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        if self._timeout_s is not None:
            self._limit.reschedule(asyncio.get_running_loop().time() + HANDSHAKE_FACTOR * self._timeout_s)


async def _dial(
    hop: Hop, tunnel: asyncssh.SSHClientConnection | None, progress: Progress
) -> asyncssh.SSHClientConnection:
    where = f"{hop.user}@{hop.host}:{hop.port}"
    try:
        login_key = asyncssh.import_private_key(hop.private_key, hop.passphrase)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
        raise CloudError(f"{where}: privateKey is not a readable OpenSSH private key") from None
    try:
        host_key = asyncssh.import_public_key(hop.host_key)
    except asyncssh.KeyImportError:
        raise CloudError(f"{where}: hostKey is not an OpenSSH public key") from None

    async def attempt() -> asyncssh.SSHClientConnection:
        async with asyncio.timeout(hop.timeout_s) as limit:
            return await asyncssh.connect(
                hop.host,
                hop.port,
                client_factory=lambda: _Connected(limit, hop.timeout_s),
                tunnel=tunnel or (),
                username=hop.user,
                client_keys=[login_key],
                known_hosts=([host_key], [], []),
                server_host_key_algs=_algorithms(host_key),
                preferred_auth="publickey",
                agent_path=None,
                config=None,  # ignore the operator's own ssh settings
                keepalive_interval=KEEPALIVE_S,
                keepalive_count_max=KEEPALIVE_MISSED_MAX,
            )

    try:
        return await _with_retries(attempt, hop.error_limit, where, progress)
    except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed) as error:
        raise CloudError(
            f"{where}: wrong host key: the machine does not hold the key it should ({error})\n"
            # Not "run `up` again": that pins the same key, and fails again.
            "hint: find out which machine answers there; if it is the droplet, restore its host key or replace it"
        ) from error
    except asyncssh.PermissionDenied as error:
        raise CloudError(
            f"{where}: login refused: the machine does not accept the key of this stack\n"
            f"hint: check that user {hop.user} exists there and has the stack's public key"
        ) from error


def _algorithms(host_key: asyncssh.SSHKey) -> list[str]:
    """Request only the pinned kind of key: a server with several kinds may otherwise offer another one."""
    return [name.decode() for name in host_key.sig_algorithms]


async def _with_retries(
    attempt: Callable[[], Awaitable[asyncssh.SSHClientConnection]], limit: int, where: str, progress: Progress
) -> asyncssh.SSHClientConnection:
    errors = 0
    delay_s = FIRST_DELAY_S
    while True:
        try:
            return await attempt()
        except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed, asyncssh.PermissionDenied):
            raise
        except _TRANSIENT as error:
            errors += 1
            cause = "timed out" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
            if -1 < limit < errors:
                raise CloudError(
                    f"{where}: no connection after {errors} dials: {cause}\n"
                    "hint: check that the droplet runs and the firewalls admit SSH from here, then run `up` again"
                ) from error
            await progress(f"dial {errors}/{limit} failed: {cause}")
        await asyncio.sleep(delay_s)
        delay_s = min(delay_s * DELAY_FACTOR, LAST_DELAY_S)


def _number(values: Mapping[str, Value], key: str, default: int) -> int:
    value = values.get(key)
    return int(value) if isinstance(value, int | float) else default
