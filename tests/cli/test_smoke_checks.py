"""The smoke checks find what they are for: each is run against a server that gets one thing wrong."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from basec.environments import Environment
from basec.hosts.facts import Facts, HostFacts
from basec.hosts.smoke import way_on
from basec.hosts.smoke_checks import SECURITY_HEADERS, Result, host_checks, public_checks, run_all
from basec.local.cloud import StandIn
from basec.session import Session
from tests.cli.fake_droplets import running

HOSTS = {
    name: HostFacts(name=name, ip="", private_ip="", user="basec", role=name, tier=name, services=services, aliases=())
    for name, services in running().items()
}


@dataclass
class Page:
    status: int = 200
    body: object = ""
    headers: list[tuple[str, str]] = field(default_factory=list)


Shop = Callable[[str, str], Page]


def good_shop(host: str, path: str) -> Page:
    """Serve as the real edge does for tenant demo."""
    slug = host.partition(":")[0].removesuffix("localhost").removesuffix(".")
    pages: Mapping[str, Page] = {
        "/health": Page(body={"status": "ok", "edge": True}),
        "/tenant.json": Page(body={"slug": slug if slug == "demo" else ""}),
        "/auth/login": Page(body='<form action="/auth/login/form">'),
        "/web/dashboard": Page(302, headers=[("Location", "/auth/login")]),
        "/api/v1/produtos/": Page(403, {"detail": "Not authenticated"})
        if slug
        else Page(400, {"error": "Tenant not specified"}),
    }
    page = pages[path]
    kind = "text/html" if isinstance(page.body, str) else "application/json"
    return Page(page.status, page.body, [("Content-Type", kind), *SECURITY_HEADERS.items(), *page.headers])


@pytest.fixture
def smoke() -> Iterator[Callable[[Shop], list[Result]]]:
    """Run the public checks against a shop on loopback."""
    shops: list[Shop] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = shops[-1](self.headers["Host"], self.path)
            body = (page.body if isinstance(page.body, str) else json.dumps(page.body)).encode()
            self.send_response(page.status)
            for name, value in (*page.headers, ("Content-Length", str(len(body)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def run(shop: Shop) -> list[Result]:
        shops.append(shop)
        stand_in = StandIn(http_port=server.server_port, https_port=None, ca_file=Path("/none"))
        known = Facts(environment="local", domain="localhost", stand_in=stand_in, hosts=HOSTS)
        return run_all(public_checks(known, "demo"))

    yield run
    server.shutdown()
    server.server_close()


def failures(results: list[Result]) -> dict[str, str]:
    return {result.name: result.problem for result in results if not result.passed}


def test_a_shop_that_serves_passes_every_check(smoke: Callable[[Shop], list[Result]]) -> None:
    assert failures(smoke(good_shop)) == {}


def test_a_health_page_of_another_service_is_not_taken_for_the_edge(smoke: Callable[[Shop], list[Result]]) -> None:
    def shop(host: str, path: str) -> Page:
        page = good_shop(host, path)
        return Page(200, {"status": "ok"}, page.headers) if path == "/health" else page

    assert failures(smoke(shop)) == {"health": "body: got {'status': 'ok'}, expected {'status': 'ok', 'edge': True}"}


def test_an_unknown_host_that_gets_a_tenant_fails(smoke: Callable[[Shop], list[Result]]) -> None:
    def shop(host: str, path: str) -> Page:
        return good_shop("demo.localhost" if path == "/tenant.json" else host, path)

    assert failures(smoke(shop)) == {"unknown tenant has no slug": "slug: got 'demo', expected ''"}


def test_a_security_header_sent_twice_fails(smoke: Callable[[Shop], list[Result]]) -> None:
    def shop(host: str, path: str) -> Page:
        page = good_shop(host, path)
        return Page(page.status, page.body, [*page.headers, ("X-Frame-Options", "SAMEORIGIN")])

    wanted = "X-Frame-Options: got ['SAMEORIGIN', 'SAMEORIGIN'], expected ['SAMEORIGIN']"
    assert set(failures(smoke(shop)).values()) == {wanted}
    assert len(failures(smoke(shop))) == 3


def test_the_page_of_maintenance_is_named_and_health_goes_on(smoke: Callable[[Shop], list[Result]]) -> None:
    def shop(host: str, path: str) -> Page:
        page = good_shop(host, path)
        return page if path == "/health" else Page(503, "", [*page.headers, ("Retry-After", "300")])

    results = smoke(shop)
    assert {result.name for result in results if result.passed} == {"health", "security headers of /health"}
    assert set(failures(results).values()) == {"maintenance is on"}
    assert way_on(Environment(name="staging"), "demo", results) == "basec maintenance off --env staging"


def test_any_other_503_is_what_it_is(smoke: Callable[[Shop], list[Result]]) -> None:
    def shop(host: str, path: str) -> Page:
        page = good_shop(host, path)
        return Page(503, "", page.headers) if path == "/web/dashboard" else page

    assert failures(smoke(shop)) == {"dashboard asks for login": "status: got 503, expected 302"}


def test_a_dashboard_that_is_open_fails(smoke: Callable[[Shop], list[Result]]) -> None:
    def shop(host: str, path: str) -> Page:
        page = good_shop(host, path)
        return Page(200, "welcome", page.headers) if path == "/web/dashboard" else page

    assert failures(smoke(shop)) == {"dashboard asks for login": "status: got 200, expected 302"}


def test_a_name_without_a_certificate_is_told_in_a_line_with_the_way_to_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] (_ssl.c:1006)")
        error.verify_message = "Hostname mismatch"
        raise error

    monkeypatch.setattr("basec.hosts.smoke_checks.get", refuse)
    known = Facts(environment="local", domain="localhost", stand_in=None, hosts=HOSTS)
    results = run_all(public_checks(known, "acme"))
    assert {result.problem for result in results} == {"no certificate that is valid for this name: Hostname mismatch"}
    ways = [way_on(Environment(name=name), "acme", results) for name in ("local", "staging")]
    assert ways == [
        "LOCAL_TENANTS=acme make up, for the certificate; a new tenant also needs its row: "
        "docs/runbooks/first-deployment.md",
        "basec status --env staging",
    ]


UP, SICK, YOUNG = "Up 2 hours (healthy)", "Up 2 hours (unhealthy)", "Up 2 seconds (health: starting)"
STOPPED, KILLED, LOOP = "Exited (0) 2 hours ago", "Exited (137) 2 hours ago", "Restarting (1) 2 seconds ago"
STATES = {"Up": "running", "Exited": "exited", "Restarting": "restarting", "Created": "created"}


def row(name: str, status: str, labels: str = "com.docker.compose.oneoff=False") -> str:
    """Return a line of `docker ps`."""
    state = STATES[status.split(maxsplit=1)[0]]
    labels = f"com.docker.compose.depends_on=,{labels},com.docker.compose.version=2"
    return json.dumps({"Names": name, "State": state, "Status": status, "Labels": labels}) + "\n"


@pytest.mark.parametrize(
    ("nginx", "blue", "green", "problem"),
    [
        (UP, UP, "", ""),
        (UP, UP, STOPPED, ""),
        (UP, KILLED, UP, ""),
        (UP, UP, UP, ""),
        (UP, UP, LOOP, f"edge-auth-green-1 is {LOOP}"),
        (UP, SICK, STOPPED, f"edge-auth-blue-1 is {SICK}"),
        (UP, KILLED, YOUNG, f"edge-auth-green-1 is {YOUNG}"),
        (UP, STOPPED, STOPPED, f"edge-auth-blue-1 is {STOPPED}; edge-auth-green-1 is {STOPPED}"),
        (UP, KILLED, "", f"edge-auth-blue-1 is {KILLED}"),
        (UP, KILLED, LOOP, f"edge-auth-blue-1 is {KILLED}; edge-auth-green-1 is {LOOP}"),
        (STOPPED, UP, KILLED, f"edge-nginx-1 is {STOPPED}"),
    ],
)
def test_a_stopped_colour_fails_no_check_and_what_crashed_does(
    monkeypatch: pytest.MonkeyPatch, nginx: str, blue: str, green: str, problem: str
) -> None:
    found = {"edge-nginx-1": nginx, "edge-auth-blue-1": blue, "edge-auth-green-1": green}
    said = "".join(row(name, status) for name, status in found.items() if status)
    said += row("edge-migrate-run-1", STOPPED, "com.docker.compose.oneoff=True")
    assert checked(monkeypatch, said) == problem


def test_a_one_off_that_failed_fails_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    said = row("edge-migrate-run-1", KILLED, "com.docker.compose.oneoff=True")
    assert checked(monkeypatch, said) == f"edge-migrate-run-1 is {KILLED}"
    assert checked(monkeypatch, "") == "no container of tier edge"


def checked(monkeypatch: pytest.MonkeyPatch, said: str) -> str:
    """Return the problem of the edge's containers, as `docker ps` shows them."""
    monkeypatch.setattr("basec.hosts.smoke_checks.run_script", lambda *_, **__: said)
    known = Facts(environment="local", domain="localhost", stand_in=None, hosts={"edge": HOSTS["edge"]})
    (result,) = run_all(list(host_checks(Session(Environment(name="local")), known)))
    assert (result.name, result.host) == ("containers", "edge")
    return result.problem
