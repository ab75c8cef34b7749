"""The items of CIS Docker 1.6 that matter on a droplet: what makes each one hold, or why it is waived.

Source of the items: https://www.cisecurity.org/benchmark/docker, as docker/docker-bench-security checks them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

SERVICE_MODES = re.compile(r"^\s+permissions: \"(\d{4})\"$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Files:
    """What the items look at: user data and daemon.json of one droplet, and the services of all compose projects."""

    user_data: str
    services: Mapping[str, Mapping[str, Any]]

    @property
    def daemon(self) -> dict[str, Any]:
        """Docker's settings, as the user data writes them."""
        match = re.search(r"path: /etc/docker/daemon\.json.*?content: \|\n(.*?\n\s+\})\n", self.user_data, re.DOTALL)
        settings = json.loads(match[1]) if match else {}
        return settings if isinstance(settings, dict) else {}

    def every(self, test: Callable[[Mapping[str, Any]], object]) -> bool:
        """Tell whether every service passes."""
        return bool(self.services) and all(bool(test(service)) for service in self.services.values())

    def none_has(self, *keys: str) -> bool:
        """Tell whether no service has any of these keys."""
        return self.every(lambda service: not set(keys) & set(service))


@dataclass(frozen=True, kw_only=True)
class Item:
    """One item: it holds when `check` says so, or `waiver` says why not."""

    id: str
    asks: str
    holds: str = ""
    check: Callable[[Files], bool] | None = None
    waiver: str = ""


def _held(number: str, asks: str, holds: str, check: Callable[[Files], bool]) -> Item:
    return Item(id=number, asks=asks, holds=holds, check=check)


def _waived(number: str, asks: str, waiver: str) -> Item:
    return Item(id=number, asks=asks, waiver=waiver)


def _mounts(service: Mapping[str, Any]) -> list[str]:
    return [item["source"] if isinstance(item, dict) else str(item) for item in service.get("volumes", ())]


def _restarts_bounded(service: Mapping[str, Any]) -> bool:
    return service.get("restart") in ("unless-stopped", "no")


SENSITIVE = re.compile(r"^(?!/dev/null:)(/|/boot|/dev|/etc|/lib|/proc|/sys|/usr)(/[^:]*)?(:|$)")
COMPOSE = "every service of compose/*/compose.yaml: "
DAEMON = "daemon.json in cloud-init/base.yaml.j2: "

