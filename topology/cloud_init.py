"""User data: the first boot of a droplet. Deterministic and small, since any change of it is for new machines only."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import jinja2

from topology.firewall import first_boot_ssh_source
from topology.keys import public_key
from topology.project import Project

USER_DATA_LIMIT = 64 * 1024
"""Bytes. Source: https://docs.digitalocean.com/reference/api/digitalocean/ (droplets, user_data: up to 64 KiB)."""

HOST_KEY_FILE = "/etc/ssh/ssh_host_ed25519_key"
SSHD_FILE = "/etc/ssh/sshd_config.d/10-basecommerce.conf"
SSHD_PEERS_FILE = "/etc/ssh/sshd_config.d/20-basecommerce-peers.conf"
"""What may change later (peers' addresses, limits, algorithms): Host replaces it once the peers are known."""

TEMPLATE_FILE = "/etc/basecommerce-template"
"""Where a droplet keeps the digest of the user data that it was born with; nothing writes it later."""

SSHD_ALGORITHMS = (
    "KexAlgorithms mlkem768x25519-sha256,sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com",
    "Ciphers chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes128-gcm@openssh.com",
    "MACs hmac-sha2-512-etm@openssh.com,hmac-sha2-256-etm@openssh.com,umac-128-etm@openssh.com",
)
"""What sshd offers: algorithms that pass ssh-audit, with a key exchange that is safe against later decryption.

Clients that must get in know one of each: OpenSSH since 8.5 (https://www.openssh.com/txt/release-8.5), Go's x/crypto
since 0.38 (pulumi-command 1.2.1 has 0.48, see its go.mod), and asyncssh 2.24 of the local cloud.
"""

SSHD_LIMITS = ("MaxStartups 100:30:200", "PerSourceMaxStartups 20", "LoginGraceTime 20")
"""Connections before a login: 20 from one address, 20 s each, so that a stranger who opens hundreds keeps nobody out.

The engine opens one for each command, some side by side: tests/program counts them, and tests/services logs in that
often at once. The inner droplets see the bastion's one address for all of them.
"""

METRICS_AGENT_USER = "do-agent"
"""The user of DigitalOcean's metrics agent. Its package uses an existing user of that name.

Source: `useradd ... || true` in https://github.com/digitalocean/do-agent/tree/master/packaging/scripts
"""

_METADATA = "-d 169.254.169.254/32"
_METADATA_RULES = (  # the agent's rule comes last, since it is inserted before the others
    ("-A", f"PREROUTING {_METADATA} -j DROP"),
    ("-A", f"OUTPUT {_METADATA} -m owner ! --uid-owner 0 -j DROP"),
    ("-I", f"OUTPUT {_METADATA} -m owner --uid-owner {METRICS_AGENT_USER} -j ACCEPT"),
)
METADATA_UNIT_NAME = "basecommerce-metadata.service"
METADATA_UNIT = "\n".join(
    (
        "[Unit]",
        "Description=Close the metadata address to containers and to all users but root and the metrics agent",
        "DefaultDependencies=no",
        "After=local-fs.target",
        "Before=network-pre.target docker.service",
        "Wants=network-pre.target",
        "[Service]",
        "Type=oneshot",
        "RemainAfterExit=yes",
        *(f"ExecStart=/usr/sbin/iptables -w -t raw {how} {rule}" for how, rule in _METADATA_RULES),
        *(f"ExecStop=/usr/sbin/iptables -w -t raw -D {rule}" for _, rule in reversed(_METADATA_RULES)),
        "[Install]",
        "WantedBy=multi-user.target",
    )
)
"""The metadata service holds the user data. The agent gets its identity there and sends its figures to that address:
without them no alert on CPU, memory or disk can fire. Raw table: neither Docker nor UFW ever flushes it."""

SAMPLE_LOGIN_KEY = "login key"

PACKAGES = (
    *("ca-certificates", "docker-cli", "docker-compose", "docker.io", "e2fsprogs", "iptables", "pigz"),
    *("python3", "systemd-timesyncd", "ufw", "unattended-upgrades"),
)
"""Debian 13: `docker-compose` is compose v2, `docker-cli` is only recommended by `docker.io`. Docker unpacks images
with `unpigz` where it finds it, in two thirds of the time (https://github.com/moby/moby/pull/35697)."""


def render_user_data(project: Project, droplet_name: str, login_public_key: str, host_private_key: str) -> str:
    """Render the user data of a droplet. It holds the host key, so the result is a secret.

    Raises ValueError when the host key is not an ed25519 key.
    """
    digest = template_digest(project, droplet_name)
    host_public_key = public_key(host_private_key)
    return _render(project, droplet_name, login_public_key, host_private_key.strip(), host_public_key, digest=digest)


def template_digest(project: Project, droplet_name: str) -> str:
    """Return a short digest of a droplet's user data without its keys: key rotation does not change it."""
    return hashlib.sha256(sample_user_data(project, droplet_name).encode()).hexdigest()[:12]


def sample_user_data(project: Project, droplet_name: str) -> str:
    """Render the user data of a droplet with placeholders instead of keys, for checks and digests."""
    return _render(project, droplet_name, SAMPLE_LOGIN_KEY, "host key", "host key", digest="digest")


@functools.cache
def _templates(folder: Path) -> jinja2.Environment:
    """Compile each template once: the rules render them several times for each droplet. Edits are still seen."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - YAML, not HTML
    )


def _render(
    project: Project, droplet: str, login_public_key: str, host_private_key: str, host_public_key: str, *, digest: str
) -> str:
    text = (
        _templates(project.root / "cloud-init")
        .get_template(f"{project.droplet(droplet).role}.yaml.j2")
        .render(
            role=project.droplet(droplet).role,
            user=project.settings.ssh.user,
            vpc_ip_range=str(project.settings.vpc_ip_range),
            ssh_source=first_boot_ssh_source(project, droplet),
            login_public_key=login_public_key,
            host_private_key=host_private_key,
            host_public_key=host_public_key,
            template_digest=digest,
            template_file=TEMPLATE_FILE,
            host_key_file=HOST_KEY_FILE,
            sshd_file=SSHD_FILE,
            sshd_peers_file=SSHD_PEERS_FILE,
            sshd_algorithms=SSHD_ALGORITHMS,
            sshd_limits=SSHD_LIMITS,
            packages=PACKAGES,
            metrics_agent_user=METRICS_AGENT_USER,
            metadata_unit_name=METADATA_UNIT_NAME,
            metadata_unit=METADATA_UNIT,
        )
    )
    if len(text.encode()) > USER_DATA_LIMIT:
        raise ValueError(f"the user data of {droplet} has {len(text.encode())} bytes, {USER_DATA_LIMIT} are allowed")
    return text
