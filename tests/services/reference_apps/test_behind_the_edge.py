"""The web applications as their containers start them: auth behind the edge's prefix, and what a body costs both."""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.services.nginx_support import CLOUDFLARE, DOMAIN, Answer, Edge, free_port, running_edge
from tests.services.reference_apps.shop import SECRET_KEY, Shop, bearer
from tests.unit.edge_limits import BLOW_UP, IDLE_MIB, KIB, MIB, TIERS, service

APPLICATIONS = Path(__file__).parents[3] / "reference_apps"
START_S = 15.0
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ASKED = 256 * KIB
"""More than the edge lets through, so that the blow-up stands out of what the process frees and takes besides."""


class Application:
    """A process of a web application, asked past the edge."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process, self.port = process, port

    def ask(self, path: str, body: bytes = b"", **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("POST" if body else "GET", path, body or None, headers)
            return Answer.of(connection.getresponse())
        finally:
            connection.close()

    def memory(self, which: str) -> int:
        """Return `VmRSS` or `VmHWM` in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"^{which}:\s+(\d+) kB$", status, re.MULTILINE)
        assert found
        return int(found[1]) * KIB


@contextmanager
def running(name: str, directory: Path, database_url: str) -> Iterator[Application]:
    """Start an application by its container's own command, on a port of loopback."""
    directory.mkdir()
    environment = directory / "env"
    given = {
        "DATABASE_URL": database_url,
        "SECRET_KEY": SECRET_KEY,
        "ENVIRONMENT": "staging",
        "FORWARDED_ALLOW_IPS": "*",
    }
    environment.write_text("".join(f"{key}={shlex.quote(value)}\n" for key, value in given.items()))
    port = free_port()
    shell, option, text = service(TIERS[name], name)["command"]
    text = text.replace("/run/secrets/env", str(environment)).replace("--host 0.0.0.0", "--host 127.0.0.1")
    command = re.sub(r"--port \d+", f"--port {port}", text).replace("uvicorn", f"{sys.executable} -m uvicorn")
    path = f"{APPLICATIONS / name / 'src'}:{APPLICATIONS / 'common'}"
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [shell, option, command], cwd=directory, env={**os.environ, "PYTHONPATH": path}, stdout=log, stderr=log
        )
    try:
        application = Application(process, port)
        deadline = time.monotonic() + START_S
        while True:
            try:
                assert application.ask("/health").status == 200
                break
            except OSError:
                assert process.poll() is None, (directory / "log").read_text()
                assert time.monotonic() < deadline, (directory / "log").read_text()
                time.sleep(0.05)
        yield application
    finally:
        process.terminate()
        process.wait(15)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Iterator[dict[str, Application]]:
    directory = tmp_path_factory.mktemp("applications")
    with (
        running("auth", directory / "auth", database_url) as auth,
        running("construction", directory / "construction", database_url) as construction,
    ):
        yield {"auth": auth, "construction": construction}


@pytest.fixture
def edge(tmp_path: Path, started: dict[str, Application]) -> Iterator[Edge]:
    with running_edge(tmp_path, started["auth"].port, started["construction"].port) as edge:
        yield edge


def visit(edge: Edge, path: str, shop: Shop, method: str = "GET", body: bytes = b"", **headers: str) -> Answer:
    named = {"CF_Connecting_IP": "198.51.100.7", "X_Forwarded_Proto": "https", **headers}
    return edge.ask(path, f"{shop.slug}.{DOMAIN}", method, CLOUDFLARE, body, **named)


@pytest.mark.parametrize(("method", "path"), [("GET", "/auth/login/"), ("GET", "/auth/me/"), ("POST", "/auth/users/")])
def test_a_redirect_of_auth_stays_below_its_prefix(edge: Edge, shop: Shop, method: str, path: str) -> None:
    answer = visit(edge, path, shop, method)
    assert (answer.status, answer.all("Location")) == (307, [f"https://{shop.slug}.{DOMAIN}{path.rstrip('/')}"])


