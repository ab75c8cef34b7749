"""The auth application over HTTP, on a real database."""

import json
import re
import uuid
from base64 import urlsafe_b64decode
from collections.abc import Callable
from datetime import UTC, datetime
from html import unescape
from typing import Any

import pytest
from auth_app.app import create_app
from auth_app.security import BCRYPT_COST, hash_password, password_matches
from auth_app.settings import Settings
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from tests.services.reference_apps.shop import Shop, bearer

NO_TENANT: dict[str, Any] = {
    "slug": "",
    "name": "BaseCommerce",
    "logo_url": None,
    "primary_color": "#1a73e8",
    "secondary_color": "#ea4335",
    "features": {},
}
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def log_in(auth: TestClient, shop: Shop, **changes: str | None) -> Any:
    credentials = {"email": shop.email, "password": shop.password, "tenant_slug": shop.slug, **changes}
    return auth.post("/login", json={key: value for key, value in credentials.items() if value is not None})


def test_about_and_health_need_no_database() -> None:
    settings = Settings.model_validate({"database_url": "postgresql+psycopg2://x@127.0.0.1:1/x", "secret_key": "k"})
    with TestClient(create_app(settings)) as client:
        assert client.get("/").json() == {"message": "Auth Service", "version": "1.0.0"}
        assert client.get("/health").json() == {"status": "ok", "service": "auth"}


@pytest.mark.parametrize("slug", [None, "", "nobody", "no.label", "SHOUTING", "a'b", "x" * 64])
def test_unknown_tenant_has_slug_empty_and_default_look(auth: TestClient, slug: str | None) -> None:
    response = auth.get("/tenant.json", headers={} if slug is None else {"X-Tenant-Slug": slug})
    assert (response.status_code, response.json()) == (200, NO_TENANT)


def test_host_names_no_tenant_because_only_the_edge_s_header_does(auth: TestClient, shop: Shop) -> None:
    assert auth.get("/tenant.json", headers={"Host": f"{shop.slug}.localhost"}).json() == NO_TENANT


def test_tenant_json_tells_the_tenant_and_its_branding(auth: TestClient, shop: Shop, database: Engine) -> None:
    assert auth.get("/tenant.json", headers=shop.header).json() == {**NO_TENANT, "slug": shop.slug, "name": shop.nome}
    branding = {
        "logo_url": "https://example.com/logo.png",
        "primary_color": "#000000",
        "secondary_color": "#ffffff",
        "features": {"insights": True},
    }
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO tenant_branding (tenant_id, logo_url, primary_color, secondary_color, feature_flags)"
                " VALUES (:id, :logo_url, :primary_color, :secondary_color, :features)"
            ),
            {**branding, "id": shop.id, "features": json.dumps(branding["features"])},
        )
    expected = {"slug": shop.slug, "name": shop.nome, **branding}
    assert auth.get("/tenant.json", headers=shop.header).json() == expected


def test_inactive_tenant_is_no_tenant(auth: TestClient, shop: Shop, database: Engine) -> None:
    with database.begin() as connection:
        connection.execute(text("UPDATE tenants SET ativo = false WHERE id = :id"), {"id": shop.id})
    assert auth.get("/tenant.json", headers=shop.header).json() == NO_TENANT
    assert log_in(auth, shop).status_code == 404


def test_login_gives_a_token_with_exactly_the_agreed_claims(auth: TestClient, shop: Shop) -> None:
    before = datetime.now(UTC).timestamp()
    response = log_in(auth, shop)
    assert response.status_code == 200
    assert response.json() == {"access_token": response.json()["access_token"], "token_type": "bearer"}
    header, claims = (
        json.loads(urlsafe_b64decode(part + "==")) for part in response.json()["access_token"].split(".")[:2]
    )
    assert header == {"alg": "HS256", "typ": "JWT"}
    expires = claims.pop("exp")
    assert isinstance(expires, int)
    assert 1440 * 60 - 1 <= expires - before <= 1440 * 60 + 30
    assert claims == {
        "sub": str(shop.user_id),
        "tenant_id": str(shop.id),
        "email": shop.email,
        "role": "admin",
    }


