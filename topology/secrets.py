"""Secrets: which values are fit, and the files that the services of a tier read them from."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TypedDict

from topology.errors import ConfigurationError, Problem
from topology.inventory import APPLICATION_ROLE, EDGE_ROLE, STORE_ROLE, DropletSpec
from topology.keys import public_key
from topology.logins import (
    DATABASE,
    database_login,
    database_logins,
    database_password,
    database_services,
    redis_password,
    redis_users,
)
from topology.names import CLOUDFLARE_TOKEN, DEMO_PASSWORD, DIGITALOCEAN_TOKEN, HOST_KEY, LOGIN_KEY, PROJECT
from topology.project import Project, required_secrets
from topology.settings import TLS_KEYS, host_key_secret, is_password
from topology.tls import ORIGIN_KEY, tls_fault

ROOT_ID = 0
REDIS_ID = 999
"""User and group in the official image. Source: https://github.com/redis/docker-library-redis (Dockerfile)."""
APPLICATION_ID = 10001
NGINX_ID = 101
"""As above: https://github.com/nginx/docker-nginx (Dockerfile)."""

ORIGIN_CERTIFICATE, PULL_AUTHORITIES = "origin_certificate", "origin_pull_authorities"
"""Among the values of the edge's files, but no secrets of the stack: Cloudflare issues the one in the same run, and the
other is a part of `origin_pull_certificate`."""

NO_TOKEN_KEY = "makes-and-reads-no-token"  # noqa: S105 - it signs nothing
"""For applications that do not start without a SECRET_KEY, and have no use for it (contract 2.1)."""

PASSWORD_PATTERN = r"[A-Za-z0-9_-]{24,}"  # noqa: S105 - a pattern, not a password
"""Nothing that needs an escape in a URL, an INI file or a shell: migrations pass the URL through all three."""


class SecretFile(TypedDict):
    """One file below the tier's `secrets/`; its mode is 0400."""

    content: str
    uid: int
    gid: int


def secret_problems(
    project: Project, values: Mapping[str, str], today: datetime.date | None = None
) -> Iterator[Problem]:
    """Check the values of secrets; no problem shows a value. Without `today` expiry is not checked."""
    for name in required_secrets(project.inventory):
        message = _fault(project, name, values, today) if name in values else None
        if message:
            key = f"{PROJECT}:{name}"
            hint = f"run `basec pulumi --env {project.stack} -- config set --secret {key}` with a new value"
            if name in TLS_KEYS:
                hint = f"remove the key `{key}` from the file, then run `basec init --env {project.stack}`"
            yield Problem(file=f"Pulumi.{project.stack}.yaml", path=key, message=message, hint=hint)


def check_secrets(project: Project, values: Mapping[str, str], today: datetime.date | None = None) -> None:
    """Refuse unfit secrets. Raises ConfigurationError with every problem."""
    problems = list(secret_problems(project, values, today))
    if problems:
        raise ConfigurationError(problems)


def _fault(project: Project, name: str, values: Mapping[str, str], today: datetime.date | None) -> str | None:
    value = values[name]
    if name in TLS_KEYS:
        return tls_fault(name, values, project.settings.domain, today)
    if is_password(name) and not re.fullmatch(PASSWORD_PATTERN, value):
        return f"this secret ({len(value)} characters) is not made of 24 or more letters, digits, '_' and '-'"
    if name == LOGIN_KEY or name.startswith(HOST_KEY):
        try:
            public_key(value)
        except ValueError as error:
            return f"this secret {error}"
    return None


def service_secrets(project: Project, droplet: str, values: Mapping[str, str]) -> dict[str, SecretFile]:
    """Return the secret files of a droplet's tier by file name. Raises ConfigurationError for unfit values.

    For the edge, `values` must also hold `origin_certificate` and `origin_pull_authorities`.
    """
    check_secrets(project, values)
    return _files(project, droplet, values)


def secret_files(project: Project, droplet: str) -> tuple[str, ...]:
    """Return the names of the secret files of a droplet's tier; no value is needed."""
    return tuple(_files(project, droplet, _Samples()))


def _files(project: Project, droplet: str, values: Mapping[str, str]) -> dict[str, SecretFile]:
    spec = project.droplet(droplet)
    return _FILES[spec.role](project, spec, values)


class _Samples(dict[str, str]):
    """Values to render files with; a name that is not a secret of the stack gives an empty string."""

    def __missing__(self, _name: str) -> str:
        return ""