@pytest.mark.parametrize("path", ["/api/v1/produtos", "/api/v1/clientes"])
def test_a_redirect_of_construction_stays_where_it_is(edge: Edge, shop: Shop, path: str) -> None:
    answer = visit(edge, path, shop)
    assert (answer.status, answer.all("Location")) == (307, [f"https://{shop.slug}.{DOMAIN}{path}/"])


def test_a_login_through_the_edge_gives_a_secure_cookie_that_opens_the_dashboard(edge: Edge, shop: Shop) -> None:
    form = urlencode({"email": shop.email, "password": shop.password}).encode()
    login = visit(edge, "/auth/login/form", shop, "POST", form, **FORM)
    assert (login.status, login.all("Location")) == (302, ["/web/dashboard"])
    cookie, *attributes = login.all("Set-Cookie")[0].split("; ")
    assert sorted(attributes) == ["HttpOnly", "Max-Age=86400", "Path=/", "SameSite=lax", "Secure"]
    page = visit(edge, "/web/dashboard", shop, Cookie=cookie)
    assert (page.status, page.all("Cache-Control")) == (200, ["no-store"])
    assert json.loads(visit(edge, "/auth/me", shop, Cookie=cookie).body)["email"] == shop.email


def test_the_cookie_of_a_visitor_by_http_is_not_secure_since_a_browser_would_keep_it_back(
    edge: Edge, shop: Shop
) -> None:
    """As on a local stack in the mode `flexible`."""
    form = urlencode({"email": shop.email, "password": shop.password}).encode()
    login = visit(edge, "/auth/login/form", shop, "POST", form, X_Forwarded_Proto="http", **FORM)
    assert "Secure" not in login.all("Set-Cookie")[0]


def test_a_static_file_is_asked_for_anew_and_comes_once(edge: Edge, shop: Shop) -> None:
    first = visit(edge, "/web/static/app.css", shop, Accept_Encoding="gzip")
    assert (first.status, first.all("Cache-Control")) == (200, ["public, no-cache"])
    again = visit(edge, "/web/static/app.css", shop, If_None_Match=first.all("ETag")[0])
    assert (again.status, again.body, again.all("Cache-Control")) == (304, b"", ["public, no-cache"])


def test_a_local_stacks_description_of_auth_is_auths_own(tmp_path: Path, started: dict[str, Application]) -> None:
    ports = started["auth"].port, started["construction"].port
    with running_edge(tmp_path, *ports, domain="localhost") as edge:
        page = edge.ask("/auth/docs", "demo.localhost")
        assert b"'/auth/openapi.json'" in page.body
        described = json.loads(edge.ask("/auth/openapi.json", "demo.localhost").body)
        assert described["info"]["title"] == "Auth Service"


def worst_body(size: int) -> bytes:
    """Make an object that lacks every field it should have: a 422 repeats it for each of them."""
    lists = "[" * 100 + "]" * 100 + ","
    return ('{"x":[' + lists * (size // len(lists)) + "1]}").encode()


@pytest.mark.parametrize(
    ("name", "path", "user"),
    [("auth", "/login", False), ("auth", "/users", True), ("construction", "/api/v1/clientes/", True)],
)
def test_the_worst_body_costs_no_more_memory_than_the_limits_reckon_with(
    started: dict[str, Application], shop: Shop, name: str, path: str, user: bool
) -> None:
    application = started[name]
    headers = bearer(shop.token()) if user else {}
    before = application.memory("VmRSS")
    assert before < IDLE_MIB[name] * MIB * 1.2
    Path(f"/proc/{application.process.pid}/clear_refs").write_text("5")  # VmHWM counts anew
    body = worst_body(ASKED)
    answer = application.ask(path, body, **{"Content-Type": "application/json"}, **headers)
    assert answer.status == 422
    blow_up = (application.memory("VmHWM") - before) / len(body)
    assert BLOW_UP[name] / 4 < blow_up <= BLOW_UP[name]
