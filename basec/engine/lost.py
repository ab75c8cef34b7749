"""Find machines that are gone: preview and `up` compare with the state alone, and would not see it.

To ask the cloud costs seconds, so every host is first asked for an answer by SSH, while the engine looks; the cloud is
asked about those that stay silent, and about nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING

from basec.hosts import facts, remote
from basec.hosts.agent import ensure_key
from basec.session import Session
from topology.errors import BasecommerceError, RemoteError

if TYPE_CHECKING:  # as in plan.py
    from basec.engine.operations import Engine

Silent = Callable[[], Sequence[str]]
"""Waits for the last answer, and gives the hosts that gave none."""


class LostMachineError(RemoteError):
    """Machines that the state has are gone. Nothing was changed."""

    def __init__(self, environment: str, hosts: Sequence[str]) -> None:
        gone = "\n".join(f"{host}: its droplet is gone: the cloud has none, and the state still does" for host in hosts)
        super().__init__(f"basec: {environment}: machines are lost\n{gone}", f"basec up --refresh --env {environment}")


def listen(session: Session) -> Silent:
    """Ask each host of the last `up` for an answer, beside whatever else goes on."""
    silent: list[str] = []
    # Daemons: whoever interrupts a command does not wait for a host that is not there.
    asking = Thread(target=_ask_all, args=(session, silent), name="ask the hosts", daemon=True)
    asking.start()

    def wait() -> Sequence[str]:
        asking.join()
        return sorted(silent)

    return wait


def find(engine: Engine, silent: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give the silent hosts whose machines are gone, and a note for each of the others."""
    if not silent:
        return (), ()
    try:
        gone = engine.gone(silent)
    except BasecommerceError:
        return (), tuple(f"{host}: does not answer by SSH, and the cloud cannot be asked for it" for host in silent)
    there = [host for host in silent if host not in gone]
    return gone, tuple(f"{host}: does not answer by SSH, though the cloud has its droplet" for host in there)


def _ask_all(session: Session, silent: list[str]) -> None:
    # Of a stack that was never up here, or whose secrets do not open, nothing is known; the engine says the latter.
    with suppress(BasecommerceError, OSError):
        if session.is_records:
            return
        hosts = facts.load(session.environment).hosts
        ensure_key(session)
        threads = [Thread(target=_ask, args=(session, host, silent), daemon=True) for host in hosts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _ask(session: Session, host: str, silent: list[str]) -> None:
    """Note a host that gives no answer; one that refuses us, or proves a wrong key, is there."""
    try:
        remote.run_with_input(session, host, ["true"], "", timeout_s=facts.CONNECT_TIMEOUT_S)
    except remote.UnreachableError:
        silent.append(host)
    except Exception:  # whatever it is, it is an answer; a thread that dies would only write over the preview
        return
