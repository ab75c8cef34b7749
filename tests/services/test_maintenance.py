"""Maintenance as `basec` turns it on and off, beside a running nginx: what visitors get, and what goes on."""

from __future__ import annotations

import http.client
import json
import socket

import pytest

from basec.hosts import maintenance
from basec.hosts.onhost import maintenance as onhost
from tests.services.nginx_support import CLOUDFLARE, DOMAIN, TENANT, Answer, Edge, assert_security_headers

SHOP = ["/", "/tenant.json", "/auth/login", "/web/dashboard", "/web/static/app.css", "/api", "/anything", "/50x"]
MARK = "Loja em manutenção".encode()
RECORD = {"since": "2026-01-31T08:00:00Z", "by": "ana on laptop", "message": "Voltamos às 15h."}


def switch(edge: Edge, action: str, message: str = "", capsys: pytest.CaptureFixture[str] | None = None) -> None:
    """Run the program that `basec` sends to the edge."""
    said = json.dumps({"page": maintenance.page(message), "record": RECORD | {"message": message}})
    onhost.main(action, str(edge.directory / "http"), str(edge.port), DOMAIN, said.encode())
    if capsys is not None:
        found = json.loads(capsys.readouterr().out)
        assert found["works"] is (True if action == "on" else None)


@pytest.fixture(params=["open", "closed"])
def mode(request: pytest.FixtureRequest, edge: Edge) -> Edge:
    """Both modes of TLS: port 80 serves the shop, or sends to https."""
    edge.open_http(request.param == "open")
    return edge


def assert_page(answer: Answer, *, https: bool = False) -> None:
    assert answer.status == 503
    assert answer.all("Retry-After") == ["300"]
    assert answer.all("Cache-Control") == ["no-store"]
    assert_security_headers(answer, https=https)


@pytest.mark.parametrize("path", SHOP)
def test_every_page_of_the_shop_is_the_page_of_maintenance_on_both_ports(mode: Edge, path: str) -> None:
    switch(mode, "on", "Voltamos às 15h.")
    for answer, https in (
        (mode.ask(path), False),
        (mode.ask(path, source=CLOUDFLARE, CF_Connecting_IP="198.51.100.7", X_Forwarded_Proto="https"), True),
        (mode.ask_tls(path, CF_Connecting_IP="198.51.100.7", X_Forwarded_Proto="https"), True),
    ):
        assert_page(answer, https=https)
        assert answer.all("Content-Type") == ["text/html"]
        assert MARK in answer.body
        assert "Voltamos às 15h.".encode() in answer.body


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_the_api_answers_json_whatever_the_method(mode: Edge, method: str) -> None:
    switch(mode, "on")
    answer = mode.ask("/api/v1/produtos/", method=method, body=b"{}" if method != "GET" else b"")
    assert_page(answer)
    assert answer.all("Content-Type") == ["application/json"]
    assert json.loads(answer.body) == {"error": "Under maintenance"}
    assert_page(mode.ask("/api/v1/produtos/", host=DOMAIN))


def test_a_form_is_answered_with_the_page_and_head_without_a_body(mode: Edge) -> None:
    switch(mode, "on")
    posted = mode.ask("/auth/login/form", method="POST", body=b"x" * 9000)
    assert_page(posted)
    assert MARK in posted.body
    head = mode.ask("/web/dashboard", method="HEAD")
    assert_page(head)
    assert head.body == b""


def test_what_monitors_ask_goes_on(mode: Edge) -> None:
    switch(mode, "on")
    for host in (TENANT, "203.0.113.9"):
        answer = mode.ask("/health", host=host)
        assert (answer.status, answer.body) == (200, b'{"status":"ok","edge":true}')
        assert answer.all("Retry-After") == []
    assert mode.ask_tls("/health").status == 200
    assert mode.ask_tls("/nginx-status", CF_Connecting_IP="10.0.0.1").status == 200


def test_names_that_are_not_ours_are_still_refused(mode: Edge) -> None:
    switch(mode, "on")
    assert mode.ask("/", host="shop.example.org").status == 421
    assert mode.ask_tls("/", host="shop.example.org").status == 421


def test_it_is_effective_at_the_next_request_of_an_open_connection(
    edge: Edge, capsys: pytest.CaptureFixture[str]
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=5)
    statuses = []
    for action in ("off", "on", "on", "off", "off"):
        switch(edge, action, capsys=capsys)
        connection.request("GET", "/web/dashboard", headers={"Host": TENANT})
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
        assert (answer.getheader("Retry-After") is not None) is (answer.status == 503)
    connection.close()
    assert statuses == [200, 503, 503, 200, 200]
    assert list((edge.directory / "http").iterdir()) == [edge.directory / "http/open"], "nothing is left"


def test_a_message_is_text_whatever_html_it_has(edge: Edge) -> None:
    message = maintenance.checked_message("<script>alert(\"1\")</script> & $message 'até já'")
    switch(edge, "on", message)
    body = edge.ask("/").body.decode()
    assert "<script" not in body
    assert "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; $message &#x27;até já&#x27;" in body
    assert json.loads((edge.directory / "http" / onhost.RECORD).read_text())["message"] == message


def test_a_rate_limit_holds_and_says_when_to_come_again_too(edge: Edge) -> None:
    switch(edge, "on")
    answers = edge.ask_in_one_write("/web/dashboard", 200)
    assert {answer.status for answer in answers} == {503}
    shown = sum(MARK in answer.body for answer in answers)
    assert 50 <= shown < 200, "a burst of 50, and `on` asked once itself"
    for answer in answers:
        assert_page(answer)


@pytest.mark.parametrize("path", ["/maintenance.html", "/maintenance.json", "/maintenance_by.json", "/open"])
@pytest.mark.parametrize("action", ["on", "off"])
def test_the_files_themselves_are_nobodys(edge: Edge, path: str, action: str) -> None:
    switch(edge, action, "Voltamos às 15h.")
    answer = edge.ask(path)
    assert b"Voltamos" not in answer.body or answer.status == 503
    assert b"ana on laptop" not in answer.body
    if path.startswith("/maintenance."):
        assert answer.status == 404


def test_an_application_that_answers_503_still_gives_the_other_page(edge: Edge) -> None:
    answer = edge.ask("/api/v1/status/503")
    assert "Serviço indisponível".encode() in answer.body
    assert answer.all("Retry-After") == []


def test_an_nginx_that_does_not_answer_is_no_error_and_the_page_stays(
    edge: Edge, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        said = json.dumps({"page": maintenance.page(""), "record": RECORD}).encode()
        onhost.main("on", str(edge.directory / "http"), str(closed.getsockname()[1]), DOMAIN, said)
    found = json.loads(capsys.readouterr().out)
    assert (found["before"], json.loads(found["after"]), found["works"]) == (None, RECORD, None)


def test_a_release_that_does_not_know_the_page_is_found_out_and_nothing_is_kept(
    edge: Edge, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its nginx looks for no such file; here it looks in another directory."""
    elsewhere = edge.directory / "elsewhere"
    elsewhere.mkdir()
    said = json.dumps({"page": maintenance.page(""), "record": RECORD}).encode()
    onhost.main("on", str(elsewhere), str(edge.port), DOMAIN, said)
    assert json.loads(capsys.readouterr().out) == {"before": None, "after": None, "works": False}
    assert list(elsewhere.iterdir()) == []
