"""The edge's nginx, really run on loopback with the shipped configuration and two stub applications.

Needs Debian's package nginx-light (or nginx).
"""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jinja2
import pytest

EDGE = Path(__file__).parents[2] / "compose" / "edge" / "nginx"
CLOUDFLARE = "127.0.0.2"  # the peer that plays Cloudflare; everybody else comes from 127.0.0.1
DOMAIN = "basecommerce.example"
TENANT = f"acme.{DOMAIN}"
SECURITY_HEADERS = {
    "X-Frame-Options": "SAMEORIGIN",
    "X-Content-Type-Options": "nosniff",
    "X-XSS-Protection": "1; mode=block",
    "Referrer-Policy": "strict-origin-when-cross-origin",
}
HSTS = "max-age=31536000; includeSubDomains; preload"


class Echo(BaseHTTPRequestHandler):
    """An application: answers with what it received, and with security headers of its own."""

    protocol_version = "HTTP/1.1"
    name = ""

    def do_GET(self) -> None:
        """Echoes; a path with /status/<code> answers that code."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        wanted = re.search(r"/status/(\d+)", self.path)
        seen = {"app": self.name, "path": self.path, "headers": dict(self.headers.items())}
        body = json.dumps(seen).encode()
        self.send_response(int(wanted[1]) if wanted else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name in SECURITY_HEADERS:
            self.send_header(name, "from-the-application")
        self.send_header("Strict-Transport-Security", "max-age=1")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the name that http.server looks up

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as in the base class
        """Stays silent."""


class Answer:
    """Status, headers with repetition, and body."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.body = response.read()
        self.headers = response.getheaders()

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def seen(self) -> dict[str, str]:
        """The headers that the application received, names in lower case."""
        return {key.lower(): value for key, value in json.loads(self.body)["headers"].items()}


class Edge:
    """A running nginx; a request is one connection."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(
        self,
        path: str,
        host: str = TENANT,
        method: str = "GET",
        source: str = "127.0.0.1",
        body: bytes = b"",
        **headers: str,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5, source_address=(source, 0))
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body or None, {"Host": host, **named})
            return Answer(connection.getresponse())
        finally:
            connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def application(name: str) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type(name, (Echo,), {"name": name}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(scope="module")
def applications() -> Iterator[dict[str, ThreadingHTTPServer]]:
    servers = {name: application(name) for name in ("auth", "construction")}
    yield servers
    for server in servers.values():
        server.shutdown()
        server.server_close()


def start_nginx(directory: Path, auth: int, construction: int) -> tuple[subprocess.Popen[bytes], int]:
    """Lays the shipped files with other ports and paths, and nothing else changed."""
    assert shutil.which("nginx"), "nginx is not here; hint: apt-get install nginx-light"
    shutil.copytree(EDGE, directory / "nginx")
    port = free_port()
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701 - not HTML
    for template in (directory / "nginx").rglob("*.j2"):
        text = environment.from_string(template.read_text()).render(
            domain=DOMAIN, cloudflare_ranges=[f"{CLOUDFLARE}/32"], environment="staging", vpc_ip_range="10.20.0.0/20"
        )
        template.with_suffix("").write_text(text)
    replacements = {
        "listen 80 ": f"listen 127.0.0.1:{port} ",
        "172.30.0.10:8001": f"127.0.0.1:{auth}",
        "construction.internal:8000": f"127.0.0.1:{construction}",
        " /tmp/": f" {directory}/",  # before any path of this directory stands in the text
        "/etc/nginx/": f"{directory}/nginx/",
        "/dev/stdout": f"{directory}/access.log",
    }
    for file in (directory / "nginx").rglob("*.conf"):
        text = file.read_text()
        for old, new in replacements.items():
            text = text.replace(old, new)
        file.write_text(text)
    process = subprocess.Popen(["nginx", "-c", f"{directory}/nginx/nginx.conf", "-g", "daemon off; user root;"])
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        assert process.poll() is None, "nginx did not start; its message is above"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process, port
        time.sleep(0.02)
    raise AssertionError("nginx does not listen after 10 s")


@pytest.fixture
def edge(tmp_path: Path, applications: dict[str, ThreadingHTTPServer]) -> Iterator[Edge]:
    """A fresh nginx for each test, since rate limits remember."""
    ports = [server.server_address[1] for server in applications.values()]
    process, port = start_nginx(tmp_path, *ports)
    yield Edge(port)
    process.terminate()
    process.wait(10)


@pytest.fixture
def lonely_edge(tmp_path: Path) -> Iterator[Edge]:
    """nginx with no application behind it."""
    process, port = start_nginx(tmp_path, free_port(), free_port())
    yield Edge(port)
    process.terminate()
    process.wait(10)


def assert_security_headers(answer: Answer, *, https: bool = False) -> None:
    for name, value in SECURITY_HEADERS.items():
        assert answer.all(name) == [value], (answer.status, name)
    assert answer.all("Strict-Transport-Security") == ([HSTS] if https else [])


ANSWERS = [
    ("GET", "/health", 200),
    ("GET", "/nginx-status", 200),
    ("GET", "/tenant.json", 200),
    ("GET", "/auth/login", 200),
    ("GET", "/api/v1/produtos/", 200),
    ("GET", "/api/v1/status/404", 404),
    ("GET", "/api/v1/status/500", 500),
    ("GET", "/api/v1/status/503", 503),
    ("GET", "/api", 301),
    ("GET", "/web/login", 302),
    ("GET", "/web/dashboard", 200),
    ("GET", "/web/static/app.css", 200),
    ("GET", "/docs", 200),
    ("GET", "/", 302),
    ("GET", "/anything", 200),
    ("GET", "/50x.html", 404),
    ("POST", "/health", 200),
]


@pytest.mark.parametrize("https", [False, True], ids=["http", "https"])
@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
def test_every_answer_has_each_security_header_once(
    edge: Edge, method: str, path: str, status: int, https: bool
) -> None:
    scheme = "https" if https else "http"
    answer = edge.ask(path, method=method, source=CLOUDFLARE, CF_Connecting_IP="10.1.2.3", X_Forwarded_Proto=scheme)
    assert answer.status == status
    assert_security_headers(answer, https=https)


def test_a_malformed_request_is_refused_with_the_security_headers(edge: Edge) -> None:
    """Before its headers are read, so the visitor's scheme is not known yet."""
    answer = edge.ask("/%zz")
    assert answer.status == 400
    assert_security_headers(answer)