ITEMS = (
    _held(
        "1.1.2",
        "only trusted users control the daemon",
        "user data puts nobody into the group `docker`; the login user needs sudo for it",
        lambda files: (
            not re.search(r"^\s+groups:.*docker|usermod.*docker|adduser.*docker", files.user_data, re.MULTILINE)
        ),
    ),
    _held(
        "2.2",
        "no traffic between containers on the default bridge (icc)",
        DAEMON + "`icc: false`",
        lambda files: files.daemon.get("icc") is False,
    ),
    _held(
        "2.3", "log level info", "daemon.json sets none, and info is the default", lambda f: "log-level" not in f.daemon
    ),
    _held(
        "2.4",
        "the daemon may change iptables",
        "daemon.json does not turn it off; DOCKER-USER hangs on it",
        lambda files: "iptables" not in files.daemon,
    ),
    _waived(
        "2.9, 5.31",
        "user namespaces (userns-remap), none shared with the host",
        "remapped owners would change those of the data volume and of secret files (0400, owned by the service's own "
        "user); no container runs as root, has a capability or may gain privileges, and none sets `userns_mode`",
    ),
    _held(
        "2.14",
        "no new privileges by default",
        DAEMON + "`no-new-privileges: true`",
        lambda files: files.daemon.get("no-new-privileges") is True,
    ),
    _held(
        "2.15", "live restore", DAEMON + "`live-restore: true`", lambda files: files.daemon.get("live-restore") is True
    ),
    _held(
        "2.16",
        "no userland proxy",
        DAEMON + "`userland-proxy: false`",
        lambda files: files.daemon.get("userland-proxy") is False,
    ),
    _held(
        "3.15-3.18",
        "modes and owners of the socket and of daemon.json",
        "user data writes every file with 0644 or less; the socket is Debian's, `root:docker` 0660",
        lambda files: all(int(mode, 8) & 0o022 == 0 for mode in SERVICE_MODES.findall(files.user_data)),
    ),
    _held(
        "4.1",
        "a user for the container",
        COMPOSE + "`user` is a number above 0",
        lambda files: files.every(lambda service: re.fullmatch(r"[1-9]\d*:[1-9]\d*", str(service.get("user")))),
    ),
    _held(
        "4.6, 5.27",
        "a health check",
        COMPOSE + "`healthcheck`, but for the one-off `migrate`",
        lambda files: files.every(lambda s: "profiles" in s or "test" in s.get("healthcheck", {})),
    ),
    _waived(
        "4.10",
        "no secrets in Dockerfiles",
        "the images of staging and production are built elsewhere; those of the local cloud hold Debian packages and "
        "the reference applications, and the build context has no secret",
    ),
    _held(
        "5.4",
        "no unneeded capabilities",
        COMPOSE + "`cap_drop: [ALL]`, no `cap_add`",
        lambda files: files.every(lambda s: s.get("cap_drop") == ["ALL"]) and files.none_has("cap_add"),
    ),
    _held("5.5", "no privileged containers", COMPOSE + "no `privileged`", lambda files: files.none_has("privileged")),
    _held(
        "5.6",
        "no system directory of the host is mounted",
        COMPOSE + "mounts come from the release, its secrets or the data volume",
        lambda files: files.every(lambda service: not any(map(SENSITIVE.match, _mounts(service)))),
    ),
    _held(
        "5.8",
        "no privileged ports but needed ones",
        "the edge's nginx alone, 80 and 443",
        lambda files: all(
            name.startswith("edge/") or int(str(port).rsplit(":", 1)[1]) > 1023
            for name, service in files.services.items()
            for port in service.get("ports", ())
        ),
    ),
    _held(
        "5.9",
        "only needed ports are open",
        "no service publishes more than two ports; rule BC17 finds each that the rule table of inventory.yaml lacks",
        lambda files: files.every(lambda service: len(service.get("ports", ())) <= 2),
    ),
    _held("5.10", "no host network", COMPOSE + "no `network_mode`", lambda files: files.none_has("network_mode")),
    _held(
        "5.11", "memory is limited", COMPOSE + "`mem_limit`", lambda files: files.every(lambda s: s.get("mem_limit"))
    ),
    _waived(
        "5.12",
        "CPU shares",
        "nginx and HAProxy weigh four times the application beside them; the others have equal parts, since droplets "
        "have few containers, and a quiet neighbour's time should be used",
    ),
    _held(
        "5.13",
        "a read-only root file system",
        COMPOSE + "`read_only: true`",
        lambda files: files.every(lambda s: s.get("read_only") is True),
    ),
    _held(
        "5.14",
        "traffic is bound to one interface",
        "ports are published on the private address; the edge's on all, since its reserved address is not its own, "
        "behind the cloud firewall, UFW and DOCKER-USER",
        lambda files: all(
            name.startswith("edge/") or str(port).startswith("${PRIVATE_ADDRESS:?}:")
            for name, service in files.services.items()
            for port in service.get("ports", ())
        ),
    ),
    _held(
        "5.15",
        "restarts on failure are bounded",
        "`unless-stopped` sets no count, which the benchmark's script passes; Docker itself waits longer each time",
        lambda files: files.every(_restarts_bounded),
    ),
    _held(
        "5.26",
        "no privileges are gained",
        COMPOSE + "`no-new-privileges:true`",
        lambda files: files.every(lambda s: "no-new-privileges:true" in s.get("security_opt", ())),
    ),
    _held(
        "5.29",
        "processes are limited",
        COMPOSE + "`pids_limit`",
        lambda files: files.every(lambda s: 0 < s.get("pids_limit", 0) <= 256),
    ),
    _held(
        "5.30",
        "not on the bridge docker0",
        COMPOSE + "`networks` of its own tier",
        lambda files: files.every(lambda service: service.get("networks")),
    ),
    _held(
        "5.32",
        "no Docker socket in a container",
        COMPOSE + "none is mounted",
        lambda files: files.every(lambda service: "docker.sock" not in str(service.get("volumes", ""))),
    ),
)
