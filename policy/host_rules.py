"""BC22: what the user data of a droplet does, by value: who may log in, and what is closed from the first boot on.

The text is rendered and read as cloud-init reads it, so it does not matter in which file of cloud-init/ a line stands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from policy.compose_rules import DOWNLOADED, LOADER, UNREADABLE
from policy.server_files import read_sshd
from topology.cloud_init import SAMPLE_LOGIN_KEY, SSHD_FILE, SSHD_PEERS_FILE, TEMPLATE_FILE, sample_user_data
from topology.mounts import listed, table
from topology.policy_rules import RULES, Violation
from topology.project import Project
from topology.secret_texts import shown, words_are_secret

Fault = tuple[str, str]
"""What was found, and what was expected."""

KEYS = frozenset(
    {
        *("users", "disable_root", "ssh_pwauth", "ssh_deletekeys", "ssh_keys", "ssh", "write_files", "runcmd"),
        *("package_update", "package_upgrade", "timezone", "locale", "growpart", "resize_rootfs", "final_message"),
    }
)
USER_KEYS = frozenset({"name", "gecos", "shell", "lock_passwd", "sudo", "ssh_authorized_keys"})
VALUES: Mapping[str, object] = {"disable_root": True, "ssh_pwauth": False, "ssh_deletekeys": True}
FILES = re.compile(
    rf"{re.escape(TEMPLATE_FILE)}|{re.escape(SSHD_FILE)}|{re.escape(SSHD_PEERS_FILE)}|/etc/docker/daemon\.json"
    r"|/etc/systemd/system/basecommerce-[a-z-]+\.(service|timer|path)"
    r"|/etc/systemd/system/[a-z@.-]+\.d/[\w-]*basecommerce[\w-]*\.conf"
    r"|/etc/(apt/apt\.conf|sysctl|modprobe|modules-load)\.d/[\w-]*basecommerce[\w-]*(\.conf)?|/etc/basecommerce/[\w./-]+"
    r"|/opt/basecommerce/[\w/-]+\.(sh|py)"
)
"""Where user data may write; none of these files lets a person or a program in."""
SSHD: Mapping[str, tuple[str, ...]] = {
    "authenticationmethods": ("publickey",),
    "passwordauthentication": ("no",),
    "kbdinteractiveauthentication": ("no",),
    "permitrootlogin": ("no",),
    "allowagentforwarding": ("no",),
    "permittunnel": ("no",),
}
"""What must be written: Debian's defaults let passwords and root's key in. Source: sshd_config(5)."""
SSHD_ABSENT = (
    *("match", "include", "permitemptypasswords", "authorizedkeysfile", "authorizedkeyscommand", "trustedusercakeys"),
    *(
        "hostbasedauthentication",
        "allowgroups",
        "permituserenvironment",
        "gssapiauthentication",
        "forcecommand",
        "port",
    ),
)
FORWARDING = {"allowtcpforwarding": ("no", "local")}
DAEMON: Mapping[str, object] = {
    "live-restore": True,
    "userland-proxy": False,
    "no-new-privileges": True,
    "icc": False,
    "log-driver": "local",
}
DAEMON_KEYS = frozenset({*DAEMON, "log-opts", "bip", "default-address-pools", "max-concurrent-downloads"})
RUN: Mapping[str, str] = {
    r"^\s*ufw default deny incoming$": "ufw default deny incoming",
    r"^\s*ufw --force enable$": "ufw --force enable",
    r"^\s*set -eu": "set -eu",
}
OPENED = re.compile(
    r"\bufw (--force )?(disable|reset|default allow)|\bufw allow (?!proto tcp from \S+ to any port 22\b)"
    r"|\b(chpasswd|passwd|usermod|gpasswd|adduser|visudo)\b|\buseradd (?!--system .*--shell /bin/false)"
    r"|authorized_keys|/etc/sudoers|/etc/shadow|sshd_config"
    r"|\biptables .*(-F|--flush|-P \S+ ACCEPT)|\bsystemctl (stop|disable|mask) .*ufw"
)
METADATA = re.compile(r"PREROUTING .*-d 169\.254\.169\.254\S* .*-j (?:DROP|REJECT)")


def host_violations(project: Project, droplet: str) -> Iterator[Violation]:
    """Judge the user data that a new machine would be born with."""
    place = f"cloud-init/ ({droplet})"
    for found, wanted in _faults(project, droplet):
        fix = "correct that line in cloud-init/*.j2; git log -p -- cloud-init shows the edit"
        yield Violation(rule=RULES["BC22"], resource=place, found=shown(found), wanted=wanted, fix=fix)


def _faults(project: Project, droplet: str) -> Iterator[Fault]:
    text, user = sample_user_data(project, droplet), project.settings.ssh.user
    try:
        document = table(yaml.load(text, Loader=LOADER))  # noqa: S506 - a safe one
    except UNREADABLE as error:
        yield f"invalid YAML: {str(error).splitlines()[-1].strip()}", "a #cloud-config document"
        return
    for key in sorted(set(map(str, document)) - KEYS):
        yield f"{key}: {document.get(key)}", f"no {key}: what cloud-init does with it is not checked"
    for key, value in VALUES.items():
        if document.get(key) is not value:
            yield f"{key}: {document.get(key)}", f"{key}: {str(value).lower()}"
    yield from _users(document, user)
    yield from _files(document, user)
    yield from _script("\n".join(str(part) for part in listed(document.get("runcmd"))))
    for number, line in enumerate(text.splitlines() if words_are_secret(text) else (), 1):
        if not line.lstrip().startswith("#") and words_are_secret(line):
            yield f"line {number}: a secret in clear", "no secret but the host key"


def _files(document: Mapping[str, Any], user: str) -> Iterator[Fault]:
    written = {str(table(file).get("path")): table(file) for file in listed(document.get("write_files"))}
    for path, file in written.items():
        if not FILES.fullmatch(path):
            yield f"write_files: {path}", "our own files below /etc/basecommerce, sshd_config.d, docker, systemd"
        if re.search(r"[2367].?$", str(file.get("permissions", "0644"))):
            yield f"write_files: {path}: {file.get('permissions')}", "a file that only its owner may write"
    contents = {path: str(file.get("content", "")) for path, file in written.items()}
    yield from _sshd([contents[path] for path in sorted(contents) if "sshd_config.d" in path], user)
    yield from _daemon(contents.get("/etc/docker/daemon.json", "{}"))
    if not any(METADATA.search(content) for content in contents.values()):
        yield (
            "metadata: 169.254.169.254 is open to containers",
            "a rule in PREROUTING that drops it: it shows the user data",
        )


def _users(document: Mapping[str, Any], name: str) -> Iterator[Fault]:
    users = listed(document.get("users"))
    if [table(user).get("name") for user in users] != [name]:
        names = ", ".join(str(table(user).get("name", user)) for user in users)
        yield f"users: {names or 'none'}", f"{name} alone (setting ssh.user)"
    for user in map(table, users):
        for key in sorted(set(user) - USER_KEYS):
            yield f"users.{user.get('name')}.{key}: {user[key]}", f"no {key}"
        if user.get("lock_passwd") is not True:
            yield f"users.{user.get('name')}.lock_passwd: {user.get('lock_passwd')}", "true: nobody has a password"
        if user.get("ssh_authorized_keys") != [SAMPLE_LOGIN_KEY]:
            yield f"users.{user.get('name')}.ssh_authorized_keys: another key", "the stack's login key alone"


def _sshd(texts: list[str], user: str) -> Iterator[Fault]:
    found = read_sshd(*texts)
    for key, allowed in {**SSHD, "allowusers": (user,)}.items():
        if found.get(key) not in allowed:
            yield f"sshd {key}: {found.get(key, 'not written')}", " or ".join(allowed)
    for key, allowed in FORWARDING.items():
        if found.get(key, "yes") not in allowed:
            yield f"sshd {key}: {found.get(key, 'not written')}", " or ".join(allowed)
    for key in SSHD_ABSENT:
        if key in found:
            yield f"sshd {key}: {found[key]}", f"no {key}"


def _daemon(text: str) -> Iterator[Fault]:
    try:
        settings = table(json.loads(text))
    except ValueError:
        yield "daemon.json: invalid JSON", "Docker's settings"
        return
    for key, value in DAEMON.items():
        if settings.get(key) != value:
            yield f"daemon.json {key}: {settings.get(key)}", json.dumps(value)
    for key in sorted(set(settings) - DAEMON_KEYS):
        yield f"daemon.json {key}: {settings[key]}", f"no {key}"


def _script(text: str) -> Iterator[Fault]:
    for pattern, wanted in RUN.items():
        if not re.search(pattern, text, re.MULTILINE):
            yield f"runcmd: no {wanted}", wanted
    for line in filter(OPENED.search, text.splitlines()):
        yield f"runcmd: {line.strip()}", "a host that is closed after its first boot"
    if DOWNLOADED.search(text):
        yield "runcmd: runs what it downloads", "packages of Debian"