def test_the_answer_to_a_body_over_10_mb_is_413_with_the_security_headers(edge: Edge) -> None:
    answer = edge.ask("/api/v1/produtos/", method="POST", Content_Length=str(10 * 1024 * 1024 + 1))
    assert answer.status == 413
    assert_security_headers(answer)


def test_a_body_of_10_mb_passes(edge: Edge) -> None:
    assert edge.ask("/api/v1/produtos/", method="POST", body=b"x" * 10 * 1024 * 1024).status == 200


@pytest.mark.parametrize("path", ["/auth/login", "/api/v1/produtos/", "/web/dashboard", "/tenant.json", "/docs"])
def test_a_dead_application_gives_the_error_page_with_the_security_headers(lonely_edge: Edge, path: str) -> None:
    answer = lonely_edge.ask(path)
    assert answer.status == 502
    assert "Serviço indisponível".encode() in answer.body
    assert answer.all("Content-Type") == ["text/html"]
    assert_security_headers(answer)


def test_health_is_one_json_answer_of_the_edge_itself(lonely_edge: Edge) -> None:
    answer = lonely_edge.ask("/health", host="whatever")
    assert (answer.status, answer.body) == (200, b'{"status":"ok","edge":true}')
    assert answer.all("Content-Type") == ["application/json"]


@pytest.mark.parametrize("host", [DOMAIN, "localhost", "a.b." + DOMAIN, "203.0.113.9", "acme.elsewhere.example"])
def test_the_api_without_a_tenant_answers_400_with_one_json_content_type(edge: Edge, host: str) -> None:
    answer = edge.ask("/api/v1/produtos/", host=host, X_Tenant_Slug="acme")
    assert (answer.status, answer.body) == (400, b'{"error":"Tenant not specified"}')
    assert answer.all("Content-Type") == ["application/json"]
    assert_security_headers(answer)


@pytest.mark.parametrize(
    ("host", "slug"),
    [
        (TENANT, "acme"),
        (TENANT.upper(), "acme"),
        (f"{TENANT}:8080", "acme"),
        (f"acme.staging.{DOMAIN}", "acme"),
        (f"staging.{DOMAIN}", "staging"),
        ("demo.localhost", "demo"),
        ("demo.localhost:8080", "demo"),
        (DOMAIN, ""),
        (f"a.b.{DOMAIN}", ""),
        (f"a.b.staging.{DOMAIN}", ""),
        ("a.b.localhost", ""),
        (f"acme.{DOMAIN}.evil.example", ""),
        (f"acme.{DOMAIN.replace('.', 'x')}", ""),
        ("localhost", ""),
    ],
)
def test_the_slug_is_the_one_label_before_the_base_domain(edge: Edge, host: str, slug: str) -> None:
    assert edge.ask("/web/dashboard", host=host).seen.get("x-tenant-slug", "") == slug


@pytest.mark.parametrize("path", ["/tenant.json", "/auth/login", "/api/v1/produtos/", "/web/dashboard", "/docs"])
@pytest.mark.parametrize("host", [TENANT, DOMAIN])
def test_a_forged_tenant_header_changes_no_answer(edge: Edge, host: str, path: str) -> None:
    honest, forged = edge.ask(path, host=host), edge.ask(path, host=host, X_Tenant_Slug="other")
    assert (honest.status, honest.body) == (forged.status, forged.body)
    assert b"other" not in forged.body


