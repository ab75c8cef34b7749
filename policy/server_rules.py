"""BC22: the values in the servers' files: who is let in, and what survives a power cut.

Files are read with what they include and with what the command line adds. A value that is not written is the server's
default; each rule knows which defaults are good enough.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from policy.nginx_rules import nginx_faults
from policy.server_files import (
    Fault,
    Server,
    network,
    read_hba,
    read_postgresql,
    read_redis,
    secret_at,
    shipped,
    words_of,
)
from topology.mounts import mounts, table
from topology.policy_rules import RULES, Violation
from topology.project import Project
from topology.secret_texts import SECRET_PATH, shown

ON, OFF = ("on", "true", "yes", "1"), ("off", "false", "no", "0")
POSTGRESQL: Mapping[str, tuple[tuple[str, ...], str]] = {
    "fsync": (ON, "on: without it a power cut loses the database"),
    "full_page_writes": (ON, "on: without it a torn page is not repaired"),
    "synchronous_commit": ((*ON, "local", "remote_write", "remote_apply"), "on: a confirmed sale is on the disk"),
    "password_encryption": (("scram-sha-256",), "scram-sha-256"),
    "autovacuum": (ON, "on: otherwise the database stops when transaction numbers run out"),
    "wal_level": (("replica", "logical"), "replica or logical"),
    "zero_damaged_pages": (OFF, "off: damage must be visible"),
    "ignore_checksum_failure": (OFF, "off: damage must be visible"),
    "allow_system_table_mods": (OFF, "off"),
}
"""Allowed values of each setting; one that is not written has a good default. Source:
https://www.postgresql.org/docs/17/runtime-config-wal.html and runtime-config-developer.html"""
POSTGRESQL_ABSENT = (
    *("include", "include_dir", "include_if_exists", "data_directory", "archive_command"),
    *("shared_preload_libraries", "session_preload_libraries", "local_preload_libraries", "restore_command"),
)
HBA_REMOTE, HBA_LOCAL = ("scram-sha-256", "reject", "cert"), ("scram-sha-256", "reject", "peer", "trust")
"""Allowed ways to authenticate: over TCP, and on the socket, which is in the container's own memory."""

REDIS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "protected-mode": (("yes",), "yes"),
    "appendonly": (("yes",), "yes: otherwise a restart loses the events"),
    "appendfsync": (("everysec", "always"), "everysec or always"),
    "maxmemory-policy": (("noeviction",), "noeviction: anything else drops events"),
    "enable-debug-command": (("no",), "no"),
    "enable-module-command": (("no",), "no"),
    "enable-protected-configs": (("no",), "no"),
}
"""The same; `appendonly` alone must be written, since its default is `no`. Source: redis.conf of Redis 8."""
REDIS_ABSENT = ("loadmodule", "replicaof", "slaveof", "masterauth", "masteruser")
HAPROXY_COLOURS = "/etc/basecommerce/colours.cfg"
"""Written on the droplet by compose/colours.py: which colour serves."""
HAPROXY_ABSENT = re.compile(r"(stats (enable|uri|admin)|external-check|lua-load|program) ?")


def server_violations(
    project: Project, tier: str, document: Mapping[str, Any], files: Mapping[str, str]
) -> Iterator[Violation]:
    """Judge the servers of a tier by their files; `files` are those of the bundle, rendered."""
    services = table(document.get("services"))
    for name, judge in _SERVERS.items():
        if name not in services:
            continue
        server = Server(service=table(services[name]), services=services, files=files, project=project)
        for place, found, wanted in judge(server):
            file = f"compose/{tier}/{place}"
            fix = f"correct `{found.partition(':')[0]}` in {file}; git log -p -- {file} shows the edit"
            yield Violation(rule=RULES["BC22"], resource=file, found=shown(found), wanted=wanted, fix=fix)


def _postgres(server: Server) -> Iterator[Fault]:
    settings, strange, path = _postgres_command(words_of(server.service, "command"))
    for word in strange:
        yield "compose.yaml", f"command: {word}", "postgres, and settings by -c"
    if "entrypoint" in server.service:
        yield "compose.yaml", f"entrypoint: {server.service['entrypoint']}", "the image's own entrypoint"
    name = shipped(server.service, path)
    if name not in server.files:
        yield "compose.yaml", f"command: config_file={path or 'none'}", "a file of the release, mounted read-only"
        return
    settings = {**read_postgresql(server.files[name]), **settings}
    for key, (allowed, wanted) in POSTGRESQL.items():
        if settings.get(key, allowed[0]) not in allowed:
            yield name, f"{key}: {settings[key]}", wanted
    for key in POSTGRESQL_ABSENT:
        if settings.get(key):
            yield name, f"{key}: {settings[key]}", f"no {key}: what it brings is not checked"
    for key in ("hba_file", "ident_file"):
        if key in settings and shipped(server.service, settings[key]) not in server.files:
            yield name, f"{key}: {settings[key]}", "a file of the release, mounted read-only"
    environment = _environment(server)
    yield from _first_start(server, environment)
    hba = shipped(server.service, settings.get("hba_file", ""))
    yield from _hba(hba, server.files.get(hba, ""), environment.get("POSTGRES_USER", "postgres"))


def _postgres_command(words: list[str]) -> tuple[dict[str, str], list[str], str]:
    """Return what the command line sets, its other words, and the configuration file."""
    settings: dict[str, str] = {}
    strange: list[str] = [] if words[:1] == ["postgres"] else [" ".join(words) or "none"]
    rest = iter(words[1:])
    for word in rest:
        text = next(rest, "") if word == "-c" else word.removeprefix("--").removeprefix("-c")
        key, equals, value = text.partition("=")
        if equals and word.startswith("-"):
            settings[key.replace("-", "_").lower()] = value.lower()
        else:
            strange.append(word)
    return settings, strange, settings.pop("config_file", "")


