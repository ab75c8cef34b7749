"""A tenant with one admin, and the tokens of that admin, genuine or forged."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import jwt

SECRET_KEY = "a-key-for-tests-of-at-least-32-bytes"


@dataclass(frozen=True, kw_only=True)
class Shop:
    """What a local stack's demo tenant is: a tenant and its admin."""

    id: uuid.UUID
    slug: str
    nome: str
    email: str
    password: str
    user_id: uuid.UUID

    @property
    def header(self) -> dict[str, str]:
        return {"X-Tenant-Slug": self.slug}

    def token(self, *, key: str = SECRET_KEY, algorithm: str | None = "HS256", **changes: object) -> str:
        """Return a token as auth issues it, with claims changed, or left out by None."""
        claims: dict[str, object] = {
            "sub": str(self.user_id),
            "tenant_id": str(self.id),
            "email": self.email,
            "role": "admin",
            "exp": int((datetime.now(UTC) + timedelta(hours=1)).timestamp()),
            **changes,
        }
        return jwt.encode({name: value for name, value in claims.items() if value is not None}, key, algorithm)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
