"""The construction application over HTTP, on a real database."""

import re
import uuid
from collections.abc import Callable
from datetime import datetime

import pytest
from construction_app.app import create_app
from construction_app.settings import Settings
from construction_app.title import slug_of
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from tests.services.reference_apps.shop import Shop, bearer

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
CEMENT = {"codigo": "CIM-50", "nome": "Cimento CP II 50 kg", "unidade": "saco", "preco_base": "30.00"}


@pytest.fixture
def api(construction: TestClient, token: str) -> TestClient:
    """Return a client of the API with the token that auth gave."""
    construction.headers.update(bearer(token))
    return construction


def test_home_health_and_docs_need_no_database() -> None:
    settings = Settings.model_validate({"database_url": "postgresql+psycopg2://x@127.0.0.1:1/x", "secret_key": "k"})
    with TestClient(create_app(settings), follow_redirects=False) as client:
        home = client.get("/")
        assert (home.status_code, home.headers["Location"]) == (307, "/web/dashboard")
        assert client.get("/health").json() == {"status": "ok"}
        assert [client.get(path).status_code for path in ("/docs", "/redoc", "/openapi.json")] == [200, 200, 200]


def test_dashboard_shows_the_tenant_s_name_to_the_logged_in(construction: TestClient, shop: Shop, token: str) -> None:
    response = construction.get("/web/dashboard", headers={**shop.header, "Cookie": f"access_token={token}"})
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert f"<title>Painel · {shop.nome}</title>" in response.text


def test_dashboard_sends_others_to_the_login_page(construction: TestClient, shop: Shop) -> None:
    forged = shop.token(key="another key of at least 32 bytes.")
    for headers in ({}, {"Cookie": f"access_token={forged}"}, bearer(shop.token())):
        response = construction.get("/web/dashboard", headers=headers)
        assert (response.status_code, response.headers["Location"]) == (302, "/auth/login")


def test_htmx_is_sent_to_the_login_page_by_its_own_header(construction: TestClient) -> None:
    response = construction.get("/web/dashboard", headers={"HX-Request": "true"})
    assert (response.status_code, response.headers["HX-Redirect"]) == (200, "/auth/login")
    assert "Location" not in response.headers


def test_title_follows_the_host_and_the_data_follow_the_token(
    construction: TestClient, shop: Shop, new_shop: Callable[[], Shop], database: Engine
) -> None:
    other = new_shop()
    add_quote(database, shop, "COT-777")
    cookie = {"Cookie": f"access_token={shop.token()}"}
    response = construction.get("/web/dashboard", headers={**cookie, **other.header})
    assert f"<title>Painel · {other.nome}</title>" in response.text
    assert "COT-777" in response.text


def test_dashboard_of_an_unknown_or_inactive_tenant_has_the_product_s_title(
    construction: TestClient, shop: Shop, database: Engine
) -> None:
    with database.begin() as connection:
        connection.execute(text("UPDATE tenants SET ativo = false WHERE id = :id"), {"id": shop.id})
    cookie = {"Cookie": f"access_token={shop.token()}"}
    for slug in (shop.slug, "nobody", "a'b"):
        response = construction.get("/web/dashboard", headers={**cookie, "X-Tenant-Slug": slug})
        assert "<title>Painel · BaseCommerce</title>" in response.text


@pytest.mark.parametrize(
    ("header", "host", "slug"),
    [
        ("demo", "other.example.com", "demo"),
        ("", "demo.example.com", "demo"),
        (None, "Demo.Example.com:8000", "demo"),
        (None, "demo.localhost", "demo"),
        (None, "example.com", ""),
        (None, "localhost:8000", ""),
        (None, "", ""),
    ],
)
def test_slug_is_the_header_s_else_the_first_label_of_the_host(header: str | None, host: str, slug: str) -> None:
    assert slug_of(header, host) == slug


def test_login_and_logout_are_auth_s(construction: TestClient) -> None:
    for page in ("login", "logout"):
        response = construction.get(f"/web/{page}")
        assert (response.status_code, response.headers["Location"]) == (302, f"/auth/{page}")
    moved = construction.post("/api/v1/auth/login", json={})
    assert (moved.status_code, moved.headers["Location"]) == (308, "/auth/login")
    assert moved.json() == {"detail": "Moved to /auth/login"}


