"""The tenant named in the title of a web page: by header or host, and for nothing but the title."""

import re
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import select

from construction_app.database import Database, Tenant

NO_TENANT = "BaseCommerce"
# One label of a host name in lower case (RFC 1123), which is also what fits tenants.slug.
SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def slug_of(header: str | None, host: str) -> str:
    """Return the header's slug, else the first label of `a.b.c` or `a.localhost`, else an empty text."""
    if header:
        return header
    labels = host.lower().split(":")[0].split(".")
    named = len(labels) >= 3 or (len(labels) == 2 and labels[1] == "localhost")
    return labels[0] if named else ""


def _tenant_name(request: Request, database: Database) -> str:
    slug = slug_of(request.headers.get("X-Tenant-Slug"), request.headers.get("Host", ""))
    if not SLUG.fullmatch(slug):
        return NO_TENANT
    return database.scalar(select(Tenant.nome).where(Tenant.slug == slug, Tenant.ativo)) or NO_TENANT


TenantName = Annotated[str, Depends(_tenant_name)]
