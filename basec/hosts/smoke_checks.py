"""The smoke checks: what a tenant sees through the edge, with compared bodies, and what runs on each host.

A status code alone proves little: the edge answers many paths itself, so each body is compared with what only the right
application can know.
"""

from __future__ import annotations

import http.client
import json
import shlex
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

from basec.hosts.facts import Facts
from basec.hosts.http import Answer, get
from basec.hosts.remote import run_script
from basec.session import Session
from topology.errors import RemoteError
from topology.fleet import service_of
from topology.inventory import STORE_ROLE
from topology.names import PROJECT_FILTER, SERVICE_FILTER

SECURITY_HEADERS = {
    "X-Frame-Options": "SAMEORIGIN",
    "X-Content-Type-Options": "nosniff",
    "X-XSS-Protection": "1; mode=block",
    "Referrer-Policy": "strict-origin-when-cross-origin",
}
"""Each exactly once on every answer (contract 10)."""
UNKNOWN_TENANT = "no-such-tenant"
SSH_TIMEOUT_S = 45
ONE_OFF = "com.docker.compose.oneoff=True"
NO_CERTIFICATE = "no certificate that is valid for this name"


MAINTENANCE = "maintenance is on"
"""Why a check from outside fails, instead of what it expected."""


class CheckFailedError(Exception):
    """A check found something unexpected; the text has both values."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check of one host."""

    name: str
    host: str
    run: Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Result:
    """How one check ended."""

    name: str
    host: str
    milliseconds: int
    problem: str
    """Empty when it passed."""

    @property
    def passed(self) -> bool:
        return not self.problem

    def as_dict(self) -> dict[str, object]:
        return {
            "check": self.name,
            "host": self.host,
            "ms": self.milliseconds,
            "result": "pass" if self.passed else "fail",
            "problem": self.problem,
        }


def run_all(checks: list[Check]) -> list[Result]:
    """Run the checks and return their results in the given order; none of them stops another.

    Few at a time: the edge allows one address 4 requests at once to auth, and 5 a second.
    """
    with ThreadPoolExecutor(max_workers=3) as pool:
        return list(pool.map(_run, checks))


def _run(check: Check) -> Result:
    start = time.monotonic()
    try:
        check.run()
        problem = ""
    except ssl.SSLCertVerificationError as error:
        problem = f"{NO_CERTIFICATE}: {error.verify_message}"
    except (CheckFailedError, OSError, http.client.HTTPException) as error:
        problem = str(error) or type(error).__name__
    except RemoteError as error:
        problem = error.message
    except Exception as error:  # an unforeseen answer: the other checks go on
        problem = f"{type(error).__name__}: {error}"
    return Result(
        name=check.name, host=check.host, milliseconds=round((time.monotonic() - start) * 1000), problem=problem
    )


@dataclass(frozen=True, kw_only=True)
class Shop:
    """One tenant's shop as anybody on the internet sees it; each method is a check."""

    facts: Facts
    tenant: str

    def get(self, path: str, host: str | None = None) -> Answer:
        """Ask for a page of the shop. Raises CheckFailedError for the edge's page of maintenance."""
        answer = get(self.facts, host or f"{self.tenant}.{self.facts.domain}", path)
        # No other 503 passes with this header: nginx replaces those of the applications.
        if answer.status == HTTPStatus.SERVICE_UNAVAILABLE and answer.header("Retry-After"):
            raise CheckFailedError(MAINTENANCE)
        return answer

    def health(self) -> None:
        answer = self.get("/health")
        body = answer.json()
        # Whether it contains TLS depends on the stack; it must contain nothing else.
        wanted = {"status": "ok", "edge": True, **({"ssl": True} if isinstance(body, dict) and "ssl" in body else {})}
        _expect("status", answer.status, 200)
        _expect("body", body, wanted)
        kinds = [value.split(";")[0] for value in answer.all("Content-Type")]
        _expect("Content-Type headers", kinds, ["application/json"])

    def known_tenant(self) -> None:
        answer = self.get("/tenant.json")
        _expect("status", answer.status, 200)
        _expect("slug", _slug(answer), self.tenant)

    def unknown_tenant(self) -> None:
        answer = self.get("/tenant.json", f"{UNKNOWN_TENANT}.{self.facts.domain}")
        _expect("status", answer.status, 200)
        _expect("slug", _slug(answer), "")

    def no_tenant(self) -> None:
        answer = self.get("/api/v1/produtos/", self.facts.domain)
        _expect("status", answer.status, 400)
        _expect("body", answer.json(), {"error": "Tenant not specified"})

    def login_page(self) -> None:
        answer = self.get("/auth/login")
        _expect("status", answer.status, 200)
        if "/auth/login/form" not in answer.text:
            raise CheckFailedError("body: no form that posts to /auth/login/form")

    def dashboard(self) -> None:
        answer = self.get("/web/dashboard")
        _expect("status", answer.status, 302)
        _expect("Location", answer.header("Location").removeprefix(self.facts.url(self.tenant)), "/auth/login")

    def api(self) -> None:
        answer = self.get("/api/v1/produtos/")
        _expect("status", answer.status, 403)
        _expect("body", answer.json(), {"detail": "Not authenticated"})

    def security_headers(self, path: str) -> None:
        answer = self.get(path)
        for name, value in SECURITY_HEADERS.items():
            _expect(name, answer.all(name), [value])


