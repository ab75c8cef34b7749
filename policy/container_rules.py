"""BC18: what a service of a compose project may be. Lists hold what is allowed; everything else is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from topology.fleet import LIVE
from topology.mounts import listed, mounts, table

MOST_PROCESSES = 256
"""Of one container: PostgreSQL's 100 connections and room for its own. Source: CIS Docker 1.6, 5.29."""
LEAST_MIB = 6
"""Docker accepts no smaller limit. Source: https://docs.docker.com/engine/containers/resource_constraints/"""
UNITS_MIB = {"b": 1 / 1024**2, "k": 1 / 1024, "m": 1.0, "g": 1024.0}
SECURITY = ["no-new-privileges:true"]
LOG_OPTIONS = {"max-size": ("10m",), "max-file": ("2", "3", "4", "5"), "compress": ("true", "false")}
HEALTH_KEYS = frozenset({"test", "interval", "timeout", "retries", "start_period", "start_interval"})
NO_CHECK = re.compile(r"CMD( (/bin/)?(true|:|exit 0|sh -c (true|:|exit 0)))?")
"""A test that cannot fail."""
TMPFS_OPTIONS = re.compile(r"(size=[1-9]\d*[kmg]?|mode=0?[0-7]{3,4}|[ug]id=\d+|rw|noexec|nosuid|nodev)")
SERVICE_KEYS = frozenset(
    {
        *("image", "command", "entrypoint", "environment", "working_dir", "init", "labels", "hostname", "ports"),
        *("depends_on", "extra_hosts", "networks", "volumes", "tmpfs", "shm_size", "logging", "healthcheck"),
        *("restart", "stop_signal", "stop_grace_period", "profiles", "user", "read_only", "cap_drop", "security_opt"),
        *("mem_limit", "mem_reservation", "pids_limit", "cpus", "cpu_shares", "ulimits", "oom_score_adj", "expose"),
        *("x-watchdog", LIVE),  # topology/fleet.py
    }
)
PROJECT_KEYS = frozenset({"services", "networks", "version"})
NETWORK_KEYS = frozenset({"name", "driver_opts", "ipam", "internal", "labels"})
BRIDGE_NAME = "com.docker.network.bridge.name"

RELEASE = re.compile(r"(\$\{[A-Z][A-Z0-9_]*_DIR:-\.(/[a-z][\w-]*)+\}|\.(/[a-z][\w.-]*)+)")
"""A directory of the release, and its variable: release.py names it by the digest of its files."""
READ_AGAIN = re.compile(r"\$\{[A-Z][A-Z0-9_]*_LIVE:\?[^}]*\}")
"""The directory of what a service reads again; release.py makes it from the release's files and secrets."""
SECRET = re.compile(r"\$\{SECRET_[A-Z0-9_]+:\?[^}]*\}")
OF_THE_HOST = ("/opt/basecommerce/edge/http", "/dev/null")
"""A directory of switches that Host and `basec maintenance` keep (components/scripts/origin-http.sh), and what hides a
file of an image."""
ADDRESS = re.compile(r"\$\{[A-Z][A-Z0-9_]*_ADDRESS:\?[^}]*\}")

Finding = tuple[str, str, str]
"""What was found, what was expected, and the fix: empty where the rule's own fix applies."""


def confined(service: Mapping[str, Any], data: str) -> Iterator[Finding]:
    """Judge one service; `data` is where its droplet's volume is mounted, empty without one."""
    for key in sorted(set(service) - SERVICE_KEYS):
        yield f"{key}: {service[key]}", f"no {key}", f"remove `{key}`"
    for check in _CHECKS:
        yield from check(service)
    yield from _mounts(service, data)


def _bounded(service: Mapping[str, Any]) -> Iterator[Finding]:
    memory, processes = service.get("mem_limit"), service.get("pids_limit")
    if mebibytes(memory) < LEAST_MIB:
        wanted = f"a mem_limit of {LEAST_MIB}m or more, such as 128m"
        yield f"mem_limit: {_or_none(memory)}", wanted, "write a `mem_limit` for this service"
    if isinstance(processes, bool) or not isinstance(processes, int) or not 0 < processes <= MOST_PROCESSES:
        wanted = f"a pids_limit from 1 to {MOST_PROCESSES}"
        yield f"pids_limit: {_or_none(processes)}", wanted, "write a `pids_limit` for this service"
    logging = service.get("logging")
    options = table(table(logging).get("options"))
    rotates = {"max-size", "max-file"} <= set(options) <= set(LOG_OPTIONS) and all(
        str(value).lower() in LOG_OPTIONS[key] for key, value in options.items()
    )
    if table(logging) != {"driver": "local", "options": options} or not rotates:
        wanted = "driver: local, which rotates, with a max-size of 10m and a max-file from 2 to 5"
        yield f"logging: {'the default' if logging is None else logging}", wanted, ""
    for key in ("shm_size", "mem_reservation"):
        if key in service and mebibytes(service[key]) <= 0:
            yield f"{key}: {service[key]}", "a size above 0, such as 64m", f"write `{key}` with its unit, or remove it"


def _unprivileged(service: Mapping[str, Any]) -> Iterator[Finding]:
    user = str(service.get("user", "root"))
    if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", user):
        fix = "write `user` with the numbers of the user that the image is made for"
        yield f"user: {user}", "numbers of a user and a group that are not root", fix
    if service.get("cap_drop") != ["ALL"]:
        yield f"cap_drop: {service.get('cap_drop', 'none')}", "cap_drop: [ALL]", ""
    if service.get("security_opt") != SECURITY:
        yield f"security_opt: {service.get('security_opt', 'none')}", f"exactly {SECURITY}", ""
    if service.get("read_only") is not True:
        yield "read_only: off", "read_only: true, with tmpfs where it writes", ""


