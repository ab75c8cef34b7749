"""Who may log in to PostgreSQL and Redis: one login for each service, and the files that the two stores read them from.

A login of PostgreSQL carries a digest of its password in its name, e.g. `auth_1f3a9c02`. A new password is a new login
beside the old one, so both work while a release goes out or is taken back; `compose/infra/database/retire.sql` removes
the old one once every tier runs with the new. What each service may do is in `compose/infra/database/privileges.sql`.
The stores get digests only: the password itself is where the service reads it, and nowhere else.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping

DATABASE = "basecommerce"
"""The database, and the superuser that PostgreSQL's first start makes; it logs in by the container's socket only."""
OWNER = "basecommerce_owner"
"""The role that owns all tables, used by migrations only. The role of every other service has the service's name."""
DATABASE_SERVICES = ("migrate", "auth", "construction", "relay", "engines")
"""Services with a login in every stack; further verticals add theirs."""
REDIS_COMMANDS: Mapping[str, str] = {
    "relay": "+xadd +xlen +xinfo +xgroup|create",
    "engines": "+xgroup|create +xreadgroup +xack +xpending +xclaim +xautoclaim +xlen +xinfo",
}
"""By service: what it does on the streams `events:*` (contract 7 to 9)."""
REDIS_CONNECTION = "+@connection -@dangerous"
"""What a client's library does when it connects; not `CLIENT KILL` and the like."""
SCRAM_ITERATIONS = 4096
"""PostgreSQL's own default (`scram_iterations`); a password of 192 random bits needs no more."""


def database_password(service: str) -> str:
    """Return the name of the secret, e.g. `database_password_auth`."""
    return f"database_password_{service}"


def redis_password(service: str) -> str:
    """Return the name of the secret, e.g. `redis_password_relay`."""
    return f"redis_password_{service}"


def database_services(verticals: Iterable[str]) -> tuple[str, ...]:
    """Return the services with a login: those of every stack, and these verticals."""
    return tuple(dict.fromkeys((*DATABASE_SERVICES, *verticals)))


def database_login(service: str, values: Mapping[str, str]) -> str:
    """Return the login that belongs to the service's password, e.g. `auth_1f3a9c02`; the digits are not secret."""
    digest = hashlib.sha256(f"{service} {values[database_password(service)]}".encode()).hexdigest()
    return f"{service}_{digest[:8]}"


def database_logins(services: Iterable[str], values: Mapping[str, str]) -> str:
    """Render what `compose/infra/database/roles.sql` reads: role, login and verifier of each service."""
    logins = []
    for service in services:
        role = OWNER if service == "migrate" else service
        login = database_login(service, values)
        verifier = scram_verifier(values[database_password(service)], login)
        logins.append({"role": role, "login": login, "verifier": verifier})
    return json.dumps(logins)


@functools.cache
def scram_verifier(password: str, salt: str) -> str:
    """Return what PostgreSQL stores of a password: it can verify the password, but not reveal it.

    The salt is the login's name, so that equal inputs give equal text; no two passwords share a login.
    Source of the form: https://www.postgresql.org/docs/17/catalog-pg-authid.html, of the keys: RFC 5802 section 3.
    """
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), SCRAM_ITERATIONS)
    client_key, server_key = (hmac.digest(salted, name, "sha256") for name in (b"Client Key", b"Server Key"))
    stored_key = hashlib.sha256(client_key).digest()
    encoded = [base64.b64encode(each).decode() for each in (salt.encode(), stored_key, server_key)]
    return f"SCRAM-SHA-256${SCRAM_ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"


def redis_users(values: Mapping[str, str]) -> str:
    """Render what `compose/infra/redis/redis.conf` includes: its administrator, and a user for each worker.

    The administrator is Redis' `default` user. Its password is read only in the container of Redis: by the health
    check, and by `basec events` over SSH.
    """
    lines = [f"requirepass {values['redis_password']}"]
    for service, commands in REDIS_COMMANDS.items():
        digest = hashlib.sha256(values[redis_password(service)].encode()).hexdigest()
        lines.append(f"user {service} on #{digest} resetchannels ~events:* -@all {REDIS_CONNECTION} {commands}")
    return "".join(f"{line}\n" for line in lines)
