"""Pages of what the engines found out, newest first. Their tables are read as they are: the engines own them."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import MetaData, RowMapping, Table, exists, select, text
from sqlalchemy.orm import Session

MAX_LIMIT = 200
TABLES = {
    "stock_alerts": "engine_stock_alerts",
    "replenishment": "engine_replenishment_suggestions",
    "sales_suggestions": "engine_sales_suggestions",
    "price_alerts": "engine_supplier_price_alerts",
}

OPEN_ALERTS = text("""
SELECT produtos.nome, alert.risk_level, alert.explanation
FROM engine_stock_alerts alert JOIN produtos ON produtos.id = alert.product_id AND produtos.tenant_id = alert.tenant_id
WHERE alert.tenant_id = :tenant_id AND alert.status = 'active'
ORDER BY alert.updated_at DESC, produtos.nome LIMIT :limit
""")
SHOWN_ALERTS = 5

Shown = dict[str, object]


def open_alerts(database: Session, tenant_id: UUID) -> Sequence[RowMapping]:
    """Give the newest open stock alerts with their products' names, for the dashboard."""
    return database.execute(OPEN_ALERTS, {"tenant_id": tenant_id, "limit": SHOWN_ALERTS}).mappings().all()


def table_of(database: Session, subject: str) -> Table:
    """Give a table with the columns that it has now."""
    return Table(TABLES[subject], MetaData(), autoload_with=database.connection())


def shown(row: dict[str, object]) -> Shown:
    """Decimals are JSON strings, so that no reader rounds an amount."""
    return {name: str(value) if isinstance(value, Decimal) else value for name, value in row.items()}


def page_of(
    database: Session, table: Table, tenant_id: UUID, *, status: str | None, limit: int, cursor: datetime | None
) -> tuple[list[Shown], datetime | None]:
    """Give one page and the cursor of the next one, None at the end.

    Results of one event have one time, and the cursor is a time: so a page keeps rows of the same time together,
    and may be longer than `limit` for it.
    """
    own = [table.c.tenant_id == tenant_id]
    if status:
        own.append(table.c.status == status)
    wanted = [*own, table.c.created_at < cursor] if cursor else own
    query = select(table).where(*wanted).order_by(table.c.created_at.desc()).fetch(limit, with_ties=True)
    rows = [shown(dict(row)) for row in database.execute(query).mappings()]
    if not rows:
        return [], None
    last = rows[-1]["created_at"]
    assert isinstance(last, datetime)  # noqa: S101 - the column's type
    more = database.scalar(select(exists().where(*own, table.c.created_at < last)))
    return rows, last if more else None
