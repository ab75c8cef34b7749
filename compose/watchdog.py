#!/usr/bin/env python3
"""Restarts containers of the tiers that stay unhealthy: Docker restarts what died, not what stopped serving.

It also settles what a killed activation left undecided: the release before it comes back.

Run by a systemd timer as root with Debian's own Python: standard library only. What it does is in the journal
(`journalctl -u basecommerce-watchdog`). It leaves alone:

- a container that was stopped, by whomever: `docker ps` does not list it;
- a tier whose lock is held: an activation, or a start, deals with its containers itself;
- a service with `x-watchdog: report` in the compose file: it is only reported;
- a container whose own check says that it waits for another machine: a restart does not bring that back;
- a container that it has restarted three times within an hour: then a restart does not help.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

UNHEALTHY_S = 30
"""Seconds that a container stays unhealthy before it is restarted; its own check took 30 to 45 s to report that."""
RESTARTS = 3
PERIOD_S = 3600
"""At most RESTARTS of one container within this time."""
WAITING = "waits for the database"
"""How a check's output begins (`compose/*/*/health.py`) when only the database does not answer."""
REPORT, FRONT = "report", "front"
"""Values in `tier.json` of the active release for services that are not simply restarted (`x-watchdog`). A front is
healthy only if the containers behind it are: it is left alone while another container of the tier starts or failed its
last check. Its own checks may be the first to fail three times."""
Policies = Mapping[str, str]
"""By service: REPORT or FRONT."""
STOP_DEADLINE_S = 180
"""Seconds for one restart; the longest grace of a service is 90 s."""
SETTLE_DEADLINE_S = 600
OUTPUT = 200
"""Characters of the last health check's output in the journal."""

Memory = dict[str, dict[str, Any]]
"""By container: `since`, first seen unhealthy, and `restarts`, when it was restarted; in seconds since 1970."""


class Watchdog:
    """One run over all tiers that this droplet has."""

    def __init__(self, root: Path, memory: Path) -> None:
        """Nothing is read yet."""
        self.root = root
        self.memory = memory
        self.is_well = True

    def run(self, now: float) -> bool:
        """Look once, restart what is due, remember the rest; return whether all could be checked and restarted."""
        before, after = self.remembered(now), Memory()
        # With a damaged record the active release is not known, but it runs, and `current` points to it.
        for tier in sorted({path.parent.name for path in self.root.glob("*/state.json*")}):
            self.settle(tier)
            try:
                due = unhealthy(tier, policies(self.root / tier / "current" / "tier.json"))
            except Exception as error:
                self.failed(tier, error)
                after |= {name: known for name, known in before.items() if name.startswith(f"{tier}-")}
                continue
            for container in due:
                after[container["name"]] = self.consider(tier, container, before.get(container["name"], {}), now)
        # What recovered is forgotten, but not how often it was restarted: it may be unhealthy again in a minute.
        for name, known in before.items():
            if name not in after and known["restarts"]:
                after[name] = {"restarts": known["restarts"]}
        temporary = self.memory.with_suffix(".new")
        temporary.write_text(json.dumps(after))
        temporary.rename(self.memory)
        return self.is_well

    def settle(self, tier: str) -> None:
        """Let the active release of a tier come back whose activation was killed before it had decided."""
        if not (self.root / tier / "armed").exists() or held(self.root / tier / "lock"):
            return
        try:
            subprocess.run(
                [str(self.root / "scripts/release.py"), "settle", tier], check=True, timeout=SETTLE_DEADLINE_S
            )
        except (OSError, subprocess.SubprocessError) as error:
            self.failed(tier, error)

    def remembered(self, now: float) -> Memory:
        """Read what the last run wrote, without restarts that are an hour old; a damaged file is set aside.

        A clock that was set back leaves times in the future: those would count for ever, and so do not count.
        """
        try:
            content = self.memory.read_bytes()
        except FileNotFoundError:
            return {}
        try:
            found: Memory = {}
            for name, known in json.loads(content).items():
                restarts = [moment for moment in known["restarts"] if 0 <= now - moment < PERIOD_S]
                found[name] = {"since": min(float(known.get("since", now)), now), "restarts": restarts}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            aside = self.memory.with_suffix(".damaged")
            self.memory.rename(aside)
            say(f"{self.memory}: damaged: {type(error).__name__}: {error}; it is now {aside.name}, counts start again")
            return {}
        return found

    def failed(self, what: str, error: Exception) -> None:
        """Report what could not be done; the rest goes on."""
        said = " ".join(str(getattr(error, "stderr", None) or "").split())
        say(f"{what}: {error}: {said}" if said else f"{what}: {type(error).__name__}: {error}")
        self.is_well = False

    def consider(self, tier: str, container: dict[str, Any], known: dict[str, Any], now: float) -> dict[str, Any]:
        """Restart one unhealthy container, or not; return what to remember of it."""
        since, restarts = known.get("since", now), known.get("restarts", [])
        kept = {"since": since, "restarts": restarts}
        name, output = container["name"], container["output"]
        if now - since < UNHEALTHY_S:
            return kept
        if container["policy"] == REPORT or output.startswith(WAITING):
            say(f"{name}: unhealthy for {now - since:.0f} s, is not restarted: {output}")
            return kept
        if len(restarts) >= RESTARTS:
            say(f"{name}: unhealthy, but restarted {RESTARTS} times within an hour; left alone: {output}")
            return kept
        try:
            if not self.restart(tier, name, now - since, output):
                return kept
        except Exception as error:  # it counts as well: one that cannot be restarted is tried three times an hour, too
            self.failed(name, error)
        return {"restarts": [*restarts, now]}

    def restart(self, tier: str, name: str, seconds: float, output: str) -> bool:
        """Restart a container unless another run works on its tier; return whether it was tried."""
        descriptor = os.open(self.root / tier / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"watchdog, pid {os.getpid()}, restarts {name}\n".encode(), 0)
            say(f"{name}: unhealthy for {seconds:.0f} s, restarts it: {output}")
            docker("restart", name, deadline=STOP_DEADLINE_S)
        except BlockingIOError:
            say(f"{name}: unhealthy, but somebody works on the tier; waits")
            return False
        finally:
            os.close(descriptor)
        return True


