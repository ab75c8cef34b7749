"""Maintenance of a shop that runs: what visitors and operators see, and that neither `up` nor a restart ends it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.stack import STACK, LocalStack

pytestmark = pytest.mark.real

MESSAGE = "Voltamos às <b>15h</b>."
WORKERS = "docker top edge-nginx-1 -eo pid,comm | grep nginx"
PAGES = ("/web/dashboard", "/auth/login", "/tenant.json", "/")


@pytest.fixture
def maintained(stack: LocalStack) -> Iterator[LocalStack]:
    """A stack under maintenance."""
    stack.basec("maintenance", "on", "--message", MESSAGE, "--env", STACK)
    yield stack
    stack.basec("maintenance", "off", "--env", STACK)
    assert stack.get("/web/dashboard").status == 302
    assert stack.plain("/web/dashboard").status == 301


def test_visitors_get_the_page_and_monitors_go_on(maintained: LocalStack) -> None:
    for answer in map(maintained.get, PAGES):
        assert answer.status == 503
        assert answer.all("retry-after") == ["300"]
        assert answer.all("cache-control") == ["no-store"]
        assert "Voltamos às &lt;b&gt;15h&lt;/b&gt;." in answer.body
    api = maintained.request("POST", "/api/v1/produtos/", body="{}")
    assert (api.status, api.json()) == (503, {"error": "Under maintenance"})
    assert maintained.get("/health").status == 200


def test_operators_see_since_when_and_by_whom(maintained: LocalStack) -> None:
    report = json.loads(maintained.basec("status", "--env", STACK, "--json"))
    assert report["verdict"] == "well"
    (found,) = (host["maintenance"] for host in report["hosts"] if host["maintenance"])
    assert found["message"] == MESSAGE
    line = f"on since {found['since']} by {found['by']}: {MESSAGE}"
    assert f"maintenance  {line}\n" in maintained.basec("status", "--env", STACK)
    assert maintained.basec("maintenance", "--env", STACK) == f"maintenance  {line}\n"
    smoke = maintained.basec("smoke", "--env", STACK, expect=1)
    assert "maintenance is on since" in smoke
    assert f"hint: basec maintenance off --env {STACK}" in smoke
    maintained.basec("exec", "edge", "nginx", "--env", STACK, "--", "true")


def test_neither_an_up_nor_a_restart_of_nginx_ends_it(maintained: LocalStack) -> None:
    output = maintained.up(expect=1)
    assert "up, but maintenance is on" in output
    assert f"hint: basec maintenance off --env {STACK}" in output
    maintained.basec("compose", "restart", "edge", "nginx", "--env", STACK)
    assert maintained.get("/web/dashboard").status == 503


def test_it_needs_neither_a_release_nor_a_reload(stack: LocalStack) -> None:
    before = stack.container_ids()
    workers = stack.inside("edge", WORKERS)
    stack.basec("maintenance", "on", "--env", STACK)
    assert stack.get("/web/dashboard").status == 503
    stack.basec("maintenance", "off", "--env", STACK)
    assert stack.get("/web/dashboard").status == 302
    assert stack.container_ids() == before
    assert stack.inside("edge", WORKERS) == workers
