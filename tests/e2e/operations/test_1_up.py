"""From nothing to a logged-in tenant."""

from __future__ import annotations

import urllib.parse

import pytest

from tests.e2e.arguments import watched
from tests.e2e.stack import HTTPS_PORT, STACK, TIERS, LocalStack, demo_login

pytestmark = pytest.mark.real

SECURITY_HEADERS = {
    "x-frame-options": "SAMEORIGIN",
    "x-content-type-options": "nosniff",
    "x-xss-protection": "1; mode=block",
    "referrer-policy": "strict-origin-when-cross-origin",
}

EVERY_KIND_OF_PATH = (
    *("/health", "/", "/tenant.json", "/auth/login", "/auth/nothing", "/web/dashboard", "/web/login"),
    *("/web/static/app.css", "/api/v1/produtos/", "/docs", "/nothing-here", "/nginx-status"),
)


@pytest.fixture(scope="module")
def cookie(stack: LocalStack) -> str:
    return stack.cookie()


def test_up_from_nothing_prints_stages_smoke_demo_user_and_url(stack: LocalStack) -> None:
    with watched() as watch:
        stack.init()
        output = stack.up()
    stack.outputs.update({"first up": output, "first up: arguments": watch.arguments.decode("latin-1")})
    assert f"https://demo.localhost:{HTTPS_PORT}" in output
    assert f".local/{STACK}/cloud/ca/public.pem" in output
    demo_login(output)


def test_edge_answers_health(stack: LocalStack) -> None:
    answer = stack.get("/health")
    assert (answer.status, answer.json()) == (200, {"status": "ok", "edge": True, "ssl": True})
    assert answer.all("content-type") == ["application/json"]


def test_login_by_form_opens_the_dashboard_with_the_tenants_name(stack: LocalStack, cookie: str) -> None:
    answer = stack.get("/web/dashboard", Cookie=cookie)
    assert answer.status == 200
    assert stack.get("/tenant.json").json()["name"] in answer.body


def test_a_product_is_created_and_read_through_the_api(stack: LocalStack, cookie: str) -> None:
    token = cookie.removeprefix("access_token=")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = '{"codigo": "E2E-1", "nome": "Cimento 50 kg", "unidade": "SC", "preco_base": "39.90"}'
    made = stack.request("POST", "/api/v1/produtos/", headers=headers, body=body)
    assert made.status == 201, made
    read = stack.request("GET", f"/api/v1/produtos/{made.json()['id']}", headers=headers)
    assert read.status == 200
    assert read.json()["preco_base"] == "39.90"


def test_unknown_tenant_has_an_empty_slug_and_no_login(stack: LocalStack) -> None:
    assert stack.get("/tenant.json", host="no-such-tenant.localhost").json()["slug"] == ""
    page = stack.get("/auth/login", host="no-such-tenant.localhost")
    assert (page.status, "Loja não encontrada" in page.body, "<form" in page.body) == (404, True, False)
    user, password = stack.login()
    form = urllib.parse.urlencode({"email": user, "password": password})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = stack.request("POST", "/auth/login/form", host="no-such-tenant.localhost", headers=headers, body=form)
    assert answer.status == 401
    assert answer.all("set-cookie") == []


def test_api_without_a_tenant_is_refused_by_the_edge(stack: LocalStack) -> None:
    answer = stack.get("/api/v1/produtos/", host="localhost")
    assert (answer.status, answer.json()) == (400, {"error": "Tenant not specified"})
    assert answer.all("content-type") == ["application/json"]


@pytest.mark.parametrize("host", ["demo.localhost", "no-such-tenant.localhost", "localhost"])
@pytest.mark.parametrize("path", ["/tenant.json", "/api/v1/produtos/", "/auth/login", "/web/dashboard", "/health"])
def test_a_forged_tenant_header_changes_no_answer(stack: LocalStack, host: str, path: str) -> None:
    plain = stack.get(path, host=host)
    forged = stack.get(path, host=host, X_Tenant_Slug="demo" if host != "demo.localhost" else "other")
    assert (plain.status, plain.body) == (forged.status, forged.body)


@pytest.mark.parametrize("path", EVERY_KIND_OF_PATH)
@pytest.mark.parametrize("host", ["demo.localhost", "localhost"])
def test_every_security_header_is_there_exactly_once(stack: LocalStack, host: str, path: str) -> None:
    answer = stack.get(path, host=host)
    assert {name: answer.all(name) for name in SECURITY_HEADERS} == {k: [v] for k, v in SECURITY_HEADERS.items()}
    assert answer.all("strict-transport-security") == [], "it would bind every project on localhost to https"


def test_droplets_come_in_order(stack: LocalStack) -> None:
    made = [e["name"] for e in stack.journal() if e["op"] == "create" and e["type"].endswith("Droplet")]
    assert [name.removesuffix("-droplet") for name in made] == ["infra", "vertical", "edge"]


def test_hosts_come_bastion_first_and_tiers_database_first(stack: LocalStack) -> None:
    def first(droplet: str, words: str) -> float:
        """Find in a droplet's own journal when root was first asked for this; seconds since 1970."""
        lines = stack.inside(droplet, "journalctl --output short-unix --identifier sudo --no-pager").splitlines()
        return min(float(line.split()[0]) for line in lines if words in line)

    ready = {droplet: first(droplet, "'LOGIN_USER=") for droplet in TIERS}
    assert min(ready, key=ready.__getitem__) == "edge", "the others are reached through it, in any order"
    activated = {tier: first(tier, f"# activate {tier} ") for tier in TIERS}
    assert sorted(activated, key=activated.__getitem__) == ["infra", "vertical", "edge"]
    assert all(ready[tier] < activated[tier] for tier in TIERS)


def test_every_inner_container_is_healthy_and_bounded(stack: LocalStack) -> None:
    for droplet in TIERS:
        names = stack.inside(droplet, "docker ps -q").split()
        assert names
        form = "{{.State.Health.Status}} {{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}"
        for line in stack.inside(droplet, f"docker inspect --format '{form}' {' '.join(names)}").splitlines():
            health, memory, pids = line.split()
            assert health == "healthy"
            assert int(memory) > 0
            assert int(pids) > 0
