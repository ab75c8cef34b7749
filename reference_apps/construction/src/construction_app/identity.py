"""Who asks: the claims of the token, which alone decide whose data a request sees.

A token is trusted until it expires; whether its user is still active is asked by auth only.
"""

from typing import Annotated
from uuid import UUID

import jwt
from fastapi import Depends, HTTPException, Request
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ValidationError

from construction_app.settings import Settings

COOKIE_NAME = "access_token"
# Path as the browser knows it: the edge serves auth under /auth/.
LOGIN_PATH = "/auth/login"


class Claims(BaseModel):
    """What a token says, as auth writes it."""

    sub: UUID
    tenant_id: UUID
    email: str
    role: str


class LoginRequired(Exception):  # noqa: N818 - not an error: the browser is sent to the login page
    """A web page was asked for without a genuine token."""


def _read_token(request: Request, token: str) -> Claims | None:
    """Return the claims of a genuine token that has not expired, else None."""
    settings: Settings = request.app.state.settings
    key = settings.secret_key.get_secret_value()
    try:
        payload = jwt.decode(token, key, algorithms=[settings.algorithm], options={"require": ["exp"]})
        return Claims.model_validate(payload)
    except (jwt.PyJWTError, ValidationError):
        return None


_bearer = HTTPBearer(auto_error=False, description="Token of auth's POST /login")
_cookie = APIKeyCookie(name=COOKIE_NAME, auto_error=False, description="Cookie of auth's POST /login/form")


def _api_claims(request: Request, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> Claims:
    if bearer is None:
        # 403 as the contract has it, and said here because FastAPI's own answer differs by version.
        raise HTTPException(403, "Not authenticated")
    claims = _read_token(request, bearer.credentials)
    if claims is None:
        raise HTTPException(401, "Token inválido ou expirado", {"WWW-Authenticate": "Bearer"})
    return claims


def _web_claims(request: Request, cookie: Annotated[str | None, Depends(_cookie)]) -> Claims:
    claims = _read_token(request, cookie or "")
    if claims is None:
        raise LoginRequired
    return claims


# The API takes the Bearer token only: a cookie would let other sites' pages act for the user.
ApiClaims = Annotated[Claims, Depends(_api_claims)]
WebClaims = Annotated[Claims, Depends(_web_claims)]
