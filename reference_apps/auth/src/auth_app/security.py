"""Passwords (bcrypt) and tokens (JWT)."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import bcrypt
import jwt
from pydantic import BaseModel, ValidationError

from auth_app.settings import Settings

BCRYPT_COST = 12
# bcrypt uses no more than this; the library cuts or refuses the rest, depending on its version.
PASSWORD_MAX_BYTES = 72
# Compared when there is no such user, so that the answer takes as long as for a wrong password.
# A cost-12 hash of a random text that was thrown away.
NO_USER_HASH = "$2b$12$nZAPxW/poz7Cve7vay75TuUBOOHuklUKCoFlKxDUNHgW5baq2ioVi"


class Claims(BaseModel):
    """What a token says. There is no `iat`, `iss`, `aud` or `jti`."""

    sub: UUID
    tenant_id: UUID
    email: str
    role: str


def hash_password(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=BCRYPT_COST)).decode()


def password_matches(password: str, password_hash: str) -> bool:
    encoded = password.encode()
    if len(encoded) > PASSWORD_MAX_BYTES:
        return False
    try:
        return bcrypt.checkpw(encoded, password_hash.encode())
    except ValueError:
        # The row holds something that is no bcrypt hash: nobody can log in with it.
        return False


def issue_token(claims: Claims, settings: Settings) -> str:
    # Whole seconds: other readers of the token expect `exp` to be an integer.
    expires = datetime.now(UTC) + timedelta(minutes=settings.access_token_expire_minutes)
    payload = {**claims.model_dump(mode="json"), "exp": int(expires.timestamp())}
    return jwt.encode(payload, settings.secret_key.get_secret_value(), algorithm=settings.algorithm)


def read_token(token: str, settings: Settings) -> Claims | None:
    """Return the claims of a genuine token that has not expired, else None."""
    key = settings.secret_key.get_secret_value()
    try:
        payload = jwt.decode(token, key, algorithms=[settings.algorithm], options={"require": ["exp"]})
        return Claims.model_validate(payload)
    except (jwt.PyJWTError, ValidationError):
        return None
