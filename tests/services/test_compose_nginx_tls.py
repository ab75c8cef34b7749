"""The edge by TLS: who is let in, with which versions and headers, and what is left on port 80 then."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.services.nginx_support import (
    CLOUDFLARE,
    DOMAIN,
    EDGE,
    TENANT,
    Answer,
    Edge,
    assert_security_headers,
)
from tests.unit.tls_support import client_chain, foreign_client
from topology.tls import pull_leaf


def test_cloudflare_with_our_client_certificate_is_served(edge: Edge) -> None:
    answer = edge.ask_tls("/web/dashboard", CF_Connecting_IP="198.51.100.7", X_Forwarded_Proto="https")
    assert answer.status == 200
    assert answer.seen["x-real-ip"] == "198.51.100.7"
    assert answer.seen["x-forwarded-proto"] == "https"
    assert answer.seen["x-tenant-slug"] == "acme"
    assert answer.seen["host"] == TENANT


def test_without_a_client_certificate_nothing_is_served(edge: Edge) -> None:
    for path in ("/", "/health", "/web/dashboard", "/tenant.json", "/50x.html"):
        answer = edge.ask_tls(path, context=edge.context(None))
        assert answer.status == 400, path
        assert b"No required SSL certificate was sent" in answer.body
        assert_security_headers(answer, https=True)


def test_a_client_certificate_of_another_authority_of_the_same_name_is_refused(edge: Edge) -> None:
    for path in ("/health", "/web/dashboard"):
        answer = edge.ask_tls(path, context=edge.context(foreign_client()))
        assert answer.status == 400, path
        assert b"The SSL certificate error" in answer.body
        assert_security_headers(answer, https=True)


def test_a_resumed_session_does_not_stand_in_for_the_certificate(edge: Edge) -> None:
    ours = edge.context((pull_leaf(client_chain()[0]), client_chain()[1]), maximum_version=ssl.TLSVersion.TLSv1_2)
    raw = socket.create_connection(("127.0.0.1", edge.tls_port), 5)
    with ours.wrap_socket(raw, server_hostname=DOMAIN) as first:
        session = first.session
    again = socket.create_connection(("127.0.0.1", edge.tls_port), 5)
    with ours.wrap_socket(again, server_hostname=DOMAIN, session=session) as resumed:
        assert resumed.session_reused, "the cache of sessions is off"
    assert edge.ask_tls("/web/dashboard", context=edge.context(None)).status == 400


@pytest.mark.parametrize(
    "host", ["acme.elsewhere.example", f"a.b.{DOMAIN}", f"evil{DOMAIN}", "127.0.0.1", f"{TENANT}.evil.example"]
)
def test_a_host_that_is_not_ours_is_refused_also_with_our_certificate(edge: Edge, host: str) -> None:
    for path in ("/health", "/web/dashboard"):
        answer = edge.ask_tls(path, host=host)
        assert answer.status == 421, path
        assert_security_headers(answer, https=True)


@pytest.mark.parametrize("host", [DOMAIN, TENANT, f"{TENANT}:443", TENANT.upper()])
@pytest.mark.parametrize("name", [DOMAIN, TENANT, f"other.{DOMAIN}"])
def test_the_name_of_the_handshake_need_not_be_the_host(edge: Edge, host: str, name: str) -> None:
    """Cloudflare may use one connection for several tenants."""
    assert edge.ask_tls("/web/dashboard", host=host, server_name=name).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("GET", "/tenant.json", 200),
        ("GET", "/auth/login", 200),
        ("GET", "/api/v1/status/404", 404),
        ("GET", "/api/v1/status/503", 503),
        ("GET", "/web/login", 302),
        ("GET", "/web/static/app.css", 200),
        ("GET", "/", 302),
        ("GET", "/50x.html", 404),
        ("POST", "/api/v1/produtos/", 200),
    ],
)
@pytest.mark.parametrize("scheme", ["https", "http", ""])
def test_every_answer_on_443_has_each_security_header_once(
    edge: Edge, method: str, path: str, status: int, scheme: str
) -> None:
    """Also where a zone let a visitor in by plain HTTP: the edge was asked by TLS."""
    answer = edge.ask_tls(path, method=method, CF_Connecting_IP="198.51.100.7", X_Forwarded_Proto=scheme)
    assert answer.status == status
    assert_security_headers(answer, https=True)


def test_an_edge_of_localhost_binds_no_browser_to_https(local_edge: Edge) -> None:
    """HSTS for localhost would hold for every other project on the visitor's machine."""
    for host in ("localhost", "demo.localhost", "elsewhere.example"):
        for path in ("/health", "/web/dashboard", "/api/v1/status/404", "/nowhere"):
            by_tls = local_edge.ask_tls(path, host, CF_Connecting_IP="10.1.2.3", X_Forwarded_Proto="https")
            plain = local_edge.ask(
                path, host, source=CLOUDFLARE, CF_Connecting_IP="10.1.2.3", X_Forwarded_Proto="https"
            )
            assert_security_headers(by_tls)
            assert_security_headers(plain)


def test_health_says_by_which_way_it_was_asked(edge: Edge) -> None:
    assert json.loads(edge.ask_tls("/health").body) == {"status": "ok", "edge": True, "ssl": True}
    for serves in (True, False):
        edge.open_http(serves)
        assert json.loads(edge.ask("/health").body) == {"status": "ok", "edge": True}


