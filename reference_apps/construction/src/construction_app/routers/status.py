"""Whether the service serves, and where its addresses of old went."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import BaseModel

from construction_app.identity import LOGIN_PATH

router = APIRouter(tags=["status"])


class Health(BaseModel):
    status: str = "ok"


@router.get("/", include_in_schema=False)
def home() -> RedirectResponse:
    return RedirectResponse("/web/dashboard", 307)


@router.get("/health")
def health() -> Health:
    """Say that the process serves; the database is not asked."""
    return Health()


@router.post("/api/v1/auth/login", status_code=308, deprecated=True)
def moved_login() -> JSONResponse:
    """Send clients on to auth; 308 keeps method and body."""
    return JSONResponse({"detail": f"Moved to {LOGIN_PATH}"}, 308, {"Location": LOGIN_PATH})
