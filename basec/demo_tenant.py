"""Insert the demo tenant and its admin into a local stack, if they are absent.

The program runs in the construction container, whose image has SQLAlchemy and the database's URL. Everything, the
password too, travels on standard input; every value is a bound parameter.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from basec.environments import Environment
from basec.remote import run_script

SLUG = "demo"
NAME = "Demo Materiais"
EMAIL = "admin@demo.example.com"
"""An ordinary domain: the applications refuse the reserved ones, such as `.localhost` (contract 5.2)."""
TIMEOUT_S = 60
VERTICAL = "vertical"

PROGRAM = """
import json, os
import bcrypt
from sqlalchemy import create_engine, text

demo = json.loads(%s)
engine = create_engine(os.environ["DATABASE_URL"])
with engine.begin() as connection:
    tenant = connection.execute(
        text(
            "INSERT INTO tenants (id, nome, slug, email, ativo) VALUES (gen_random_uuid(), :name, :slug, :email, true)"
            " ON CONFLICT (slug) DO NOTHING"
        ),
        demo,
    )
    tenant_id = connection.execute(text("SELECT id FROM tenants WHERE slug = :slug"), demo).scalar_one()
    key = {"tenant_id": tenant_id, "email": demo["email"]}
    known = connection.execute(text("SELECT 1 FROM users WHERE tenant_id = :tenant_id AND email = :email"), key).first()
    if known is None:
        digest = bcrypt.hashpw(demo["password"].encode(), bcrypt.gensalt(rounds=12)).decode()
        connection.execute(
            text(
                "INSERT INTO users (id, tenant_id, nome, email, password_hash, role, ativo)"
                " VALUES (gen_random_uuid(), :tenant_id, 'Demo Admin', :email, :digest, 'admin', true)"
            ),
            {**key, "digest": digest},
        )
print("made" if tenant.rowcount or known is None else "kept")
"""

SCRIPT = """set -euo pipefail
container=$(docker ps --quiet --filter label=com.docker.compose.project=vertical \\
  --filter label=com.docker.compose.service=construction | head -n 1)
[ -n "$container" ] || { echo "construction is not running" >&2; exit 1; }
docker exec --interactive "$container" sh -c 'set -a; . /run/secrets/env; exec python3 -' <<'END_OF_PROGRAM'
%s
END_OF_PROGRAM
"""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """How a person logs in to the demo shop."""

    email: str
    password: str
    made: bool


def ensure(environment: Environment, password: str) -> Demo:
    """Insert tenant and admin if absent. Raises RemoteError."""
    output = run_script(environment, VERTICAL, script(password), timeout_s=TIMEOUT_S)
    return Demo(email=EMAIL, password=password, made=output.strip().endswith("made"))


def script(password: str) -> str:
    """Build what runs on the vertical droplet. JSON in a Python literal: no character of a value can end either."""
    document = json.dumps({"slug": SLUG, "name": NAME, "email": EMAIL, "password": password})
    return SCRIPT % (PROGRAM % repr(document)).strip()
