"""The edge's nginx, really run on loopback with the shipped configuration and two stub applications."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedReader
from pathlib import Path
from typing import Any

import jinja2

from tests.unit.tls_support import client_chain, issue, origin_request
from topology.tls import pull_authorities, pull_leaf

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
    disable_nagle_algorithm = True  # otherwise a body waits 40 ms for the acknowledgement of its head
    name = ""

    def do_GET(self) -> None:
        """Echoes; /status/<code> in the path answers that code, /slow/<ms> so late, /silent without Cache-Control."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if late := re.search(r"/slow/(\d+)", self.path):
            time.sleep(int(late[1]) / 1000)
        wanted = re.search(r"/status/(\d+)", self.path)
        seen = {"app": self.name, "path": self.path, "headers": dict(self.headers.items())}
        body = json.dumps(seen).encode()
        self.send_response(int(wanted[1]) if wanted else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name in SECURITY_HEADERS:
            self.send_header(name, "from-the-application")
        self.send_header("Strict-Transport-Security", "max-age=1")
        if "/silent" not in self.path:
            self.send_header("Cache-Control", "private, max-age=7")
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the name that http.server looks up

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as in the base class
        """Stays silent."""


@dataclass(frozen=True)
class Answer:
    """Status, headers with repetition, and body."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @classmethod
    def of(cls, response: http.client.HTTPResponse) -> Answer:
        return cls(response.status, response.getheaders(), response.read())

    @classmethod
    def next(cls, stream: BufferedReader) -> Answer:
        """Read one answer of several on a connection; `http.client` closes it after the first."""
        status = int(stream.readline().split()[1])
        headers = http.client.parse_headers(stream)
        return cls(status, headers.items(), stream.read(int(headers["Content-Length"])))

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def seen(self) -> dict[str, str]:
        """The headers that the application received, names in lower case."""
        return {key.lower(): value for key, value in json.loads(self.body)["headers"].items()}


class Edge:
    """A running nginx; a request is one connection."""

    def __init__(self, directory: Path, port: int, tls_port: int) -> None:
        self.directory = directory
        self.port = port
        self.tls_port = tls_port

    def open_http(self, serves: bool) -> None:
        """Lets port 80 serve the shop, or not, as `origin-http.sh` does."""
        marker = self.directory / "http" / "open"
        marker.touch() if serves else marker.unlink(missing_ok=True)

    def context(self, client: tuple[str, str] | None, **versions: ssl.TLSVersion) -> ssl.SSLContext:
        """How a client of the origin speaks TLS: it checks the certificate, and shows `client` (chain, key) if any."""
        context = ssl.create_default_context(cafile=str(self.directory / "origin_ca.pem"))
        for name, version in versions.items():
            setattr(context, name, version)
        if client is not None:
            certificate, key = self.directory / "client.pem", self.directory / "client.key"
            certificate.write_text(client[0])
            key.write_text(client[1])
            context.load_cert_chain(certificate, key)
        return context

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
            return Answer.of(connection.getresponse())
        finally:
            connection.close()

    def ask_in_one_write(self, path: str, count: int) -> list[Answer]:
        """Send requests on one connection, none of them waiting for an answer: a busy machine does not slow them."""
        request = f"GET {path} HTTP/1.1\r\nHost: {TENANT}\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
            connection.sendall(request * count)
            stream = connection.makefile("rb")
            return [Answer.next(stream) for _ in range(count)]

    def ask_tls(
        self,
        path: str,
        host: str = TENANT,
        *,
        method: str = "GET",
        server_name: str = DOMAIN,
        context: ssl.SSLContext | None = None,
        **headers: str,
    ) -> Answer:
        """Ask on 443 as Cloudflare does, with the stack's client certificate unless the context is another."""
        context = context or self.context((pull_leaf(client_chain()[0]), client_chain()[1]))
        connection = http.client.HTTPSConnection("127.0.0.1", self.tls_port)
        raw = socket.create_connection(("127.0.0.1", self.tls_port), 5, (CLOUDFLARE, 0))
        connection.sock = context.wrap_socket(raw, server_hostname=server_name)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, None, {"Host": host, **named})
            return Answer.of(connection.getresponse())
        finally:
            connection.close()


