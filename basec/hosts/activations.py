"""Who activated a release: `up` leaves the person's name on each host that got one, for everybody's `basec status`.

The name is no input of the program: a second `up` by somebody else would then have a change to make. It is no export
either, for the same reason, and the engine's own history tells of stacks, not of hosts, and takes seconds to ask.
"""

from __future__ import annotations

import getpass
import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from basec.hosts import facts, onhost
from basec.hosts.agent import ensure_key
from basec.hosts.remote import run_program
from basec.io.console import Stages
from basec.session import Session
from topology.errors import BasecommerceError

PROGRAM = (Path(onhost.__file__).parent / "sign.py").read_text()
TIMEOUT_S = 10
"""For each host. As late as this the program there may look at its clock."""
NAME_LENGTH = 40


def person() -> str:
    """Name who is at work: as commits do, else by the account; behind sudo, that of who typed it."""
    with suppress(OSError):
        asked = ["git", "config", "user.name"]
        named = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
        if name := "".join(letter for letter in named.strip() if letter.isprintable())[:NAME_LENGTH]:
            return name
    return os.environ.get("SUDO_USER") or getpass.getuser()


@contextmanager
def signed(session: Session, stages: Stages) -> Iterator[None]:
    """Leave the person's name on the hosts that get a release in the block, also where it fails half-way.

    A host that does not answer goes without: the name is for people to read, nothing depends on it.
    """
    try:
        yield
    finally:
        if (began := stages.began.get("up")) is not None:
            with suppress(Exception):
                _sign(session, time.monotonic() - began + TIMEOUT_S)


def _sign(session: Session, within_s: float) -> None:
    if session.is_records:
        return
    hosts = list(facts.load(session.environment).hosts.values())
    name = person()
    ensure_key(session)  # once, before the threads would all start an agent

    def sign(host: facts.HostFacts) -> None:
        with suppress(BasecommerceError):
            arguments = [host.tier, name, f"{within_s:.1f}"]
            run_program(session, host.name, PROGRAM, arguments, timeout_s=TIMEOUT_S)

    with ThreadPoolExecutor(max_workers=len(hosts)) as pool:
        list(pool.map(sign, hosts))