def _kept_alive(service: Mapping[str, Any]) -> Iterator[Finding]:
    restart, health = service.get("restart", "no"), table(service.get("healthcheck"))
    if "profiles" in service:  # runs when asked for, and ends
        if str(restart) not in ("no", "False"):
            fix = 'remove `profiles`; a program that runs once has `restart: "no"`'
            yield f"profiles: {service['profiles']}", "a service that starts with its tier", fix
        return
    if restart != "unless-stopped":
        yield f"restart: {restart}", "restart: unless-stopped", ""
    test = list(listed(health.get("test")))
    words = " ".join(map(str, test))
    if test[:1] != ["CMD"] or NO_CHECK.fullmatch(words) or set(health) - HEALTH_KEYS:
        wanted = "a check that shows whether it serves, and that can fail, as [CMD, ...]"
        yield f"healthcheck: {words or 'none'}", wanted, "write a `healthcheck` with a `test`, without `disable`"
    elif missing := sorted(HEALTH_KEYS - set(health)):
        fix = "write all of them, as the other services do: Docker's defaults are longer"
        yield f"healthcheck: no {', '.join(missing)}", f"all of {', '.join(sorted(HEALTH_KEYS))}", fix


def _memory_files(service: Mapping[str, Any]) -> Iterator[Finding]:
    for entry in listed(service.get("tmpfs")):
        path, _, options = str(entry).partition(":")
        wrong = [option for option in options.split(",") if not TMPFS_OPTIONS.fullmatch(option)]
        if wrong or "size=" not in options or not path.startswith("/"):
            fix = f"write {path}:size=16m,mode=1777"
            yield f"tmpfs: {entry}", "a size above 0, a mode and an owner, nothing else: no exec, suid or dev", fix


def _peers(service: Mapping[str, Any]) -> Iterator[Finding]:
    hosts = service.get("extra_hosts")
    pairs = (
        hosts.items() if isinstance(hosts, Mapping) else (re.split("[:=]", str(h), maxsplit=1) for h in listed(hosts))
    )
    for pair in pairs:
        name, address = pair if len(pair) == 2 else (pair[0], "")
        if not ADDRESS.fullmatch(str(address)):
            wanted = "the address of a droplet, such as ${INFRA_ADDRESS:?}"
            yield f"extra_hosts: {name}: {address}", wanted, f"write {name}: ${{INFRA_ADDRESS:?}}, or remove it"


def _connected(service: Mapping[str, Any]) -> Iterator[Finding]:
    if not service.get("networks"):
        wanted = "the network of its tier, whose addresses are known"
        yield f"networks: {_or_none(service.get('networks'))}", wanted, "write `networks` as the other services do"
    for key, value in service.items():
        if key != "volumes" and "docker.sock" in str(value):  # volumes are judged as mounts
            yield f"{key}: the Docker socket", "no Docker socket: it is root on the droplet", f"remove it from `{key}`"


_CHECKS: Sequence[Callable[[Mapping[str, Any]], Iterator[Finding]]] = (
    _bounded,
    _unprivileged,
    _kept_alive,
    _memory_files,
    _peers,
    _connected,
)


def _mounts(service: Mapping[str, Any], data: str) -> Iterator[Finding]:
    allowed = "a directory of the release, a secret" + (f", or a directory below {data}" if data else "")
    for mount in mounts(service):
        kept = data and re.fullmatch(rf"{re.escape(data)}/[a-z][\w-]*", mount.source)
        if "docker.sock" in mount.text:
            yield (
                f"volumes: the Docker socket: {mount.text}",
                "no Docker socket: it is root on the droplet",
                "remove that volume",
            )
        elif not (
            kept
            or mount.source in OF_THE_HOST
            or any(form.fullmatch(mount.source) for form in (RELEASE, SECRET))
            or (LIVE in service and READ_AGAIN.fullmatch(mount.source))
        ):
            fix = "remove that volume, or mount a directory of compose/<tier>/ as the others are"
            yield f"volumes: {mount.text}", allowed, fix
        elif mount.writable and not kept:
            yield (
                f"volumes: {mount.text}",
                "read-only: files of a release do not change",
                "add `:ro` after it",
            )
        elif kept and mount.creates:
            wanted = (
                "bind: {create_host_path: false}: otherwise a missing volume gives an empty database on the root disk"
            )
            yield f"volumes: {mount.text}", wanted, "start from the anchor `no-create`"


def project_faults(document: Mapping[str, Any]) -> Iterator[Finding]:
    """Judge the keys beside the services: nothing would check what another file brings."""
    for key in sorted(map(str, document)):
        if key not in PROJECT_KEYS and not key.startswith("x-"):
            wanted = "only services, networks and x-*: what another file or volume brings is not checked"
            yield f"{key}: {document.get(key)}", wanted, f"write it into this file's services, and remove `{key}`"
    for name, network in table(document.get("networks")).items():
        strange = sorted(set(table(network)) - NETWORK_KEYS)
        options = set(table(table(network).get("driver_opts"))) - {BRIDGE_NAME}
        for key in (*strange, *options):
            yield f"networks.{name}.{key}", "a bridge of the tier's own", f"remove `{key}`"


def release_memory(document: Mapping[str, Any]) -> float:
    """Return the memory in MiB of all that may run during a release: both colours of a service among it."""
    return sum(mebibytes(table(service).get("mem_limit")) for service in table(document.get("services")).values())


def mebibytes(limit: object) -> float:
    """Read a size as compose does, e.g. `128m`, `1.5g`, 134217728; 0 for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([bkmg]?)b?", str(limit).lower())
    return float(match[1]) * UNITS_MIB[match[2] or "b"] if match else 0.0


def _or_none(value: object) -> object:
    return "none" if value is None else value