def test_login_takes_the_tenant_of_the_header_and_the_body_wins(
    auth: TestClient, shop: Shop, new_shop: Callable[[], Shop]
) -> None:
    other = new_shop()
    credentials = {"email": shop.email, "password": shop.password}
    assert auth.post("/login", json=credentials, headers=shop.header).status_code == 200
    assert auth.post("/login", json=credentials, headers=other.header).status_code == 401
    assert auth.post("/login", json={**credentials, "tenant_slug": shop.slug}, headers=other.header).status_code == 200


def test_login_without_a_tenant_is_400(auth: TestClient, shop: Shop) -> None:
    assert log_in(auth, shop, tenant_slug=None).status_code == 400
    assert log_in(auth, shop, tenant_slug="").status_code == 400


def test_login_to_an_unknown_tenant_is_404(auth: TestClient, shop: Shop) -> None:
    response = log_in(auth, shop, tenant_slug="nobody")
    assert (response.status_code, response.json()) == (404, {"detail": "Tenant not found or inactive"})


@pytest.mark.parametrize(
    "change",
    [{"password": "wrong"}, {"password": ""}, {"password": "x" * 73}, {"email": "nobody@example.com"}],
    ids=["wrong password", "empty password", "password longer than bcrypt's 72 bytes", "unknown user"],
)
def test_login_with_wrong_credentials_is_401(auth: TestClient, shop: Shop, change: dict[str, str | None]) -> None:
    response = log_in(auth, shop, **change)
    assert (response.status_code, response.json()) == (401, {"detail": "Invalid email or password"})
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("email", ["not an address", "demo@shop.test", "demo@shop.local", "demo@localhost"])
def test_login_with_a_malformed_or_reserved_address_is_422(auth: TestClient, shop: Shop, email: str) -> None:
    assert log_in(auth, shop, email=email).status_code == 422


def test_login_by_form_sets_the_cookie_with_exactly_these_flags(auth: TestClient, shop: Shop) -> None:
    form = {"email": shop.email, "password": shop.password}
    response = auth.post("/login/form", data=form, headers=shop.header)
    assert (response.status_code, response.headers["Location"]) == (302, "/web/dashboard")
    (cookie,) = response.headers.get_list("Set-Cookie")
    value, *flags = cookie.split("; ")
    assert value.startswith("access_token=ey")
    assert sorted(flags) == ["HttpOnly", "Max-Age=86400", "Path=/", "SameSite=lax"]


def test_cookie_is_secure_in_production_only(auth_settings: Settings, shop: Shop) -> None:
    production = auth_settings.model_copy(update={"environment": "production", "access_token_expire_minutes": 5})
    form = {"email": shop.email, "password": shop.password}
    with TestClient(create_app(production), follow_redirects=False) as client:
        cookie = client.post("/login/form", data=form, headers=shop.header).headers["Set-Cookie"]
    assert sorted(cookie.split("; ")[1:]) == ["HttpOnly", "Max-Age=300", "Path=/", "SameSite=lax", "Secure"]


@pytest.mark.parametrize(
    "form",
    [{"password": "wrong"}, {"email": "a\0b@example.com"}],
    ids=["wrong password", "address that PostgreSQL cannot hold"],
)
def test_refused_form_is_the_page_again_with_401(auth: TestClient, shop: Shop, form: dict[str, str]) -> None:
    data = {"email": shop.email, "password": shop.password, **form}
    response = auth.post("/login/form", data=data, headers=shop.header)
    assert response.status_code == 401
    assert response.headers["Content-Type"].startswith("text/html")
    assert 'action="/auth/login/form"' in response.text
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("email", ["ana@example.com", 'a"><script>b</script>@example.com'])
def test_refused_form_keeps_the_address_and_not_the_password(auth: TestClient, shop: Shop, email: str) -> None:
    page = auth.post("/login/form", data={"email": email, "password": "mistyped"}, headers=shop.header).text
    fields = re.findall(r"<input [^>]*>", page)
    assert f'value="{email}"' in unescape(fields[0])
    assert "autofocus" not in fields[0]
    assert "autofocus" in fields[1]
    assert "mistyped" not in page
    assert "<script" not in page


