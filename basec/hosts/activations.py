"""Who activated a release: `up` leaves the person's name on each host that got one, for everybody's `basec status`.

The name is not an input of the program: a second `up` by somebody else would then have a change to make. For the same
reason it is not an export. The engine's own history is about stacks, not hosts, and takes seconds to read.
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
"""For each host: the program there may read its clock this late."""
NAME_LENGTH = 40


def person() -> str:
    """Return the person's name: as in commits, otherwise the account's; with sudo, the caller's."""
    with suppress(OSError):
        asked = ["git", "config", "user.name"]
        named = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
        if name := "".join(letter for letter in named.strip() if letter.isprintable())[:NAME_LENGTH]:
            return name
    return os.environ.get("SUDO_USER") or getpass.getuser()


@contextmanager
def signed(session: Session, stages: Stages) -> Iterator[None]:
    """Leave the person's name on the hosts that get a release in the block, also if it fails half-way.

    A host that does not answer gets none: the name is for people to read, nothing depends on it.
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