def held(lock: Path) -> bool:
    """Return whether a run works on the tier."""
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def policies(description: Path) -> Policies:
    """Read the policies of services from `tier.json`. Raises OSError if it is missing, ValueError if it is damaged."""
    found = json.loads(description.read_bytes())
    named = found.get("watchdog") if isinstance(found, dict) else None
    if not isinstance(named, dict) or set(named.values()) - {REPORT, FRONT}:
        raise ValueError(f"{description}: damaged: watchdog: {named!r}")
    return named


def unhealthy(tier: str, known: Policies) -> list[dict[str, Any]]:
    """Return name, policy and health of the tier's unhealthy containers that a restart could help now."""
    found = checked(tier, known)
    served = all(container["serves"] for container in found if container["policy"] != FRONT)
    return [each for each in found if each["unhealthy"] and (served or each["policy"] != FRONT)]


def checked(tier: str, known: Policies) -> list[dict[str, Any]]:
    """Return name, policy and health of the tier's running containers; nothing while none of them is unhealthy."""
    listed = ("ps", "--filter", f"label=com.docker.compose.project={tier}", "--format", "{{.Names}}")
    if not docker(*listed, "--filter", "health=unhealthy"):
        return []
    found = []
    for entry in json.loads(docker("inspect", *docker(*listed).split())):
        health = entry["State"].get("Health") or {}
        log = health.get("Log") or [{"Output": ""}]
        found.append(
            {
                "name": entry["Name"].removeprefix("/"),
                "policy": known.get(entry["Config"]["Labels"]["com.docker.compose.service"], ""),
                "unhealthy": health.get("Status") == "unhealthy",
                "serves": health.get("Status") != "starting" and not health.get("FailingStreak"),
                "output": " ".join(log[-1]["Output"].split())[:OUTPUT],
            }
        )
    return found


def docker(*arguments: str, deadline: float = 30) -> str:
    """Run docker and return its standard output. Raises subprocess.SubprocessError."""
    done = subprocess.run(
        ["docker", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=deadline
    )
    return done.stdout


def say(text: str) -> None:
    """Print a line for the journal."""
    print(text, flush=True)


def main() -> int:
    """Run once; return exit code 1 when something could not be checked or restarted."""
    return 0 if Watchdog(Path("/opt/basecommerce"), Path("/run/basecommerce-watchdog.json")).run(time.time()) else 1


if __name__ == "__main__":
    sys.exit(main())
