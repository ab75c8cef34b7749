"""Stop a tier cleanly before the engine takes away its machine's power or disk, and check that it starts again.

For a new size DigitalOcean cuts the power; for a replacement the volume is taken away while the machine still runs.
Either would be a crash under PostgreSQL.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from basec.hosts import facts, remote
from basec.hosts.agent import ensure_key
from basec.io.console import say
from basec.session import Session
from topology.dangerous_edits import REPLACE_OPS, Step, powered_off
from topology.errors import BasecommerceError

STOP_S = 600
"""Seconds; release.py waits up to 400 for a run that has begun, then its services get up to 140."""
START_S = 300
"""Seconds for the start of a tier, until it is healthy."""
BACK_S = 300
"""Seconds until a machine that was switched off and on answers by SSH."""
PAUSE_S = 2.0
UNITS = "/etc/systemd/system"
"""Where the mount units of data volumes are; Debian's own units are elsewhere."""
STOP = """set -euo pipefail
shopt -s nullglob
systemctl stop basecommerce-{tier}.service
for unit in {units}/*.mount; do systemctl stop "${{unit##*/}}"; done
sync
"""
START = "systemctl start basecommerce-{tier}.service"  # starts its mounts too


@contextmanager
def stopped(session: Session, steps: Iterable[Step]) -> Iterator[None]:
    """Stop the tiers of the machines that these steps switch off or replace; at the end start those that stay.

    Raises RemoteError if one cannot be stopped: then nothing was changed. One that does not answer is skipped.
    """
    machines = {} if session.is_records else powered_off(steps)
    if not machines:
        yield
        return
    ensure_key(session)
    tiers = {host: facts.load(session.environment).host(host).tier for host in machines}
    asked: dict[str, str] = {}
    try:
        for host, tier in tiers.items():
            say(f"{host}: its tier is stopped cleanly, because the machine {_why(machines[host])}")
            asked[host] = tier
            try:
                remote.run_script(session, host, STOP.format(tier=tier, units=UNITS), timeout_s=STOP_S)
            except remote.UnreachableError as error:
                say(f"{error.message}: continuing without stopping it")
        yield
    except BaseException:
        _start_what_is_there(session, asked)
        raise
    for host, tier in tiers.items():
        if machines[host].op not in REPLACE_OPS:  # a new machine's tier was started by its activation
            _await(session, host, tier)


def _why(step: Step) -> str:
    return "is replaced" if step.op in REPLACE_OPS else "is switched off for its new size"


def _start_what_is_there(session: Session, tiers: Mapping[str, str]) -> None:
    """After a failure, start the tiers again if their machines exist."""
    for host, tier in tiers.items():
        try:
            remote.run_script(session, host, START.format(tier=tier), timeout_s=START_S)
        except BasecommerceError:
            say(f"{host}: its tier may still be stopped: basec compose restart {host} --env {session.environment.name}")


def _await(session: Session, host: str, tier: str) -> None:
    """Wait until the tier of a machine that boots is healthy. Raises RemoteError."""
    deadline = time.monotonic() + BACK_S
    while True:
        try:
            remote.run_script(session, host, START.format(tier=tier), timeout_s=START_S)
        except remote.UnreachableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_S)
        else:
            return