def public_checks(facts: Facts, tenant: str) -> list[Check]:
    """Return the checks that anybody on the internet could make."""
    shop = Shop(facts=facts, tenant=tenant)
    edge, application = facts.serving("nginx").name, facts.serving("construction").name
    paths = ("/health", "/tenant.json", "/web/dashboard")
    return [
        Check(name="health", host=edge, run=shop.health),
        Check(name="tenant is known", host=edge, run=shop.known_tenant),
        Check(name="unknown tenant has no slug", host=edge, run=shop.unknown_tenant),
        Check(name="api without tenant is refused", host=edge, run=shop.no_tenant),
        Check(name="login page", host=edge, run=shop.login_page),
        Check(name="dashboard asks for login", host=application, run=shop.dashboard),
        Check(name="api without token is refused", host=application, run=shop.api),
        *(
            Check(name=f"security headers of {path}", host=edge, run=partial(shop.security_headers, path))
            for path in paths
        ),
    ]


def _slug(answer: Answer) -> object:
    body = answer.json()
    return body.get("slug") if isinstance(body, dict) else None


def host_checks(session: Session, facts: Facts) -> Iterator[Check]:
    """Yield the checks that need SSH: containers of each tier, and the two stores answering."""

    def containers(host: str, tier: str) -> Callable[[], None]:
        def check() -> None:
            project = shlex.quote(f"{PROJECT_FILTER}={tier}")
            script = f"docker ps --all --filter {project} --format '{{{{json .}}}}'"
            rows = [
                json.loads(line) for line in run_script(session, host, script, timeout_s=SSH_TIMEOUT_S).splitlines()
            ]
            if not rows:
                raise CheckFailedError(f"no container of tier {tier}")
            running = {_service(row) for row in rows if row["State"] == "running"}
            # Of two colours, the one that is stopped; one that crashes is `restarting`.
            kept = [row for row in rows if row["State"] == "exited" and _service(row) in running]
            bad = [f"{row['Names']} is {row['Status']}" for row in rows if row not in kept and not _is_well(row)]
            if bad:
                raise CheckFailedError("; ".join(bad))

        return check

    for host in facts.hosts.values():
        yield Check(name="containers", host=host.name, run=containers(host.name, host.tier))
    store = next((host.name for host in facts.hosts.values() if host.role == STORE_ROLE), None)
    if store is not None:
        yield Check(
            name="postgres answers SELECT 1", host=store, run=lambda: _store_answers(session, store, POSTGRES, "1")
        )
        yield Check(name="redis answers PING", host=store, run=lambda: _store_answers(session, store, REDIS, "PONG"))


CONTAINER = f"""set -euo pipefail
tier={PROJECT_FILTER}=infra
id=$(docker ps --quiet --filter $tier --filter {SERVICE_FILTER}="""
"""The start of both scripts below, up to the service's name."""
POSTGRES = f"""{CONTAINER}postgres)
exec docker exec "$id" psql --username basecommerce --tuples-only --no-align --command 'SELECT 1'
"""
# The password stays inside the container: read there from the mounted secret, never in an argument list.
REDIS = (
    CONTAINER
    + """redis)
docker exec --interactive "$id" sh <<'END'
REDISCLI_AUTH=$(sed -n 's/^requirepass "\\{0,1\\}\\([^"]*\\)"\\{0,1\\}$/\\1/p' /run/secrets/redis_auth.conf)
export REDISCLI_AUTH
exec redis-cli PING </dev/null
END
"""
)


def _store_answers(session: Session, host: str, script: str, wanted: str) -> None:
    _expect("answer", run_script(session, host, script, timeout_s=SSH_TIMEOUT_S).strip(), wanted)


def _service(row: dict[str, str]) -> str:
    """Return tier and service of a container: `vertical-construction` of vertical-construction-blue-1."""
    return service_of(row["Names"].rpartition("-")[0])


def _is_well(row: dict[str, str]) -> bool:
    """Return whether a service runs, neither unhealthy nor starting; a one-off, such as migrate, has ended with 0."""
    status = row["Status"]
    if row["State"] == "running":
        return "unhealthy" not in status and "health: starting" not in status
    return ONE_OFF in row["Labels"].split(",") and status.startswith("Exited (0)")


def _expect(what: str, got: object, wanted: object) -> None:
    if got != wanted:
        raise CheckFailedError(f"{what}: got {got!r}, expected {wanted!r}")