def secret_uses(project: Project, samples: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return where each secret is used, e.g. `redis_password` -> `infra: relay.env`; its real value is not needed.

    What services read is found out, not written down: their files are rendered with `samples`, fit values by name made
    for this. A file may hold a part of a secret, such as the authorities of a certificate, or a digest of a password:
    then the file changes with the password.
    """
    uses: dict[str, list[str]] = {name: [] for name in required_secrets(project.inventory)}
    for droplet, spec in project.inventory.droplets.items():
        rendered = _files(project, droplet, _Samples(samples))
        for name, sample in samples.items():
            others = rendered
            if is_password(name):
                others = _files(project, droplet, _Samples({**samples, name: f"{sample}-other"}))
            for file, secret in rendered.items():
                content = secret["content"]
                if sample in content or (content.strip() and content in sample) or secret != others[file]:
                    uses[name].append(f"{spec.tier}: {file}")
    for name, droplet in ((host_key_secret(droplet), droplet) for droplet in project.inventory.droplets):
        uses[name].append(f"{droplet}: sshd")
    uses[LOGIN_KEY] += ["login-key (public half)", *(f"{name}: SSH" for name in project.inventory.droplets)]
    uses["origin_csr"].append("Cloudflare: origin certificate")
    for name in ("origin_pull_certificate", "origin_pull_private_key"):
        uses[name].append("Cloudflare: origin pulls")
    uses[DIGITALOCEAN_TOKEN].append("provider digitalocean")
    uses[CLOUDFLARE_TOKEN].append("provider cloudflare")
    uses[DEMO_PASSWORD] = ["the demo tenant's admin"]
    return {name: tuple(dict.fromkeys(places)) for name, places in uses.items()}


def _infra(project: Project, _spec: DropletSpec, values: Mapping[str, str]) -> dict[str, SecretFile]:
    services = database_services(project.inventory.verticals)
    return {
        "database_logins.json": _file(database_logins(services, values), ROOT_ID),  # read by release.py
        "redis_auth.conf": _file(redis_users(values), REDIS_ID),
        "migrate.env": _env(DATABASE_URL=_database_url("migrate", values), SECRET_KEY=NO_TOKEN_KEY),
        "relay.env": _worker("relay", values),
        "engines.env": _worker("engines", values),
    }


def _worker(service: str, values: Mapping[str, str]) -> SecretFile:
    # The service's name on the tier's own network: infra.internal is PostgreSQL there.
    redis_url = f"redis://{service}:{values[redis_password(service)]}@redis:6379/0"
    return _env(DATABASE_URL=_database_url(service, values), SECRET_KEY=NO_TOKEN_KEY, REDIS_URL=redis_url)


def _vertical(_project: Project, spec: DropletSpec, values: Mapping[str, str]) -> dict[str, SecretFile]:
    # CORS_ORIGINS: empty means none; left out, two addresses of a developer's machine would be allowed.
    # FORWARDED_ALLOW_IPS: only the edge reaches the port, and without it redirects would leave https.
    content = _env(
        DATABASE_URL=_database_url(str(spec.vertical), values),
        SECRET_KEY=values["token_key"],
        CORS_ORIGINS="",
        FORWARDED_ALLOW_IPS="*",
    )
    return {f"{spec.vertical}.env": content}


def _edge(project: Project, _spec: DropletSpec, values: Mapping[str, str]) -> dict[str, SecretFile]:
    return {
        "auth.env": _env(
            DATABASE_URL=_database_url("auth", values),
            SECRET_KEY=values["token_key"],
            ENVIRONMENT=project.settings.environment,
            CORS_ORIGINS="",
            FORWARDED_ALLOW_IPS="*",
        ),
        "origin.pem": _file(values[ORIGIN_CERTIFICATE], NGINX_ID),
        "origin.key": _file(values[ORIGIN_KEY], NGINX_ID),
        "origin_pull_ca.pem": _file(values[PULL_AUTHORITIES], NGINX_ID),
    }


_FILES: Mapping[str, Callable[[Project, DropletSpec, Mapping[str, str]], dict[str, SecretFile]]] = {
    STORE_ROLE: _infra,
    APPLICATION_ROLE: _vertical,
    EDGE_ROLE: _edge,
}


def _database_url(service: str, values: Mapping[str, str]) -> str:
    login, password = database_login(service, values), values[database_password(service)]
    # The driver is named: SQLAlchemy 2.1 resolves plain postgresql:// to one that the images do not have.
    return f"postgresql+psycopg2://{login}:{password}@infra.internal:5432/{DATABASE}"


def _env(**variables: str) -> SecretFile:
    return _file("".join(f"{name}={quote(value)}\n" for name, value in variables.items()), APPLICATION_ID)


def _file(content: str, owner: int) -> SecretFile:
    return {"content": content, "uid": owner, "gid": owner}


def quote(value: str) -> str:
    """Quote a value so that a shell and compose's `--env-file` read the same. Raises ValueError where they differ."""
    if re.search(r"['\\\r\n\x00]", value):
        raise ValueError("a quote, a backslash or a line break cannot be written in an environment file")
    return f"'{value}'"
