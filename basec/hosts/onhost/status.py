"""Prints the state of a droplet for `basec status` as one JSON document. Argument: the tier.

Reads files where there is one: `docker stats` alone takes two seconds, the control groups a millisecond.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
ONE_OFF = "com.docker.compose.oneoff"
BUILT_HERE = "basecommerce.image"
"""A label that the local cloud puts on the images that it builds; no official image has it."""
PROGRAM_TIMEOUT_S = 10
AGENT = "do-agent.service"
"""DigitalOcean's metrics agent: without its figures no alert on CPU, memory or disk fires."""
METADATA = ("169.254.169.254", 80)
"""Where the agent asks for its identity, and delivers."""
METADATA_TIMEOUT_S = 2
OUTBOX = """SELECT count(*), coalesce(extract(epoch FROM now() - min(created_at)), 0) FROM event_outbox
WHERE published_at IS NULL AND status IN ('pending', 'processing', 'processed')"""
"""Rows that the relay has yet to send, and the age of the oldest in seconds."""


NO_DOCUMENT = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What a damaged document raises when it is read."""


class ProgramFailedError(Exception):
    """A program ended with an error; the text has its words."""


def main(tier: str, root: Path = Path("/")) -> None:
    """Print the document; `root` is another directory in tests."""
    failed: list[str] = []
    containers: list[dict[str, Any]] = []
    images: dict[str, dict[str, Any]] = {}
    outbox = None
    agent = asked([], ask_agent)  # a systemctl that does not answer is reported below
    try:
        listed = run("docker", "ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={PROJECT}={tier}").split()
        containers = [c for c in inspect("container", listed) if c["Config"]["Labels"].get(ONE_OFF) != "True"]
        outbox = ask_outbox(containers)  # read last: it takes as long as all the rest
        images = {image["Id"]: image for image in inspect("image", sorted({c["Image"] for c in containers}))}
    except ProgramFailedError as error:  # no Docker: memory and disks may explain why
        failed.append(str(error))
    release = None
    try:
        release = active_release(root, tier)
    except NO_DOCUMENT:
        failed.append(f"{tier}/state.json is damaged: basec up rebuilds it")
    document = {
        "now": time.time(),
        "uptime_s": uptime(root),
        "clock_synchronised": asked(failed, clock_synchronised, root),
        "memory": memory(root),
        "disks": disks(root),
        "release": release,
        "compose": read(root / f"opt/basecommerce/{tier}/releases/{release['digest']}/compose.yaml") if release else "",
        "template": read(root / "etc/basecommerce-template").strip() or None,
        "failed_units": asked(failed, failed_units) or [],
        "containers": [describe(root, container, images.get(container["Image"], {})) for container in containers],
        "outbox": parse_outbox(outbox),
        "metrics_agent": parse_agent(agent),
        "maintenance": maintenance(root),
    }
    document["failed"] = failed  # at the end, with what the questions above failed to answer
    print(json.dumps(document))  # noqa: T201 - its output is its interface


def run(*argv: str) -> str:
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        raise ProgramFailedError(f"{argv[0]}: {error.strerror}") from None
    if done.returncode != 0:
        raise ProgramFailedError(f"{' '.join(argv[:2])}: {done.stderr.strip()}")
    return done.stdout


def asked(failed: list[str], question: Callable[..., Any], *arguments: Any) -> Any:
    """Return the answer; None if a program failed, which is noted and hides no other answer."""
    try:
        return question(*arguments)
    except ProgramFailedError as error:
        failed.append(str(error))
        return None


def maintenance(root: Path) -> str | None:
    """Return the record beside the maintenance page (maintenance.py), perhaps empty; None without a page."""
    directory = root / "opt/basecommerce/edge/http"
    return read(directory / "maintenance_by.json") if (directory / "maintenance.html").is_file() else None


def failed_units() -> list[str]:
    listed = run("systemctl", "list-units", "--failed", "--plain", "--no-legend", "basecommerce-*")
    return [line.split()[0] for line in listed.splitlines() if line.strip()]


def inspect(kind: str, names: list[str]) -> list[dict[str, Any]]:
    return list(json.loads(run("docker", kind, "inspect", *names))) if names else []


def read(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(errors="replace")
    return ""


def active_release(root: Path, tier: str) -> dict[str, str | None] | None:
    """Return the release that release.py recorded last, and the name that an `up` left with it. Raises NO_DOCUMENT."""
    directory = root / "opt/basecommerce" / tier
    if not (directory / "state.json").exists():
        return None
    releases = json.loads((directory / "state.json").read_bytes())["releases"]
    if not releases:
        return None
    active = {"digest": releases[0]["digest"], "since": releases[0]["since"]}
    datetime.fromisoformat(active["since"][:19])
    if not re.fullmatch("[0-9a-f]+", active["digest"]):
        raise ValueError(active["digest"])
    by = None
    with contextlib.suppress(*NO_DOCUMENT):  # damaged, or missing: then it has no name
        signature = json.loads(read(directory / "activated_by.json") or "{}")
        by = str(signature["by"]) if active.items() <= signature.items() else None
    return {**active, "by": by}


def uptime(root: Path) -> float:
    """Return the seconds since PID 1 started: in a container, /proc/uptime is the machine's."""
    born = int(read(root / "proc/1/stat").rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return float(read(root / "proc/uptime").split()[0]) - born


def clock_synchronised(root: Path) -> bool | None:
    """Return whether the clock was set from the network; None in a container, whose clock is the machine's."""
    if (root / "run/systemd/container").exists():
        return None
    return run("timedatectl", "show", "--property=NTPSynchronized", "--value").strip() == "yes"


def memory(root: Path) -> dict[str, int]:
    """Return bytes in use and in total. A container droplet has its limit at the root of its control groups."""
    lines = (line.split() for line in read(root / "proc/meminfo").splitlines())
    kernel = {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines}
    group = root / "sys/fs/cgroup/memory"  # version 1
    group = group if group.is_dir() else root / "sys/fs/cgroup"
    limit = read(group / "memory.limit_in_bytes").strip() or read(group / "memory.max").strip()
    if limit.isdigit() and int(limit) < kernel["MemTotal"]:
        return {"used_bytes": working_set(group) or 0, "total_bytes": int(limit)}
    return {"used_bytes": kernel["MemTotal"] - kernel["MemAvailable"], "total_bytes": kernel["MemTotal"]}


def working_set(group: Path) -> int | None:
    """Return a control group's bytes in use without unused cache, as `docker stats` counts; None: no such group."""
    usage = read(group / "memory.usage_in_bytes") or read(group / "memory.current")
    fields = dict(line.split() for line in read(group / "memory.stat").splitlines())
    cache = int(fields.get("total_inactive_file") or fields.get("inactive_file") or 0)
    return max(int(usage) - cache, 0) if usage else None


def group_of(root: Path, pid: int) -> Path | None:
    """Return the directory of a process's memory control group, version 1 or 2."""
    entries = (line.split(":", 2) for line in read(root / f"proc/{pid}/cgroup").splitlines())
    paths = {controllers: path for _, controllers, path in entries}
    if "memory" in paths:
        return root / f"sys/fs/cgroup/memory{paths['memory']}"
    return root / f"sys/fs/cgroup{paths['']}" if "" in paths else None


def disks(root: Path) -> list[dict[str, Any]]:
    """Return the root disk, and every mount point of our mount units, also if nothing is mounted there."""
    found = [disk("/", mounted=True)]
    for unit in sorted((root / "etc/systemd/system").glob("*.mount")):
        where = next((line[6:] for line in read(unit).splitlines() if line.startswith("Where=")), "")
        if where:
            found.append(disk(where, mounted=os.path.ismount(where)))
    return found


def disk(mount: str, *, mounted: bool) -> dict[str, Any]:
    if not mounted:
        return {"mount": mount, "mounted": False, "used_bytes": 0, "total_bytes": 0}
    stat = os.statvfs(mount)
    used, usable = (stat.f_blocks - stat.f_bfree) * stat.f_frsize, stat.f_bavail * stat.f_frsize
    return {"mount": mount, "mounted": True, "used_bytes": used, "total_bytes": used + usable}  # as df counts


def describe(root: Path, container: dict[str, Any], image: dict[str, Any]) -> dict[str, Any]:
    state = container["State"]
    group = group_of(root, state["Pid"]) if state["Running"] else None
    digests = image.get("RepoDigests") or [""]
    labels = (image.get("Config") or {}).get("Labels") or {}
    return {
        "service": container["Config"]["Labels"][SERVICE],
        "name": container["Name"].lstrip("/"),
        "state": state["Status"],
        "health": (state.get("Health") or {}).get("Status", ""),
        "started": state["StartedAt"],
        "restarts": container["RestartCount"],
        "memory": {
            "used_bytes": working_set(group) if group else None,
            "limit_bytes": container["HostConfig"]["Memory"],
        },
        "image": {
            "reference": container["Config"]["Image"],
            "digest": digests[0].partition("@")[2] or None,
            "built_locally": BUILT_HERE in labels,
        },
    }


def ask_outbox(containers: list[dict[str, Any]]) -> subprocess.Popen[str] | None:
    """Ask PostgreSQL over its own socket, which needs no password; None if it does not run."""
    ids = [c["Id"] for c in containers if c["Config"]["Labels"][SERVICE] == "postgres" and c["State"]["Running"]]
    if not ids:
        return None
    query = ("psql", "-qXAt", "-F ", "-U", "basecommerce", "-c", "SET statement_timeout = 3000", "-c", OUTBOX)
    return subprocess.Popen(
        ["docker", "exec", ids[0], *query],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def parse_outbox(asked: subprocess.Popen[str] | None) -> dict[str, float] | None:
    if asked is None:
        return None
    try:
        answer = asked.communicate(timeout=PROGRAM_TIMEOUT_S)[0].split()
    except subprocess.TimeoutExpired:
        asked.kill()
        return None
    return {"unpublished": int(answer[0]), "oldest_s": float(answer[1])} if len(answer) == 2 else None


def ask_agent() -> tuple[bool, subprocess.Popen[bytes] | None]:
    """Return whether the agent runs, and try the metadata address as its user; None if that user is unknown."""
    shown = run("systemctl", "show", AGENT, "--property=ActiveState,User").splitlines()
    unit = dict(line.split("=", 1) for line in shown)
    try:
        number = pwd.getpwnam(unit["User"]).pw_uid
    except KeyError:
        return unit["ActiveState"] == "active", None
    connect = f"import socket; socket.create_connection({METADATA}, {METADATA_TIMEOUT_S})"
    argv = [sys.executable, "-ISc", connect]
    return unit["ActiveState"] == "active", subprocess.Popen(argv, user=number, stderr=subprocess.DEVNULL)


def parse_agent(answer: tuple[bool, subprocess.Popen[bytes] | None] | None) -> dict[str, bool]:
    running, attempt = answer or (False, None)
    return {"running": running, "let_out": attempt is not None and attempt.wait() == 0}


if __name__ == "__main__":
    main(sys.argv[1])
