"""Droplets for tests: programs named ssh, sudo and docker that come first on PATH and play what a directory says.

`<host>.json`     the program sent there is not run; this is its output
`<host>.down`     the host cannot be reached
`<tier>.ps`       one line a container: `<id> <service>`, with the colour of one that has two
`<id>.log`        what `docker logs` prints
`<id>.more`       what it prints after that while it follows
`<tier>.events`   what `docker events` prints; it then waits
`arguments`       what `docker logs` was called with, a line each
`ssh.calls`       what ssh was called with, a line each
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from basec.environments import Environment
from basec.hosts import facts
from basec.local.cloud import StandIn
from topology.fleet import services_of
from topology.inventory import load_inventory

PROGRAMS = {
    "ssh": """\
echo "$@" >>"$DROPLETS/ssh.calls"
while [ "$1" != BatchMode=yes ]; do shift; done
host=$2; shift 2
if [ -e "$DROPLETS/$host.down" ]; then echo "ssh: connect to host $host port 22: Connection refused" >&2; exit 255; fi
if [ -e "$DROPLETS/$host.json" ]; then cat >/dev/null; cat "$DROPLETS/$host.json"; exit; fi
sh -c "$*"  # not exec: what ends ssh does not end what runs on the droplet
""",
    "ssh-add": "exit 0\n",
    "sudo": 'shift; exec "$@"\n',
    "docker": """\
tier=$(printf '%s\\n' "$@" | sed -n 's/^label=com.docker.compose.project=//p')
for last; do :; done
case $1 in
  ps) cat "$DROPLETS/$tier.ps" ;;
  logs) echo "$@" >>"$DROPLETS/arguments"; cat "$DROPLETS/$last.log"; case "$*" in
    *--follow*) [ ! -e "$DROPLETS/$last.more" ] || cat "$DROPLETS/$last.more"; exec sleep 60 ;;
  esac ;;
  events) cat "$DROPLETS/$tier.events"; exec sleep 60 ;;
esac
""",
}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA"
REPOSITORY = Path(__file__).parents[2]
INVENTORY = load_inventory(REPOSITORY / "inventory.yaml").droplets
DROPLETS = dict(sorted(INVENTORY.items()))
ROLES = tuple(DROPLETS)
COMPOSE = """\
x-service: &service {restart: unless-stopped}
services:
  %s: {<<: *service}
  migrate: {profiles: [migrate]}
"""


def install(directory: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the programs on PATH and write the facts of an environment `local` into `root`."""
    directory.mkdir()
    for name, text in PROGRAMS.items():
        (directory / name).write_text(f"#!/bin/sh\n{text}")
        (directory / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    monkeypatch.setenv("DROPLETS", str(directory))
    outputs = {
        "domain": "localhost",
        "edge_reserved_ip": "198.51.100.24",
        "ssh_user": "basec",
        "droplets": {
            name: {"public_ip": "198.51.100.8", "private_ip": "10.77.0.8", "template_digest": "0123456789ab"}
            for name in ROLES
        },
        "host_public_keys": dict.fromkeys(ROLES, KEY),
    }
    local = Environment(name="local", root=root)
    stand_in = StandIn(http_port=80, https_port=443, ca_file=local.public_ca_file)
    facts.write(local, outputs, DROPLETS, stand_in)
    return directory


def running() -> dict[str, tuple[str, ...]]:
    """Return the services of each tier that always run."""
    return {spec.tier: services_of(REPOSITORY, spec.tier) for spec in INVENTORY.values()}


def document(*services: str, **changes: Any) -> dict[str, Any]:
    """Return what a droplet that is well prints for `basec status`."""
    mib = 1024 * 1024
    containers = [
        {
            "service": name,
            "name": f"tier-{name}-1",
            "state": "running",
            "health": "healthy",
            "started": "2026-01-31T08:00:00.123456789Z",
            "restarts": 0,
            "memory": {"used_bytes": 50 * mib, "limit_bytes": 160 * mib},
            "image": {
                "reference": f"registry.localcloud.internal:80/{name}:reference-69fc385b509d",
                "digest": f"sha256:{'ab' * 32}",
                "built_locally": True,
            },
        }
        for name in services
    ]
    return {
        "now": 1769846400.0 + 600,
        "uptime_s": 7300.5,
        "clock_synchronised": True,
        "memory": {"used_bytes": 400 * mib, "total_bytes": 1024 * mib},
        "disks": [{"mount": "/", "mounted": True, "used_bytes": 30, "total_bytes": 100}],
        "release": {"digest": "53feb416" * 8, "since": "2026-01-31T08:00:00Z", "by": "ana"},
        "compose": COMPOSE % ": {}\n  ".join(services),
        "template": "0123456789ab",
        "failed": [],
        "failed_units": [],
        "containers": containers,
        "outbox": None,
        "metrics_agent": {"running": True, "let_out": True},
        "maintenance": None,
        **changes,
    }


def say(directory: Path, host: str, found: dict[str, Any]) -> None:
    """Let the program on a host print this document."""
    (directory / f"{host}.json").write_text(json.dumps(found))