HTTP2_OF_OLD = {"http2 on;": "", " ssl default_server;": " ssl http2 default_server;"}
"""Debian 12's nginx knows HTTP/2 only as a word of `listen`; the directive came with 1.25.1."""


def nginx_version() -> tuple[int, ...]:
    said = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr
    found = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", said)
    assert found, said
    return tuple(map(int, found.groups()))


def lay_tls(directory: Path) -> None:
    """Lays the files of topology/secrets.py, and the authority that signed the edge's certificate for the clients."""
    key, request = origin_request(DOMAIN)
    certificate, authority = issue(request)
    (directory / "secrets").mkdir()
    for name, text in {
        "secrets/origin.pem": certificate,
        "secrets/origin.key": key,
        "secrets/origin_pull_ca.pem": pull_authorities(client_chain()[0]),
        "origin_ca.pem": authority,
    }.items():
        (directory / name).write_text(text)


def free_ports(count: int) -> list[int]:
    """Return ports that nobody has, all different: one alone might come twice."""
    with ExitStack() as probes:
        sockets = [probes.enter_context(socket.socket()) for _ in range(count)]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in sockets]


def free_port() -> int:
    return free_ports(1)[0]


def application(name: str) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type(name, (Echo,), {"name": name}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@contextmanager
def running_edge(directory: Path, auth: int, construction: int, *, domain: str = DOMAIN) -> Iterator[Edge]:
    """An edge whose port 80 serves the shop; that of a local stack where the domain is localhost."""
    process, edge = start_nginx(directory, auth, construction, domain)
    edge.open_http(True)
    try:
        yield edge
    finally:
        process.terminate()
        process.wait(10)


def start_nginx(directory: Path, auth: int, construction: int, domain: str) -> tuple[subprocess.Popen[bytes], Edge]:
    """Lays the shipped files with other ports and paths, and nothing else changed."""
    shutil.copytree(EDGE, directory / "nginx")
    lay_tls(directory)
    (directory / "http").mkdir()
    port, tls_port = free_ports(2)
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701 - not HTML
    for template in (directory / "nginx").rglob("*.j2"):
        text = environment.from_string(template.read_text()).render(
            domain=domain,
            cloudflare_ranges=[f"{CLOUDFLARE}/32"],
            environment="development" if domain == "localhost" else "staging",
            vpc_ip_range="10.20.0.0/20",
        )
        template.with_suffix("").write_text(text)
    replacements = {
        "listen 80 ": f"listen 127.0.0.1:{port} ",
        "listen 443 ": f"listen 127.0.0.1:{tls_port} ",
        **(HTTP2_OF_OLD if nginx_version() < (1, 25, 1) else {}),
        "172.30.0.20:8001": f"127.0.0.1:{auth}",
        "construction.internal:8000": f"127.0.0.1:{construction}",
        " /tmp/": f" {directory}/",  # before any path of this directory stands in the text
        "/run/http": f"{directory}/http",
        " secrets/": f" {directory}/secrets/",
        "/etc/nginx/current/": f"{directory}/nginx/",
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
            if probe.connect_ex(("127.0.0.1", tls_port)) == 0:
                return process, Edge(directory, port, tls_port)
        time.sleep(0.02)
    raise AssertionError("nginx does not listen after 10 s")


def assert_security_headers(answer: Answer, *, https: bool = False) -> None:
    for name, value in SECURITY_HEADERS.items():
        assert answer.all(name) == [value], (answer.status, name)
    assert answer.all("Strict-Transport-Security") == ([HSTS] if https else []), answer.status
