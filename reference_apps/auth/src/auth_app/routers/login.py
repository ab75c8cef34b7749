"""Logging in by JSON (a token in the body) and by form (a token in a cookie), and logging out."""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.templating import Jinja2Templates
from pydantic import BaseModel, EmailStr
from reference_common.pages import message_page

from auth_app.database import Database, User
from auth_app.identity import (
    COOKIE_NAME,
    CurrentSettings,
    CurrentTenant,
    OptionalUser,
    TenantSlug,
    authenticate,
    find_tenant,
)
from auth_app.security import Claims, issue_token
from auth_app.settings import Settings

router = APIRouter(tags=["login"])
templates = Jinja2Templates(Path(__file__).parent.parent / "templates")

# Paths as the browser knows them: the edge serves this application under /auth/.
LOGIN_PATH = "/auth/login"
HOME_PATH = "/web/dashboard"


class Credentials(BaseModel):
    email: EmailStr
    password: str
    tenant_slug: str | None = None


class Token(BaseModel):
    access_token: str
    token_type: str = "bearer"  # noqa: S105 - the token's type, not a token


def _token(user: User, settings: Settings) -> str:
    return issue_token(Claims(sub=user.id, tenant_id=user.tenant_id, email=user.email, role=user.role), settings)


def _no_shop(request: Request, status: int) -> HTMLResponse:
    """Say so instead of showing a form with which nobody can log in. Who is a tenant is public: `/tenant.json`."""
    return message_page(request, status, "Loja não encontrada", "Não há loja neste endereço. Confira o endereço.")


@router.post("/login")
def login(credentials: Credentials, database: Database, settings: CurrentSettings, slug: TenantSlug = "") -> Token:
    """Exchange e-mail and password for a token; `tenant_slug` in the body wins over the header."""
    wanted = credentials.tenant_slug or slug
    if not wanted:
        raise HTTPException(400, "Tenant not specified")
    tenant = find_tenant(database, wanted)
    if tenant is None:
        raise HTTPException(404, "Tenant not found or inactive")
    user = authenticate(database, tenant, credentials.email, credentials.password)
    if user is None:
        raise HTTPException(401, "Invalid email or password", {"WWW-Authenticate": "Bearer"})
    return Token(access_token=_token(user, settings))


@router.get("/login", response_class=HTMLResponse)
def login_page(request: Request, tenant: CurrentTenant, user: OptionalUser) -> Response:
    if user is not None:
        return RedirectResponse(HOME_PATH, 302)
    if tenant is None:
        return _no_shop(request, 404)
    return templates.TemplateResponse(request, "login.html", {"name": tenant.nome})


@router.post("/login/form", response_class=HTMLResponse)
def login_form(
    *,
    request: Request,
    database: Database,
    settings: CurrentSettings,
    tenant: CurrentTenant,
    # A field left out is a wrong one: a browser gets the page again, not a JSON 422.
    email: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
) -> Response:
    if tenant is None:
        return _no_shop(request, 401)
    user = authenticate(database, tenant, email.strip(), password)
    if user is None:
        context = {"name": tenant.nome, "email": email, "error": "E-mail ou senha inválidos"}
        return templates.TemplateResponse(request, "login.html", context, status_code=401)
    response = RedirectResponse(HOME_PATH, 302)
    response.set_cookie(
        COOKIE_NAME,
        _token(user, settings),
        max_age=settings.access_token_expire_minutes * 60,
        path="/",
        # No domain: the cookie belongs to this tenant's host alone.
        secure=settings.environment == "production",
        httponly=True,
        samesite="lax",
    )
    return response


@router.get("/logout")
def logout(settings: CurrentSettings) -> RedirectResponse:
    response = RedirectResponse(LOGIN_PATH, 302)
    secure = settings.environment == "production"
    response.delete_cookie(COOKIE_NAME, path="/", secure=secure, httponly=True, samesite="lax")
    return response
