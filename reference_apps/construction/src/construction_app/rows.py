"""Rows of a tenant: found by id, written with the errors that a client can mend."""

from collections.abc import Mapping
from typing import TypeVar
from uuid import UUID

from fastapi import HTTPException
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from construction_app.database import TenantRow

Row = TypeVar("Row", bound=TenantRow)

# Held to the end of the transaction: two requests at once would both take the number after the last one.
ONE_NUMBER_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))")
NEXT_NUMBER = (
    "SELECT coalesce(max(substring(numero FROM '[0-9]+$')::int), 0) + 1 FROM {table} WHERE tenant_id = :tenant_id"
)


def find(database: Session, table: type[Row], tenant_id: UUID, row_id: UUID, unknown: str) -> Row:
    """Return the tenant's row, else answer 404 with `unknown`; another tenant's row is as unknown as none."""
    row = database.scalar(select(table).where(table.id == row_id, table.tenant_id == tenant_id))
    if row is None:
        raise HTTPException(404, unknown)
    return row


def find_to_change(database: Session, table: type[Row], tenant_id: UUID, row_id: UUID, unknown: str) -> Row:
    """As `find`, and hold the row until the transaction ends: two changes of its state happen one after the other."""
    query = select(table).where(table.id == row_id, table.tenant_id == tenant_id).with_for_update()
    row = database.scalar(query)
    if row is None:
        raise HTTPException(404, unknown)
    return row


def commit(database: Session, refusals: Mapping[str, str]) -> None:
    """Commit; a violated constraint, by a part of its name, becomes a 400 with the text given for it."""
    try:
        database.commit()
    except IntegrityError as error:
        for constraint, message in refusals.items():
            if constraint in str(error.orig):
                raise HTTPException(400, message) from None
        raise


def next_number(database: Session, table: type[TenantRow], tenant_id: UUID, prefix: str) -> str:
    """Give the tenant's next number, such as `COT-001`; it is taken when the transaction commits."""
    name = table.__tablename__
    database.execute(ONE_NUMBER_AT_A_TIME, {"key": f"{name}:{tenant_id}"})
    query = text(NEXT_NUMBER.format(table=name))
    return f"{prefix}-{database.execute(query, {'tenant_id': tenant_id}).scalar_one():03d}"
