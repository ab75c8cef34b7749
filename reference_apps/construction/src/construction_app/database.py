"""The tables that construction uses so far. The schema itself is kept by the migrations in alembic/."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request
from sqlalchemy import DateTime, create_engine, func, text
from sqlalchemy.dialects.postgresql import JSONB
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


class Cliente(TenantRow):
    __tablename__ = "clientes"

    tipo: Mapped[str]
    nome: Mapped[str]
    documento: Mapped[str]
    email: Mapped[str | None]
    telefone: Mapped[str | None]
    endereco: Mapped[str | None]
    cidade: Mapped[str | None]
    estado: Mapped[str | None]
    cep: Mapped[str | None]
    observacoes: Mapped[str | None]


class Obra(TenantRow):
    __tablename__ = "obras"

    cliente_id: Mapped[UUID]
    nome: Mapped[str]
    endereco: Mapped[str | None]
    cidade: Mapped[str | None]
    estado: Mapped[str | None]
    observacoes: Mapped[str | None]
    ativa: Mapped[bool] = mapped_column(server_default=text("true"))


class Cotacao(TenantRow):
    __tablename__ = "cotacoes"

    cliente_id: Mapped[UUID]
    obra_id: Mapped[UUID | None]
    numero: Mapped[str]
    status: Mapped[str] = mapped_column(server_default=text("'rascunho'"))
    desconto_percentual: Mapped[Decimal | None]
    observacoes: Mapped[str | None]
    validade_dias: Mapped[int | None]
    usuario_id: Mapped[UUID | None]
    enviada_em: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    aprovada_em: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    convertida_em: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Pedido(TenantRow):
    __tablename__ = "pedidos"

    cliente_id: Mapped[UUID]
    obra_id: Mapped[UUID | None]
    cotacao_id: Mapped[UUID | None]
    numero: Mapped[str]
    status: Mapped[str] = mapped_column(server_default=text("'pendente'"))
    desconto_percentual: Mapped[Decimal | None]
    observacoes: Mapped[str | None]
    usuario_id: Mapped[UUID | None]
    entregue_em: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Item(TenantRow):
    """A line of a quote or of an order."""

    __abstract__ = True

    produto_id: Mapped[UUID]
    quantidade: Mapped[Decimal]
    preco_unitario: Mapped[Decimal]
    desconto_percentual: Mapped[Decimal | None]
    valor_total: Mapped[Decimal]
    observacoes: Mapped[str | None]
    ordem: Mapped[int | None]


class CotacaoItem(Item):
    __tablename__ = "cotacao_itens"

    cotacao_id: Mapped[UUID]


class PedidoItem(Item):
    __tablename__ = "pedido_itens"

    pedido_id: Mapped[UUID]


class EventOutbox(TenantRow):
    __tablename__ = "event_outbox"

    event_type: Mapped[str]
    event_id: Mapped[UUID]
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)
    # Said here, not left to the table: other parts read it as "written by this construction".
    version: Mapped[str] = mapped_column(default="1.0")


def open_engine(database_url: str) -> Engine:
    """Make the pool of this process; nothing connects before the first request that needs it."""
    return create_engine(database_url, pool_pre_ping=True, connect_args={"connect_timeout": CONNECT_TIMEOUT_S})


def _session(request: Request) -> Iterator[Session]:
    with Session(request.app.state.engine) as session:
        yield session


Database = Annotated[Session, Depends(_session)]
