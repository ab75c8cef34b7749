"""What the edge answers, by plain HTTP; TLS is in test_compose_nginx_tls.py."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.services.nginx_support import (
    CLOUDFLARE,
    DOMAIN,
    EDGE,
    HSTS,
    TENANT,
    Edge,
    assert_security_headers,
)

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


def test_the_api_without_a_tenant_answers_400_with_one_json_content_type(edge: Edge) -> None:
    answer = edge.ask("/api/v1/produtos/", host=DOMAIN, X_Tenant_Slug="acme")
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
    ],
)
def test_the_slug_is_the_one_label_before_the_base_domain(edge: Edge, host: str, slug: str) -> None:
    assert edge.ask("/web/dashboard", host=host).seen.get("x-tenant-slug", "") == slug


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        f"a.b.{DOMAIN}",
        f"a.b.staging.{DOMAIN}",
        "a.b.localhost",
        f"acme.{DOMAIN}.evil.example",
        f"acme.{DOMAIN.replace('.', 'x')}",
        f"evil{DOMAIN}",
        "203.0.113.9",
        "acme.elsewhere.example",
    ],
)
@pytest.mark.parametrize("serves", [True, False], ids=["open", "closed"])
def test_a_host_that_is_not_ours_is_refused(edge: Edge, host: str, serves: bool) -> None:
    edge.open_http(serves)
    answer = edge.ask("/web/dashboard", host=host)
    assert answer.status == 421
    assert_security_headers(answer)


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


def test_plain_http_is_served_and_not_sent_to_https_while_it_is_open(edge: Edge) -> None:
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