@pytest.mark.parametrize(("file", "kind"), [("app.css", "text/css"), ("app.js", "text/javascript")])
def test_static_file_has_its_type_and_is_revalidated_by_etag(construction: TestClient, file: str, kind: str) -> None:
    response = construction.get(f"/web/static/{file}")
    assert (response.status_code, response.headers["Content-Type"]) == (200, f"{kind}; charset=utf-8")
    assert "Last-Modified" in response.headers
    again = construction.get(f"/web/static/{file}", headers={"If-None-Match": response.headers["ETag"]})
    assert again.status_code == 304


def test_api_without_a_bearer_token_is_403_even_with_the_cookie(construction: TestClient, token: str) -> None:
    for headers in ({}, {"Cookie": f"access_token={token}"}, {"Authorization": "Basic eDp5"}):
        response = construction.get("/api/v1/produtos/", headers=headers)
        assert (response.status_code, response.json()) == (403, {"detail": "Not authenticated"})


def test_api_with_a_bad_token_is_401(construction: TestClient, shop: Shop) -> None:
    bad = ("rubbish", shop.token(key="another key of at least 32 bytes."), shop.token(exp=1_000_000_000))
    for token in bad:
        response = construction.get("/api/v1/dashboard/", headers=bearer(token))
        assert (response.status_code, response.json()) == (401, {"detail": "Token inválido ou expirado"})


def test_product_is_created_and_read_with_decimals_as_text(api: TestClient, shop: Shop) -> None:
    response = api.post("/api/v1/produtos/", json={**CEMENT, "preco_base": 30})
    assert response.status_code == 201
    product = response.json()
    assert product == {
        **CEMENT,
        "id": product["id"],
        "tenant_id": str(shop.id),
        "descricao": None,
        "ativo": True,
        "created_at": product["created_at"],
        "updated_at": product["updated_at"],
    }
    assert uuid.UUID(product["id"])
    assert datetime.fromisoformat(product["created_at"]).tzinfo is not None
    assert api.get(f"/api/v1/produtos/{product['id']}").json() == product


def test_product_is_changed_only_in_the_fields_sent(api: TestClient) -> None:
    product = api.post("/api/v1/produtos/", json=CEMENT).json()
    response = api.put(f"/api/v1/produtos/{product['id']}", json={"preco_base": "31.50", "codigo": None})
    assert response.status_code == 200
    changed = response.json()
    assert changed == {**product, "preco_base": "31.50", "codigo": None, "updated_at": changed["updated_at"]}
    assert changed["updated_at"] > product["updated_at"]


def test_deleted_product_is_only_deactivated(api: TestClient) -> None:
    product = api.post("/api/v1/produtos/", json=CEMENT).json()
    response = api.delete(f"/api/v1/produtos/{product['id']}")
    assert (response.status_code, response.content) == (204, b"")
    assert api.get(f"/api/v1/produtos/{product['id']}").json()["ativo"] is False
    assert api.get("/api/v1/produtos/?ativo=true").json() == []
    assert len(api.get("/api/v1/produtos/?ativo=false").json()) == 1
    assert len(api.get("/api/v1/produtos/").json()) == 1


def test_duplicate_code_is_400_within_a_tenant_only(api: TestClient, new_shop: Callable[[], Shop]) -> None:
    assert api.post("/api/v1/produtos/", json=CEMENT).status_code == 201
    assert api.post("/api/v1/produtos/", json=CEMENT).status_code == 400
    second = api.post("/api/v1/produtos/", json={**CEMENT, "codigo": "B"}).json()
    assert api.put(f"/api/v1/produtos/{second['id']}", json={"codigo": CEMENT["codigo"]}).status_code == 400
    assert api.get(f"/api/v1/produtos/{second['id']}").json()["codigo"] == "B"
    assert api.post("/api/v1/produtos/", json=CEMENT, headers=bearer(new_shop().token())).status_code == 201


def test_product_of_another_tenant_is_unknown(api: TestClient, new_shop: Callable[[], Shop]) -> None:
    path = f"/api/v1/produtos/{api.post('/api/v1/produtos/', json=CEMENT).json()['id']}"
    other = new_shop()
    # The header of the edge means nothing to the API: the token alone decides.
    headers = {**bearer(other.token()), **other.header}
    assert api.get(path, headers=headers).status_code == 404
    assert api.put(path, json={"nome": "x"}, headers=headers).status_code == 404
    assert api.delete(path, headers=headers).status_code == 404
    assert api.get("/api/v1/produtos/", headers=headers).json() == []
    assert api.get(path, headers=other.header).status_code == 200


def test_unknown_product_is_404(api: TestClient) -> None:
    path = f"/api/v1/produtos/{uuid.uuid4()}"
    for response in (api.get(path), api.put(path, json={}), api.delete(path)):
        assert (response.status_code, response.json()) == (404, {"detail": "Produto não encontrado"})