def test_the_certificate_covers_apex_and_tenants(edge: Edge) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        edge.ask_tls("/health", server_name=f"a.b.{DOMAIN}")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_are_spoken(edge: Edge, version: ssl.TLSVersion) -> None:
    with handshake(edge, version) as connection:
        assert connection.version() == version.name.replace("_", ".")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_older_versions_are_refused_by_the_edge(edge: Edge, version: ssl.TLSVersion) -> None:
    # Security level 0, or this client would not even offer them.
    with pytest.raises(ssl.SSLError, match="TLSV1_ALERT_PROTOCOL_VERSION"):
        handshake(edge, version, "DEFAULT:@SECLEVEL=0")


@pytest.mark.parametrize("cipher", ["ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES128-CCM"])
def test_ciphers_that_are_not_named_are_refused(edge: Edge, cipher: str) -> None:
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
        handshake(edge, ssl.TLSVersion.TLSv1_2, cipher)


def handshake(edge: Edge, version: ssl.TLSVersion, ciphers: str = "", protocols: tuple[str, ...] = ()) -> ssl.SSLSocket:
    """Speak this version only."""
    chain, key = client_chain()
    context = edge.context((pull_leaf(chain), key))
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = version
    context.minimum_version = version
    if ciphers:
        context.set_ciphers(ciphers)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    raw = socket.create_connection(("127.0.0.1", edge.tls_port), 5)
    return context.wrap_socket(raw, server_hostname=DOMAIN)


def test_http_2_is_agreed_on_and_spoken(edge: Edge) -> None:
    with handshake(edge, ssl.TLSVersion.TLSv1_3, protocols=("h2", "http/1.1")) as connection:
        assert connection.selected_alpn_protocol() == "h2"
        settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings)
        assert connection.recv(9)[3] == 4, "its first frame is SETTINGS"
    assert re.search(r"^ {8}http2 on;$", (EDGE / "nginx.conf").read_text(), re.MULTILINE)


def test_plain_http_on_443_is_refused(edge: Edge) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", edge.tls_port, timeout=5)
    connection.request("GET", "/health", headers={"Host": TENANT})
    answer = Answer.of(connection.getresponse())
    connection.close()
    assert answer.status == 400
    assert b"plain HTTP request was sent to HTTPS port" in answer.body


@pytest.mark.parametrize("path", ["/", "/web/dashboard", "/tenant.json", "/api/v1/produtos/?a=1", "/auth/login"])
def test_closed_plain_http_sends_to_https_whoever_asks(edge: Edge, path: str) -> None:
    edge.open_http(False)
    believed = edge.ask(path, source=CLOUDFLARE, CF_Connecting_IP="198.51.100.7", X_Forwarded_Proto="https")
    for answer in (edge.ask(path), believed):
        assert (answer.status, answer.all("Location")) == (301, [f"https://{TENANT}{path}"])


@pytest.mark.parametrize(
    "path",
    [
        "/HEALTH",
        "/health/",
        "/health%0a",
        "/%20/health",
        "/x%20/health",
        "/web/%0a%20/health",
        "/health;x",
        "/health%20",
    ],
)
def test_closed_plain_http_has_no_path_that_only_looks_like_health(edge: Edge, path: str) -> None:
    edge.open_http(False)
    assert edge.ask(path).status == 301


def test_health_is_answered_on_port_80_for_any_host(edge: Edge) -> None:
    """Docker's health check names none."""
    for serves in (True, False):
        edge.open_http(serves)
        assert edge.ask("/health", host="203.0.113.9").status == 200


def test_plain_http_opens_and_closes_while_nginx_runs(edge: Edge) -> None:
    for serves, status in ((False, 301), (True, 200), (False, 301)):
        edge.open_http(serves)
        assert edge.ask("/web/dashboard").status == status
        assert edge.ask_tls("/web/dashboard").status == 200, "TLS is served in both"


def test_plain_http_is_closed_where_nobody_ever_opened_it(edge: Edge) -> None:
    edge.open_http(False)
    (edge.directory / "http").rmdir()
    assert edge.ask("/web/dashboard").status == 301


def test_a_switch_of_the_mode_in_either_direction_loses_no_request(edge: Edge) -> None:
    """Machines of Cloudflare learn the zone's mode one after the other, while each of them keeps asking."""
    modes = ["flexible"] * 4
    answers: list[tuple[str, int]] = []
    done = threading.Event()
    context = edge.context((pull_leaf(client_chain()[0]), client_chain()[1]))

    def machine(number: int) -> None:
        while not done.is_set():
            visitor = f"198.51.100.{len(answers) % 250}"  # each with a rate of its own
            mode = modes[number]
            if mode == "strict":
                answer = edge.ask_tls("/web/dashboard", context=context, CF_Connecting_IP=visitor)
            else:
                answer = edge.ask("/web/dashboard", source=CLOUDFLARE, CF_Connecting_IP=visitor)
            answers.append((mode, answer.status))

    def learn(mode: str) -> None:
        for number in range(len(modes)):
            modes[number] = mode
            time.sleep(0.1)

    with ThreadPoolExecutor(len(modes)) as pool:
        machines = [pool.submit(machine, number) for number in range(len(modes))]
        time.sleep(0.2)
        learn("strict")
        time.sleep(1)  # as origin-http.sh waits, and longer than a request takes on a busy machine
        edge.open_http(False)
        time.sleep(0.3)
        edge.open_http(True)
        learn("flexible")
        done.set()
    for each in machines:
        each.result()
    assert set(answers) == {("flexible", 200), ("strict", 200)}