@pytest.mark.parametrize("slug", ["nobody", "", "a'b"], ids=["unknown", "none", "no label"])
def test_without_a_tenant_there_is_no_form_but_the_page_that_says_so(auth: TestClient, shop: Shop, slug: str) -> None:
    header = {"X-Tenant-Slug": slug}
    data = {"email": shop.email, "password": shop.password}
    for status, response in (
        (404, auth.get("/login", headers=header)),
        (401, auth.post("/login/form", data=data, headers=header)),
    ):
        assert response.status_code == status
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "<h1>Loja não encontrada</h1>" in response.text
        assert "<form" not in response.text
        assert "Set-Cookie" not in response.headers


def test_an_inactive_tenant_s_login_page_is_that_of_an_unknown_one(
    auth: TestClient, shop: Shop, database: Engine
) -> None:
    with database.begin() as connection:
        connection.execute(text("UPDATE tenants SET ativo = false WHERE id = :id"), {"id": shop.id})
    unknown = auth.get("/login", headers={"X-Tenant-Slug": "nobody"})
    inactive = auth.get("/login", headers=shop.header)
    assert (inactive.status_code, inactive.text) == (404, unknown.text)


@pytest.mark.parametrize(("path", "status"), [("/nothing", 404), ("/login/form", 405)])
def test_a_browser_where_no_page_is_gets_a_page_and_others_get_json(auth: TestClient, path: str, status: int) -> None:
    page = auth.get(path, headers={"Accept": BROWSER})
    assert (page.status_code, page.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert "<h1>Página não encontrada</h1>" in page.text
    assert 'href="/"' in page.text
    for accept in ("*/*", "application/json"):
        answer = auth.get(path, headers={"Accept": accept})
        assert (answer.status_code, list(answer.json())) == (status, ["detail"])
        assert answer.headers.get("Allow") == page.headers.get("Allow")


def test_login_by_json_to_an_unknown_tenant_is_json_for_browsers_too(auth: TestClient, shop: Shop) -> None:
    credentials = {"email": shop.email, "password": shop.password, "tenant_slug": "nobody"}
    response = auth.post("/login", json=credentials, headers={"Accept": BROWSER})
    assert (response.status_code, response.json()) == (404, {"detail": "Tenant not found or inactive"})


def test_form_without_fields_is_refused_as_a_page(auth: TestClient, shop: Shop) -> None:
    response = auth.post("/login/form", headers=shop.header)
    assert (response.status_code, response.headers["Content-Type"]) == (401, "text/html; charset=utf-8")


def test_login_page_names_the_tenant_and_posts_to_the_edge_s_path(auth: TestClient, shop: Shop) -> None:
    response = auth.get("/login", headers=shop.header)
    assert response.status_code == 200
    assert shop.nome in response.text
    assert re.search(r'<form method="post" action="/auth/login/form">', response.text)


def test_login_page_escapes_the_tenant_s_name(auth: TestClient, shop: Shop, database: Engine) -> None:
    with database.begin() as connection:
        connection.execute(text("UPDATE tenants SET nome = '<b>x</b>' WHERE id = :id"), {"id": shop.id})
    assert "<b>x" not in auth.get("/login", headers=shop.header).text


def test_login_page_sends_the_logged_in_on(auth: TestClient, shop: Shop, token: str) -> None:
    response = auth.get("/login", headers={**shop.header, "Cookie": f"access_token={token}"})
    assert (response.status_code, response.headers["Location"]) == (302, "/web/dashboard")


def test_logout_clears_the_cookie(auth: TestClient) -> None:
    response = auth.get("/logout")
    assert (response.status_code, response.headers["Location"]) == (302, "/auth/login")
    assert response.headers["Set-Cookie"].startswith('access_token=""; ')
    assert "Max-Age=0; Path=/" in response.headers["Set-Cookie"]


def test_me_and_validate_know_the_user_by_bearer_and_by_cookie(auth: TestClient, shop: Shop, token: str) -> None:
    ids = {"tenant_id": str(shop.id), "email": shop.email, "role": "admin"}
    for headers in (bearer(token), {"Cookie": f"access_token={token}"}):
        me = auth.get("/me", headers=headers)
        assert (me.status_code, me.json()) == (200, {**ids, "id": str(shop.user_id), "nome": "Admin", "ativo": True})
        validate = auth.get("/validate", headers=headers)
        assert (validate.status_code, validate.json()) == (200, {**ids, "valid": True, "user_id": str(shop.user_id)})


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "another key of at least 32 bytes."},
        {"exp": 1_000_000_000},
        {"exp": None},
        {"sub": "not an id"},
        {"sub": str(uuid.uuid4())},
        {"tenant_id": str(uuid.uuid4())},
        {"key": "", "algorithm": None},
    ],
    ids=["other key", "expired", "no expiry", "malformed", "unknown user", "other tenant", "algorithm none"],
)
def test_token_that_auth_did_not_issue_is_refused(auth: TestClient, shop: Shop, changes: dict[str, Any]) -> None:
    assert auth.get("/validate", headers=bearer(shop.token())).status_code == 200
    response = auth.get("/validate", headers=bearer(shop.token(**changes)))
    assert (response.status_code, response.json()) == (401, {"detail": "Invalid or expired token"})


