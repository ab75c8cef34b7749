"""The HTML pages, for browsers with the cookie of auth. As in the first version, but for the notice."""

from pathlib import Path

from construction_app.database import Database
from construction_app.figures import figures_of
from construction_app.identity import LOGIN_PATH, WebClaims
from construction_app.insights import open_alerts
from construction_app.notices import newest_notice
from construction_app.title import TenantName
from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.templating import Jinja2Templates

router = APIRouter(prefix="/web", include_in_schema=False)
templates = Jinja2Templates(Path(__file__).parent.parent / "templates")

LOGOUT_PATH = "/auth/logout"


def send_to_login(request: Request, _: Exception) -> Response:
    """Answer a page asked for without a token. htmx follows a 302 within the page, so it gets its own header."""
    if "HX-Request" in request.headers:
        return Response(status_code=200, headers={"HX-Redirect": LOGIN_PATH})
    return RedirectResponse(LOGIN_PATH, 302)


@router.get("/dashboard")
def dashboard(request: Request, database: Database, claims: WebClaims, tenant_name: TenantName) -> HTMLResponse:
    context = {
        "tenant_name": tenant_name,
        "email": claims.email,
        "figures": figures_of(database, claims.tenant_id),
        "alerts": open_alerts(database, claims.tenant_id),
        "notice": newest_notice(database, claims.tenant_id),
    }
    return templates.TemplateResponse(request, "dashboard_with_notice.html", context)


@router.get("/login")
def login() -> RedirectResponse:
    return RedirectResponse(LOGIN_PATH, 302)


@router.get("/logout")
def logout() -> RedirectResponse:
    return RedirectResponse(LOGOUT_PATH, 302)