def _environment(server: Server) -> dict[str, str]:
    given = server.service.get("environment")
    pairs = (str(entry).partition("=")[::2] for entry in given) if isinstance(given, list) else table(given).items()
    return {str(key): str(value) for key, value in pairs}


def _first_start(server: Server, environment: Mapping[str, str]) -> Iterator[Fault]:
    """Judge what the image's entry point makes of an empty directory."""
    method = environment.get("POSTGRES_HOST_AUTH_METHOD", "scram-sha-256")
    if method != "scram-sha-256":
        yield "compose.yaml", f"POSTGRES_HOST_AUTH_METHOD: {method}", "scram-sha-256"
    arguments = environment.get("POSTGRES_INITDB_ARGS", "")
    methods = re.findall(r"(?:--auth|--auth-host|-A)[= ](\S+)", arguments)
    if set(methods) != {"scram-sha-256"}:
        yield "compose.yaml", f"POSTGRES_INITDB_ARGS: {arguments or 'none'}", "--auth-host=scram-sha-256"
    if not {"--data-checksums", "-k"} & set(arguments.split()):
        yield "compose.yaml", f"POSTGRES_INITDB_ARGS: {arguments or 'none'}", "--data-checksums"
    yield from _kept(server, environment.get("PGDATA", "/var/lib/postgresql/data"))


def _hba(file: str, text: str, superuser: str) -> Iterator[Fault]:
    for line in read_hba(text):
        local = line[0].lower() == "local"
        at = 3 if local else 5 if network("".join(line[4:5])) else 4  # behind a mask, if there is one
        method = "".join(line[at : at + 1])
        users = set("".join(line[2:3]).replace('"', "").split(","))
        if method not in (HBA_LOCAL if local else HBA_REMOTE):
            yield file, " ".join(line), "scram-sha-256 for every connection over TCP"
        elif not local and method != "reject" and {"all", superuser} & users:
            yield (
                file,
                " ".join(line),
                f"logins of services by name or role: the superuser {superuser} may use only the socket",
            )


def _redis(server: Server) -> Iterator[Fault]:
    program, path, *options = [*words_of(server.service, "entrypoint"), *words_of(server.service, "command"), "", ""]
    name = shipped(server.service, path)
    if program.rpartition("/")[2] != "redis-server" or name not in server.files:
        yield "compose.yaml", f"entrypoint: {program} {path}", "redis-server with a file of the release"
        return
    lines = read_redis(server.files[name] + "\n" + "\n".join(" ".join(options).split("--")))
    settings = {line[0]: " ".join(line[1:]) for line in lines}
    for key, (allowed, wanted) in REDIS.items():
        value = settings.get(key, "no" if key == "appendonly" else allowed[0]).lower()
        if value not in allowed:
            yield name, f"{key}: {value}", wanted
    for line in lines:
        if line[0] == "requirepass" or (line[0] == "user" and _opens(line)):
            who = line[1] if line[0] == "user" and len(line) > 1 else "written here"
            yield name, f"{line[0]}: {who}", "users and passwords only in the secret file; nobody without a password"
        elif line[0] in REDIS_ABSENT:
            yield name, f"{line[0]}: {' '.join(line[1:])}", f"no {line[0]}"
    yield from _redis_users(server, name, [" ".join(line[1:]) for line in lines if line[0] in ("include", "aclfile")])
    yield from _kept(server, settings.get("dir", "/data"))


def _opens(line: tuple[str, ...]) -> bool:
    """Return whether a line makes a user without a password, or with a password in clear."""
    return "nopass" in line or any(word.startswith(">") for word in line)


def _redis_users(server: Server, name: str, included: list[str]) -> Iterator[Fault]:
    wanted = f"the secret file with Redis' users, below {SECRET_PATH}, as compose.yaml mounts it"
    for file in included or ["none"]:
        if not secret_at(server.service, file):
            yield name, f"include: {file}", wanted


def _kept(server: Server, directory: str) -> Iterator[Fault]:
    """Check that a server's files are on a writable mount: BC18 allows only those of the data volume."""
    inside = f"{directory}/"
    targets = [mount.target.rstrip("/") for mount in mounts(server.service) if mount.writable]
    if not any(inside.startswith(f"{target}/") for target in targets):
        yield "compose.yaml", f"volumes: nothing at {directory}", f"${{DATA_DIR:?}}/<name> at {directory}"


def _haproxy(server: Server) -> Iterator[Fault]:
    words = [*words_of(server.service, "entrypoint"), *words_of(server.service, "command")]
    paths = [words[at + 1] for at, word in enumerate(words[:-1]) if word == "-f"]
    names = [shipped(server.service, path) for path in paths if path != HAPROXY_COLOURS]
    if words[:1] != ["haproxy"] or len(names) != 1 or names[0] not in server.files:
        yield "compose.yaml", f"entrypoint: {' '.join(words)}", "haproxy -f with one file of the release"
        return
    for line in server.files[names[0]].splitlines():
        text = " ".join(line.partition("#")[0].split())
        socket = re.match(r"stats socket (\S+)", text)
        if socket and not re.match(r"((ipv4@)?127\.|unix@|/tmp/)", socket[1]):
            yield names[0], f"stats socket: {socket[1]}", "an address of the container's own loopback"
        if HAPROXY_ABSENT.match(text):
            yield names[0], text.replace(" ", ": ", 1), "no such line: it exposes or runs more than is needed"


_SERVERS: Mapping[str, Callable[[Server], Iterator[Fault]]] = {
    "postgres": _postgres,
    "redis": _redis,
    "nginx": nginx_faults,
    "haproxy": _haproxy,
}