def test_the_visitors_address_and_scheme_are_believed_from_cloudflare(edge: Edge) -> None:
    answer = edge.ask("/web/dashboard", source=CLOUDFLARE, CF_Connecting_IP="198.51.100.7", X_Forwarded_Proto="https")
    assert answer.seen["x-real-ip"] == "198.51.100.7"
    assert answer.seen["x-forwarded-for"] == "198.51.100.7"
    assert answer.seen["x-forwarded-proto"] == "https"
    assert answer.all("Strict-Transport-Security") == [HSTS]


def test_nobody_else_can_choose_address_or_scheme(edge: Edge) -> None:
    answer = edge.ask(
        "/web/dashboard", CF_Connecting_IP="198.51.100.7", X_Forwarded_Proto="https", X_Forwarded_For="198.51.100.7"
    )
    assert answer.seen["x-real-ip"] == answer.seen["x-forwarded-for"] == "127.0.0.1"
    assert answer.seen["x-forwarded-proto"] == "http"
    assert answer.all("Strict-Transport-Security") == []


def test_the_application_gets_the_original_host_with_its_port(edge: Edge) -> None:
    assert edge.ask("/web/dashboard", host="demo.localhost:8080").seen["host"] == "demo.localhost:8080"


@pytest.mark.parametrize(
    ("path", "app", "passed"),
    [
        ("/tenant.json", "auth", "/tenant.json"),
        ("/auth/login?next=%2Fweb", "auth", "/login?next=%2Fweb"),
        ("/auth/login/form", "auth", "/login/form"),
        ("/api/v1/produtos/", "construction", "/api/v1/produtos/"),
        ("/web/dashboard", "construction", "/web/dashboard"),
        ("/web/static/app.css", "construction", "/web/static/app.css"),
        ("/openapi.json", "construction", "/openapi.json"),
    ],
)
def test_each_path_goes_to_its_application(edge: Edge, path: str, app: str, passed: str) -> None:
    answer = json.loads(edge.ask(path).body)
    assert (answer["app"], answer["path"]) == (app, passed)


@pytest.mark.parametrize(
    ("path", "target"),
    [("/", "/web/dashboard"), ("/web/login", "/auth/login"), ("/api", "/api/"), ("/web", "/web/"), ("/auth", "/auth/")],
)
def test_redirects_are_relative_so_that_scheme_and_port_stay(edge: Edge, path: str, target: str) -> None:
    assert edge.ask(path, source=CLOUDFLARE, CF_Connecting_IP="10.1.2.3").all("Location") == [target]


def test_plain_http_is_served_and_not_sent_to_https(edge: Edge) -> None:
    assert edge.ask("/web/dashboard").status == 200


def test_nginx_status_is_for_loopback_and_the_private_network(edge: Edge) -> None:
    outside = edge.ask("/nginx-status", source=CLOUDFLARE, CF_Connecting_IP="198.51.100.7")
    assert outside.status == 403
    assert_security_headers(outside)
    assert edge.ask("/nginx-status").status == 200


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/tenant.json", "public, max-age=300"),
        ("/web/static/app.css", "public, max-age=604800, immutable"),
        ("/web/static/status/404", "no-store"),
        ("/web/dashboard", "no-store"),
    ],
)
def test_one_cache_control_header(edge: Edge, path: str, expected: str) -> None:
    assert edge.ask(path).all("Cache-Control") == [expected]


@pytest.mark.parametrize(("path", "burst"), [("/auth/login", 10), ("/api/v1/produtos/", 20), ("/web/dashboard", 50)])
def test_over_the_rate_limit_comes_503_with_the_error_page(edge: Edge, path: str, burst: int) -> None:
    with ThreadPoolExecutor(8) as pool:  # fewer than the 20 connections that one address may hold
        answers = list(pool.map(lambda _: edge.ask(path), range(burst * 4)))
    refused = [answer for answer in answers if answer.status == 503]
    assert len(answers) - len(refused) > burst
    assert refused
    assert "Serviço indisponível".encode() in refused[0].body
    assert_security_headers(refused[0])


def test_the_rate_limit_is_per_visitor_and_not_per_cloudflare_node(edge: Edge) -> None:
    for number in range(40):
        answer = edge.ask("/auth/login", source=CLOUDFLARE, CF_Connecting_IP=f"198.51.100.{number}")
        assert answer.status == 200


def test_long_json_is_compressed(edge: Edge) -> None:
    answer = edge.ask("/web/dashboard?" + "x" * 2000, Accept_Encoding="gzip")
    assert (answer.all("Content-Encoding"), answer.all("Vary")) == (["gzip"], ["Accept-Encoding"])


def test_nginx_tells_no_version(edge: Edge) -> None:
    assert edge.ask("/health").all("Server") == ["nginx"]


def test_only_the_top_level_sets_headers() -> None:
    """nginx drops inherited add_header, proxy_set_header and proxy_hide_header where a lower level has one."""
    nested = re.findall(
        r"^ {8,}(add_header|proxy_set_header|proxy_hide_header)", (EDGE / "nginx.conf").read_text(), re.M
    )
    located = re.findall(
        r"^\s*(add_header|proxy_set_header|proxy_hide_header)", (EDGE / "locations.conf").read_text(), re.M
    )
    assert nested + located == []
