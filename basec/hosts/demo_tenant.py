"""Create a local stack's demo tenant: its admin, a shop with some history, and one sale through the whole platform.

`ensure` runs a program in a container as migrations do: only the owner of the tables may create a tenant. Its image
has SQLAlchemy and bcrypt. The password travels on standard input; the values of each insert are bound parameters.
`sell` asks the shop itself, as any client of its API does: edge, outbox, relay and engines see a real sale.
"""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from basec.hosts.facts import Facts
from basec.hosts.http import ask
from basec.hosts.remote import run_script
from basec.session import Session
from topology.errors import BasecommerceError
from topology.names import PROJECT_FILTER, SERVICE_FILTER

SLUG = "demo"
NAME = "Demo Materiais"
EMAIL = "admin@demo.example.com"
"""An ordinary domain: the applications refuse reserved ones, such as `.localhost` (contract 5.2)."""
QUOTE = "d3a0c0de-5a1e-4b0c-8c0d-000000000005"
"""The id of the quote that `sell` sells: no real quote has it."""
TIMEOUT_S = 60
MESSAGE_MAX = 200
"""Characters of an answer that a message shows: it may be a page."""
SHOP = Path(__file__).with_name("demo_shop.sql")

WAITING = f"""
SELECT 1 FROM cotacoes LEFT JOIN pedidos ON pedidos.cotacao_id = cotacoes.id WHERE cotacoes.id = '{QUOTE}'
AND cotacoes.status IN ('aprovada', 'convertida') AND coalesce(pedidos.status, 'pendente') = 'pendente'
"""  # noqa: S608 - our own words
DONE = f"""
SELECT EXISTS (SELECT FROM users JOIN tenants ON tenants.id = users.tenant_id
WHERE tenants.slug = '{SLUG}' AND users.email = '{EMAIL}') AND NOT EXISTS ({WAITING})
"""  # noqa: S608 - our own words
"""Whether there is nothing to do, as `t` or `f`: one question to PostgreSQL instead of a container of a second."""

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
    if tenant.rowcount:
        connection.execute(text(demo["shop"]), {"tenant_id": tenant_id, "quote_id": demo["quote"]})
    waiting = connection.execute(text(demo["waiting"])).first()
print(json.dumps({"to_sell": waiting is not None}))
"""

SCRIPT = f"""set -euo pipefail
store=$(docker ps -q --filter {PROJECT_FILTER}=infra --filter {SERVICE_FILTER}=postgres)
if [ "$(docker exec "$store" psql -qXAt -Ubasecommerce -c "{DONE}" 2> /dev/null)" = t ]; then
  echo '{{"to_sell": false}}'
  exit
fi
cd /opt/basecommerce/infra
docker compose -p infra --project-directory "$(readlink -f current)" --env-file current/.env --env-file hosts.env \\
  -f current/compose.yaml --profile migrate run --rm -T --no-deps --quiet-pull migrate \\
  sh -c 'set -a; . /run/secrets/env; exec python3 -' <<'END_OF_PROGRAM'
%s
END_OF_PROGRAM
"""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """How a person logs in to the demo shop."""

    email: str
    password: str
    to_sell: bool
    """The approved quote of a new shop waits for `sell`, or an `up` was interrupted before it was sold."""


def ensure(session: Session, known: Facts, password: str) -> Demo:
    """Insert tenant and admin if absent, and with a new tenant its shop. Raises RemoteError."""
    output = run_script(session, known.store.name, SCRIPT % program(password), timeout_s=TIMEOUT_S)
    return Demo(email=EMAIL, password=password, to_sell=json.loads(output)["to_sell"])


def program(password: str) -> str:
    """Build what runs in the container. JSON in a Python literal: no character of a value can end either."""
    values = {"slug": SLUG, "name": NAME, "email": EMAIL, "password": password, "quote": QUOTE, "waiting": WAITING}
    return (PROGRAM % repr(json.dumps({**values, "shop": SHOP.read_text()}))).strip()


def sell(known: Facts, demo: Demo) -> None:
    """Turn the approved quote into an order and deliver it, through the public address. Repeatable until it succeeds.

    Raises BasecommerceError.
    """
    token = _ask(known, "POST", "/auth/login", 200, {"email": demo.email, "password": demo.password})["access_token"]
    order = _ask(known, "POST", f"/api/v1/pedidos/from-cotacao/{QUOTE}", 201, token=token)["id"]
    _ask(known, "PUT", f"/api/v1/pedidos/{order}", 200, {"status": "entregue"}, token=token)


def _ask(known: Facts, method: str, path: str, wanted: int, body: object = None, *, token: str = "") -> Any:
    host = f"{SLUG}.{known.domain}"
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    try:
        answer = ask(known, host, method, path, headers=headers, body=None if body is None else json.dumps(body))
    except (OSError, http.client.HTTPException) as error:
        problem = str(error) or type(error).__name__
    else:
        if answer.status == wanted:
            return answer.json()
        problem = f"got {answer.status}, expected {wanted}: {answer.text[:MESSAGE_MAX]}"
    raise BasecommerceError(f"{host}: {method} {path}: {problem}", f"basec smoke --env {known.environment}")
