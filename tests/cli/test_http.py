"""Checks ask a local stack over https, by its own authority alone."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from basec.hosts import http
from basec.hosts.facts import Facts
from basec.local.cloud import StandIn
from localcloud.cloudflare import certificates
from localcloud.config import CloudConfig, Mode


@pytest.fixture
def config(tmp_path: Path) -> CloudConfig:
    return CloudConfig(
        name="local",
        mode=Mode.DRY,
        state=tmp_path,
        cache=tmp_path,
        public_subnet=IPv4Network("198.51.100.0/27"),
        cloudflare_address=IPv4Address("198.51.100.2"),
        registry_address=IPv4Address("198.51.100.3"),
        vpc_range=IPv4Network("10.77.1.0/24"),
        http_port=80,
    )


@pytest.fixture
def facts(config: CloudConfig, tmp_path: Path) -> Iterator[Facts]:
    """Serve `demo.localhost` over TLS; each answer is the Host header."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.headers["Host"].encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            """Log nothing."""

    bundle = tmp_path / "bundle.pem"
    bundle.write_text(certificates.visitors_bundle(config, ["demo.localhost"]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(bundle)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ca_file = certificates.authority_file(config, certificates.PUBLIC)
    stand_in = StandIn(http_port=1, https_port=server.server_port, ca_file=ca_file)
    yield Facts(environment="local", domain="localhost", stand_in=stand_in, hosts={})
    server.shutdown()
    server.server_close()


def test_a_tenant_is_asked_over_https_under_the_name_and_port_that_a_browser_sends(facts: Facts) -> None:
    assert facts.stand_in is not None
    answer = http.get(facts, "demo.localhost", "/")
    assert (answer.status, answer.text) == (200, f"demo.localhost:{facts.stand_in.https_port}")


def test_a_name_that_the_certificate_is_not_for_is_an_error(facts: Facts) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for 'acme\.localhost'"):
        http.get(facts, "acme.localhost", "/")


def test_another_authoritys_certificate_is_an_error(facts: Facts, config: CloudConfig) -> None:
    assert facts.stand_in is not None
    certificates.authority(config, certificates.ORIGIN)
    other = certificates.authority_file(config, certificates.ORIGIN)
    stand_in = StandIn(http_port=1, https_port=facts.stand_in.https_port, ca_file=other)
    strange = Facts(environment="local", domain="localhost", stand_in=stand_in, hosts={})
    with pytest.raises(ssl.SSLCertVerificationError):
        http.get(strange, "demo.localhost", "/")