def test_list_pages_and_searches_by_name_and_code(api: TestClient) -> None:
    for name in ("Areia", "Brita 100%", "Cal"):
        api.post("/api/v1/produtos/", json={**CEMENT, "nome": name, "codigo": f"X-{name[0]}"})

    def names(query: str) -> list[str]:
        return [product["nome"] for product in api.get(f"/api/v1/produtos/?{query}").json()]

    assert names("") == ["Areia", "Brita 100%", "Cal"]
    assert names("skip=1&limit=1") == ["Brita 100%"]
    assert names("search=AREI") == ["Areia"]
    assert names("search=x-c") == ["Cal"]
    assert names("search=%25") == ["Brita 100%"]  # a percent sign is no wildcard


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "skip=-1", f"skip={2**63}", "search=%00", "ativo=maybe"])
def test_list_refuses_what_it_cannot_do(api: TestClient, query: str) -> None:
    assert api.get(f"/api/v1/produtos/?{query}").status_code == 422


@pytest.mark.parametrize(
    "change",
    [
        {"nome": ""},
        {"nome": None},
        {"nome": "a\0b"},
        {"preco_base": "-0.01"},
        {"preco_base": "1.001"},
        {"preco_base": "123456789.00"},
        {"preco_base": "NaN"},
        {"codigo": "x" * 51},
    ],
)
def test_product_that_the_table_cannot_hold_is_422(api: TestClient, change: dict[str, str | None]) -> None:
    assert api.post("/api/v1/produtos/", json={**CEMENT, **change}).status_code == 422


def test_path_without_its_slash_is_redirected_to_the_host_asked_for(api: TestClient) -> None:
    response = api.get("/api/v1/produtos", headers={"Host": "demo.localhost"})
    assert (response.status_code, response.headers["Location"]) == (307, "http://demo.localhost/api/v1/produtos/")


@pytest.mark.parametrize("path", ["/nothing", "/web/nothing", "/web/static/nothing.css"])
def test_a_browser_where_no_page_is_gets_a_page(construction: TestClient, path: str) -> None:
    page = construction.get(path, headers={"Accept": BROWSER})
    assert (page.status_code, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "<h1>Página não encontrada</h1>" in page.text
    assert 'href="/"' in page.text


@pytest.mark.parametrize(
    ("path", "accept"), [("/nothing", "*/*"), ("/web/nothing", "application/json"), ("/api/v1/nothing", BROWSER)]
)
def test_clients_and_the_api_get_json_where_nothing_is(construction: TestClient, path: str, accept: str) -> None:
    answer = construction.get(path, headers={"Accept": accept})
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


def test_an_unknown_row_is_json_for_browsers_too(api: TestClient) -> None:
    answer = api.get(f"/api/v1/produtos/{uuid.uuid4()}", headers={"Accept": BROWSER})
    assert (answer.status_code, answer.json()) == (404, {"detail": "Produto não encontrado"})


def test_the_header_of_a_page_wraps_on_a_narrow_screen(construction: TestClient) -> None:
    """Or the link to log out is cut off at 390 px."""
    rules = re.findall(r"^header \{([^}]*)\}", construction.get("/web/static/app.css").text, re.M)
    assert any("flex-wrap: wrap" in rule for rule in rules)


def add_quote(database: Engine, shop: Shop, number: str) -> None:
    with database.begin() as connection:
        connection.execute(
            text(
                "WITH cliente AS (INSERT INTO clientes (tenant_id, tipo, nome, documento)"
                " VALUES (:tenant, 'PF', 'Zé', :number) RETURNING id)"
                " INSERT INTO cotacoes (tenant_id, cliente_id, numero) SELECT :tenant, id, :number FROM cliente"
            ),
            {"tenant": shop.id, "number": number},
        )


def test_dashboard_counts_the_tenant_s_rows_only(
    api: TestClient, shop: Shop, new_shop: Callable[[], Shop], database: Engine
) -> None:
    empty = {"cotacoes_hoje": 0, "pedidos_hoje": 0, "pedidos_semana": 0, "cotacoes_recentes": []}
    assert api.get("/api/v1/dashboard/").json() == empty
    add_quote(database, shop, "COT-001")
    add_quote(database, new_shop(), "COT-002")
    figures = api.get("/api/v1/dashboard/").json()
    assert figures["cotacoes_hoje"] == 1
    assert [(quote["numero"], quote["status"]) for quote in figures["cotacoes_recentes"]] == [("COT-001", "rascunho")]