def test_no_token_is_401(auth: TestClient) -> None:
    for path in ("/me", "/validate"):
        assert auth.get(path).status_code == 401


def test_token_of_a_deactivated_user_is_refused(auth: TestClient, shop: Shop, token: str, database: Engine) -> None:
    with database.begin() as connection:
        connection.execute(text("UPDATE users SET ativo = false WHERE id = :id"), {"id": shop.user_id})
    assert auth.get("/me", headers=bearer(token)).status_code == 401
    assert log_in(auth, shop).status_code == 401


def test_admin_creates_a_user_who_can_log_in(auth: TestClient, shop: Shop, token: str) -> None:
    new = {"nome": "Ana", "email": "ana@example.com"}
    response = auth.post("/users", json=new, headers=bearer(token))
    assert response.status_code == 201
    created = response.json()
    assert created["role"] == "vendedor"
    assert len(created["password"]) == 12
    ana = log_in(auth, shop, email="ana@example.com", password=created["password"])
    assert ana.status_code == 200
    assert auth.post("/users", json=new, headers=bearer(token)).status_code == 409
    assert auth.post("/users", json=new, headers=bearer(ana.json()["access_token"])).status_code == 403


def test_chosen_password_is_not_shown_again(auth: TestClient, token: str) -> None:
    new = {"nome": "Rui", "email": "rui@example.com", "password": "chosen", "role": "admin"}
    assert auth.post("/users", json=new, headers=bearer(token)).json()["password"] is None


def test_users_are_refused_without_token_and_with_an_unknown_role(auth: TestClient, token: str) -> None:
    new = {"nome": "Eva", "email": "eva@example.com", "role": "owner"}
    assert auth.post("/users", json=new).status_code == 401
    assert auth.post("/users", json=new, headers=bearer(token)).status_code == 400


def test_passwords_are_hashed_with_bcrypt_at_cost_12() -> None:
    password_hash = hash_password("secret")
    assert BCRYPT_COST == 12
    assert password_hash.startswith("$2b$12$")
    assert password_matches("secret", password_hash)
    assert not password_matches("secret", "not a hash")


def test_docs_are_served(auth: TestClient) -> None:
    assert auth.get("/docs").status_code == 200
