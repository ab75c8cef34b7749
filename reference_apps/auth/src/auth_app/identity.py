"""Dependencies of the routes: the settings, the tenant of the request and the user of the token."""

import re
from typing import Annotated

from fastapi import Depends, Header, HTTPException, Request
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import select

from auth_app.database import Database, Tenant, User
from auth_app.security import NO_USER_HASH, password_matches, read_token
from auth_app.settings import Settings

COOKIE_NAME = "access_token"
# One label of a host name in lower case (RFC 1123), which is also what fits tenants.slug.
SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


CurrentSettings = Annotated[Settings, Depends(_settings)]

# The edge writes this header on every request, and empties it when the host names no tenant.
# It is believed here as it comes: keeping a client's own value out is the edge's task.
TenantSlug = Annotated[str, Header(alias="X-Tenant-Slug")]


def find_tenant(database: Database, slug: str) -> Tenant | None:
    """Return the active tenant of that slug; an inactive one is as good as none."""
    if not SLUG.fullmatch(slug):
        return None
    return database.scalar(select(Tenant).where(Tenant.slug == slug, Tenant.ativo))


def _current_tenant(database: Database, slug: TenantSlug = "") -> Tenant | None:
    return find_tenant(database, slug)


CurrentTenant = Annotated[Tenant | None, Depends(_current_tenant)]


def authenticate(database: Database, tenant: Tenant, email: str, password: str) -> User | None:
    """Return the tenant's active user with that e-mail address and password."""
    user = None
    if "\0" not in email:  # PostgreSQL has no such text and would refuse the query
        # E-mail addresses are not unique in the table; the oldest row of a tenant wins.
        same_email = select(User).where(User.tenant_id == tenant.id, User.email == email, User.ativo)
        user = database.scalar(same_email.order_by(User.created_at, User.id).limit(1))
    matches = password_matches(password, user.password_hash if user else NO_USER_HASH)
    return user if matches else None


_bearer = HTTPBearer(auto_error=False, description="Token of POST /login")
_cookie = APIKeyCookie(name=COOKIE_NAME, auto_error=False, description="Token of POST /login/form")


def _token_user(
    database: Database,
    settings: CurrentSettings,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    cookie: Annotated[str | None, Depends(_cookie)],
) -> User | None:
    claims = read_token(bearer.credentials if bearer else cookie or "", settings)
    if claims is None:
        return None
    return database.scalar(select(User).where(User.id == claims.sub, User.tenant_id == claims.tenant_id, User.ativo))


# The user of the Bearer token, else of the cookie; None without a genuine token of an active user.
OptionalUser = Annotated[User | None, Depends(_token_user)]


def _required_user(user: OptionalUser) -> User:
    if user is None:
        raise HTTPException(401, "Invalid or expired token", {"WWW-Authenticate": "Bearer"})
    return user


CurrentUser = Annotated[User, Depends(_required_user)]
