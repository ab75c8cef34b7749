"""The figures of the dashboard, for the page and the API alike."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from construction_app.database import Cotacao, Pedido

RECENT_QUOTES = 5


class RecentQuote(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    numero: str
    status: str
    cliente_id: UUID
    created_at: datetime


class Figures(BaseModel):
    """Days and weeks (from Monday) are those of the database's time zone."""

    cotacoes_hoje: int
    pedidos_hoje: int
    pedidos_semana: int
    cotacoes_recentes: list[RecentQuote]


def figures_of(database: Session, tenant_id: UUID) -> Figures:
    def created_since(table: type[Cotacao | Pedido], unit: str) -> int:
        start = func.date_trunc(unit, func.now())
        rows = select(func.count()).select_from(table).where(table.tenant_id == tenant_id, table.created_at >= start)
        return database.scalar(rows) or 0

    recent = select(Cotacao).where(Cotacao.tenant_id == tenant_id).order_by(Cotacao.created_at.desc(), Cotacao.id)
    return Figures(
        cotacoes_hoje=created_since(Cotacao, "day"),
        pedidos_hoje=created_since(Pedido, "day"),
        pedidos_semana=created_since(Pedido, "week"),
        cotacoes_recentes=[RecentQuote.model_validate(row) for row in database.scalars(recent.limit(RECENT_QUOTES))],
    )
