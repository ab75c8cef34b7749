"""What the edge answers, by plain HTTP; TLS is in test_compose_nginx_tls.py."""

from __future__ import annotations

import json
import re

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
    ("GET", "/docs", 404),
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


@pytest.mark.parametrize("path", ["/auth/login", "/api/v1/produtos/", "/web/dashboard", "/tenant.json", "/anything"])
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


@pytest.mark.parametrize("path", ["/web/dashboard", "/auth/login", "/tenant.json", "/api/v1/produtos/"])
@pytest.mark.parametrize(("source", "address"), [(CLOUDFLARE, "198.51.100.7"), ("127.0.0.1", "127.0.0.1")])
def test_applications_get_the_one_address_that_the_edge_believes(
    edge: Edge, path: str, source: str, address: str
) -> None:
    forged = "6.6.6.6, 7.7.7.7"
    answer = edge.ask(path, source=source, CF_Connecting_IP="198.51.100.7", X_Forwarded_For=forged, X_Real_IP=forged)
    assert (answer.seen["x-forwarded-for"], answer.seen["x-real-ip"]) == (address, address)


@pytest.mark.parametrize(
    ("host", "passed"),
    [
        ("demo.localhost:8080", "demo.localhost:8080"),
        (TENANT, TENANT),
        (TENANT.upper(), TENANT),
        (f"{TENANT}:@evil.example", TENANT),
        (f"{TENANT}:80@evil.example:81", TENANT),
        (f"{TENANT}:123456", TENANT),
    ],
)
def test_the_application_gets_the_host_that_was_checked_with_its_port(edge: Edge, host: str, passed: str) -> None:
    assert edge.ask("/web/dashboard", host=host).seen["host"] == passed


def test_a_host_in_the_request_line_is_the_one_that_the_application_gets(edge: Edge) -> None:
    answer = edge.ask(f"http://{TENANT}/web/dashboard", host="evil.example:8080")
    assert (answer.status, answer.seen["host"], answer.seen["x-tenant-slug"]) == (200, f"{TENANT}:8080", "acme")
    assert edge.ask("http://evil.example/web/dashboard", host=TENANT).status == 421


DESCRIPTIONS = ("/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json", "/auth/docs", "/auth/redoc")
DISGUISED = ("/%64ocs", "//docs", "/web/../docs", "/docs/", "/auth//openapi.json", "/auth/%2e/openapi.json", "/docs%0a")


@pytest.mark.parametrize("path", [*DESCRIPTIONS, *DISGUISED])
def test_descriptions_of_the_applications_are_answered_on_local_stacks_alone(edge: Edge, path: str) -> None:
    answer = edge.ask(path)
    assert (answer.status, b"headers" in answer.body) == (404, False)
    assert_security_headers(answer)


@pytest.mark.parametrize("path", DESCRIPTIONS)
def test_a_local_stack_answers_the_descriptions_of_the_applications(local_edge: Edge, path: str) -> None:
    assert local_edge.ask(path, host="demo.localhost").status == 200


@pytest.mark.parametrize("path", ["/docsearch", "/web/docs", "/api/v1/docs", "/authdocs", "/auth/docstore"])
def test_what_only_looks_like_a_description_is_passed_on(edge: Edge, path: str) -> None:
    assert edge.ask(path).status == 200


@pytest.mark.parametrize(
    ("path", "app", "passed"),
    [
        ("/tenant.json", "auth", "/tenant.json"),
        ("/auth/login?next=%2Fweb", "auth", "/login?next=%2Fweb"),
        ("/auth/login/form", "auth", "/login/form"),
        ("/api/v1/produtos/", "construction", "/api/v1/produtos/"),
        ("/web/dashboard", "construction", "/web/dashboard"),
        ("/web/static/app.css", "construction", "/web/static/app.css"),
        ("/anything", "construction", "/anything"),
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
        ("/web/static/app.css", "public, no-cache"),
        ("/web/static/status/404", "private, max-age=7"),
        ("/web/dashboard", "private, max-age=7"),
        *((path, "no-store") for path in ("/web/silent", "/api/v1/silent", "/auth/silent", "/silent", "/", "/health")),
    ],
)
def test_one_cache_control_header_and_what_says_nothing_is_kept_by_nobody(edge: Edge, path: str, expected: str) -> None:
    assert edge.ask(path).all("Cache-Control") == [expected]


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
    included = "".join((EDGE / name).read_text() for name in ("locations.conf", "maintenance.conf"))
    located = re.findall(r"^\s*(add_header|proxy_set_header|proxy_hide_header)", included, re.M)
    assert nested + located == []
