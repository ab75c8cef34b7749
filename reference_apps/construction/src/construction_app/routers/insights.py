"""What the engines found out, for API clients."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from construction_app.database import Database
from construction_app.fields import Short
from construction_app.identity import ApiClaims, Claims
from construction_app.insights import MAX_LIMIT, page_of, shown, table_of

router = APIRouter(prefix="/api/v1/insights", tags=["insights"])


class PageQuery(BaseModel):
    status: Annotated[Short | None, Field(description="Only results in this state, such as `active`")] = None
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = 50
    cursor: Annotated[datetime | None, Field(description="`next_cursor` of the page before")] = None


Page = Annotated[PageQuery, Query()]


def _answer(database: Session, claims: Claims, page: PageQuery, subject: str, key: str) -> dict[str, object]:
    table = table_of(database, subject)
    rows, following = page_of(
        database, table, claims.tenant_id, status=page.status, limit=page.limit, cursor=page.cursor
    )
    return {
        key: rows,
        "count": len(rows),
        "next_cursor": following,
        "has_more": following is not None,
        "filters": {"status": page.status, "limit": page.limit},
    }


@router.get("/stock/alerts")
def stock_alerts(database: Database, claims: ApiClaims, page: Page) -> dict[str, object]:
    return _answer(database, claims, page, "stock_alerts", "alerts")


@router.get("/stock/replenishment")
def replenishment(database: Database, claims: ApiClaims, page: Page) -> dict[str, object]:
    return _answer(database, claims, page, "replenishment", "suggestions")


@router.get("/sales/suggestions")
def sales_suggestions(database: Database, claims: ApiClaims, page: Page) -> dict[str, object]:
    return _answer(database, claims, page, "sales_suggestions", "suggestions")


@router.get("/supplier/price-alerts")
def price_alerts(database: Database, claims: ApiClaims, page: Page) -> dict[str, object]:
    return _answer(database, claims, page, "price_alerts", "alerts")


@router.get("/sales/complementary/{product_id}")
def complementary(product_id: UUID, database: Database, claims: ApiClaims) -> dict[str, object]:
    """What is often bought with a product."""
    table = table_of(database, "sales_suggestions")
    query = select(table).where(
        table.c.tenant_id == claims.tenant_id,
        table.c.source_product_id == product_id,
        table.c.suggestion_type == "complementary",
        table.c.status == "active",
    )
    rows = [shown(dict(row)) for row in database.execute(query.order_by(table.c.created_at.desc())).mappings()]
    return {"source_product_id": product_id, "complementary_products": rows, "count": len(rows)}
