"""The tables that construction uses so far. The schema itself is kept by the migrations in alembic/."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from sqlalchemy import create_engine, func, text
from sqlalchemy.engine import Engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

# Seconds to open a connection. libpq waits for ever, and would hold a request as long.
CONNECT_TIMEOUT_S = 5


class Base(DeclarativeBase):
    """Mapped classes name only the columns that are read or written here."""


class Tenant(Base):
    __tablename__ = "tenants"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    nome: Mapped[str]
    slug: Mapped[str]
    ativo: Mapped[bool]


class TenantRow(Base):
    """What the rows of a tenant have in common; every query of them names the tenant of the token."""

    __abstract__ = True

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("gen_random_uuid()"))
    tenant_id: Mapped[UUID]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class Produto(TenantRow):
    __tablename__ = "produtos"

    codigo: Mapped[str | None]
    nome: Mapped[str]
    descricao: Mapped[str | None]
    unidade: Mapped[str]
    preco_base: Mapped[Decimal]
    ativo: Mapped[bool] = mapped_column(server_default=text("true"))


class Cotacao(TenantRow):
    __tablename__ = "cotacoes"

    cliente_id: Mapped[UUID]
    numero: Mapped[str]
    status: Mapped[str]


class Pedido(TenantRow):
    __tablename__ = "pedidos"

    numero: Mapped[str]
    status: Mapped[str]


def open_engine(database_url: str) -> Engine:
    """Make the pool of this process; nothing connects before the first request that needs it."""
    return create_engine(database_url, pool_pre_ping=True, connect_args={"connect_timeout": CONNECT_TIMEOUT_S})


def _session(request: Request) -> Iterator[Session]:
    with Session(request.app.state.engine) as session:
        yield session


Database = Annotated[Session, Depends(_session)]
