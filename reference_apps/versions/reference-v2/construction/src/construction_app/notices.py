"""What a shop has to tell the people who work in it."""

from uuid import UUID

from sqlalchemy import column, select, table
from sqlalchemy.orm import Session

AVISOS = table("avisos", column("tenant_id"), column("texto"), column("created_at"))


def newest_notice(database: Session, tenant_id: UUID) -> str | None:
    """Give the text of a tenant's newest notice, if there is any."""
    own = select(AVISOS.c.texto).where(AVISOS.c.tenant_id == tenant_id)
    text: str | None = database.scalar(own.order_by(AVISOS.c.created_at.desc()).limit(1))
    return text
