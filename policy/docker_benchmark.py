"""The items of CIS Docker 1.6 that matter on a droplet: which rule holds each one, or why it is waived.

Source of the items: https://www.cisecurity.org/benchmark/docker, as docker/docker-bench-security checks them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Item:
    """One item: `rule` refuses files in which it does not hold, or `waiver` says why it need not."""

    id: str
    asks: str
    rule: str = ""
    holds: str = ""
    """The setting by which it holds, in the rule's files."""
    waiver: str = ""


def _held(rule: str, number: str, asks: str, holds: str) -> Item:
    return Item(id=number, asks=asks, rule=rule, holds=holds)


def _waived(number: str, asks: str, waiver: str) -> Item:
    return Item(id=number, asks=asks, waiver=waiver)


DAEMON = "daemon.json in cloud-init/base.yaml.j2: "

ITEMS = (
    _held(
        "BC22",
        "1.1.2",
        "only trusted users control the daemon",
        "user data puts nobody into the group `docker`; the login user needs sudo for it",
    ),
    _held("BC22", "2.2", "no traffic between containers on the default bridge (icc)", DAEMON + "`icc: false`"),
    _held("BC22", "2.3", "log level info", "daemon.json sets none, and info is the default"),
    _held(
        "BC22",
        "2.4",
        "the daemon may change iptables",
        "daemon.json does not turn it off; DOCKER-USER depends on it",
    ),
    _waived(
        "2.9, 5.31",
        "user namespaces (userns-remap), none shared with the host",
        "remapping would change the owners of the data volume and of secret files (0400, owned by the service's own "
        "user); no container runs as root, has a capability or may gain privileges, and none sets `userns_mode`",
    ),
    _held("BC22", "2.14", "no new privileges by default", DAEMON + "`no-new-privileges: true`"),
    _held("BC22", "2.15", "live restore", DAEMON + "`live-restore: true`"),
    _held("BC22", "2.16", "no userland proxy", DAEMON + "`userland-proxy: false`"),
    _held(
        "BC22",
        "3.15-3.18",
        "modes and owners of the socket and of daemon.json",
        "only its owner may write a file of user data; the socket is Debian's, `root:docker` 0660",
    ),
    _held("BC18", "4.1", "a user for the container", "`user` is a number above 0"),
    _held("BC18", "4.6, 5.27", "a health check", "`healthcheck`, but for the one-off `migrate`"),
    _waived(
        "4.10",
        "no secrets in Dockerfiles",
        "the images of staging and production are built elsewhere; those of the local cloud hold Debian packages and "
        "the reference applications, and the build context has no secret",
    ),
    _held("BC18", "5.4", "no unneeded capabilities", "`cap_drop: [ALL]`, no `cap_add`"),
    _held("BC18", "5.5", "no privileged containers", "no `privileged`"),
    _held(
        "BC18",
        "5.6",
        "no system directory of the host is mounted",
        "mounts come from the release, its secrets or the data volume",
    ),
    _held("BC17", "5.8", "no privileged ports but needed ones", "the edge's nginx alone, 80 and 443"),
    _held("BC17", "5.9", "only needed ports are open", "each is in the rule table of inventory.yaml"),
    _held("BC18", "5.10", "no host network", "no `network_mode`"),
    _held("BC18", "5.11", "memory is limited", "`mem_limit`"),
    _waived(
        "5.12",
        "CPU shares",
        "nginx and HAProxy have four times the weight of the application beside them; the others have equal shares, "
        "since droplets have few containers, and an idle neighbour's time should be used",
    ),
    _held("BC18", "5.13", "a read-only root file system", "`read_only: true`"),
    _held(
        "BC17",
        "5.14",
        "traffic is bound to one interface",
        "ports are published on the private address; the edge's on all, since its reserved address is not its own, "
        "behind the cloud firewall, UFW and DOCKER-USER",
    ),
    _held(
        "BC18",
        "5.15",
        "restarts on failure are bounded",
        "`unless-stopped` sets no count, which the benchmark's script passes; Docker itself waits longer each time",
    ),
    _held("BC18", "5.26", "no privileges are gained", "`no-new-privileges:true`"),
    _held("BC18", "5.29", "processes are limited", "`pids_limit`"),
    _held("BC18", "5.30", "not on the bridge docker0", "`networks` of its own tier"),
    _held("BC18", "5.32", "no Docker socket in a container", "none is mounted"),
)
