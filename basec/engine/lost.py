"""Find what preview and `up` would not see, since they compare with the state alone.

That is: machines that are gone, and damaged files of a running release. Asking the cloud takes seconds, so each
host is first asked by SSH, while the engine works; the cloud is asked only about hosts that do not answer.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Thread
from typing import TYPE_CHECKING

from basec.hosts import facts, remote
from basec.hosts.agent import ensure_key
from basec.session import Session
from topology.errors import BasecommerceError, RemoteError

if TYPE_CHECKING:  # as in plan.py
    from basec.engine.operations import Engine

CHECK = "sudo -n python3 -B /opt/basecommerce/scripts/release.py check {tier}"


@dataclass
class Answers:
    """What hosts said."""

    silent: list[str] = field(default_factory=list)
    """Those that gave no answer."""
    damaged: dict[str, str] = field(default_factory=dict)
    """What is wrong with the record or the files of its release, by host."""


Listener = Callable[[], Answers]
"""Wait for the last answer."""


class LostMachineError(RemoteError):
    """Machines that the state has are gone. Nothing was changed."""

    def __init__(self, environment: str, hosts: Sequence[str]) -> None:
        gone = "\n".join(f"{host}: its droplet is gone: the cloud has none, and the state still does" for host in hosts)
        super().__init__(f"basec: {environment}: machines are lost\n{gone}", f"basec up --refresh --env {environment}")


def listen(session: Session) -> Listener:
    """Ask each host of the last `up`, in the background."""
    answers = Answers()
    # Daemons: an interrupted command does not wait for a host that is not there.
    asking = Thread(target=_ask_all, args=(session, answers), name="ask the hosts", daemon=True)
    asking.start()

    def wait() -> Answers:
        asking.join()
        return Answers(sorted(answers.silent), dict(sorted(answers.damaged.items())))

    return wait


def find(engine: Engine, silent: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the silent hosts whose machines are gone, and a note for each of the others."""
    if not silent:
        return (), ()
    try:
        gone = engine.gone(silent)
    except BasecommerceError:
        return (), tuple(f"{host}: does not answer by SSH, and the cloud cannot be asked about it" for host in silent)
    there = [host for host in silent if host not in gone]
    return gone, tuple(f"{host}: does not answer by SSH, though the cloud has its droplet" for host in there)


def _ask_all(session: Session, answers: Answers) -> None:
    # Nothing is known of a stack that was never up here, or whose secrets do not open; the engine reports the latter.
    with suppress(BasecommerceError, OSError):
        if session.is_records:
            return
        hosts = facts.load(session.environment).hosts
        ensure_key(session)
        threads = [Thread(target=_ask, args=(session, host, answers), daemon=True) for host in hosts.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _ask(session: Session, host: facts.HostFacts, answers: Answers) -> None:
    """Note a host that gives no answer; one that refuses us, or shows a wrong key, exists."""
    command = shlex.split(CHECK.format(tier=host.tier))
    try:
        damage = remote.run_with_input(session, host.name, command, "", timeout_s=facts.CONNECT_TIMEOUT_S)
    except remote.UnreachableError:
        answers.silent.append(host.name)
    except Exception:  # any error is an answer; a thread that dies would print its traceback into the preview
        return
    else:
        if damage.startswith(f"{host.tier}: "):
            answers.damaged[host.name] = damage
