"""Lines of quotes and orders: what a request gives, what an answer shows, and the rows between."""

from decimal import Decimal
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from construction_app.database import Cliente, CotacaoItem, Item, Obra, PedidoItem, Produto
from construction_app.fields import Percent, Quantity, Text
from construction_app.money import line_total
from construction_app.rows import find_to_change

I = TypeVar("I", bound=Item)  # noqa: E741 - a type variable


class ItemCreate(BaseModel):
    produto_id: UUID
    quantidade: Quantity
    # Zero or less means the product's own price.
    preco_unitario: Annotated[Decimal, Field(max_digits=10, decimal_places=2)] = Decimal(0)
    desconto_percentual: Percent = Decimal(0)
    observacoes: Text | None = None
    ordem: int = Field(default=0, ge=0, le=100_000)


class OrderCreate(BaseModel):
    """What a new quote and a new order have in common."""

    cliente_id: UUID
    obra_id: UUID | None = None
    desconto_percentual: Percent = Decimal(0)
    observacoes: Text | None = None
    itens: Annotated[list[ItemCreate], Field(min_length=1, max_length=500)]


class ItemView(BaseModel):
    """Decimals are JSON strings, so that no reader rounds a price."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    produto_id: UUID
    quantidade: Decimal
    preco_unitario: Decimal
    desconto_percentual: Decimal | None
    valor_total: Decimal
    observacoes: str | None
    ordem: int | None


def check_parties(database: Session, tenant_id: UUID, cliente_id: UUID, obra_id: UUID | None) -> None:
    """Answer 404 for a customer or a work that is not the tenant's, or a work of another customer."""
    find_to_change(database, Cliente, tenant_id, cliente_id, "Cliente não encontrado")  # nobody deletes it meanwhile
    if obra_id and find_to_change(database, Obra, tenant_id, obra_id, "Obra não encontrada").cliente_id != cliente_id:
        raise HTTPException(404, "Obra não encontrada")


def new_items(
    database: Session, table: type[I], tenant_id: UUID, parent: dict[str, UUID], items: list[ItemCreate]
) -> list[I]:
    """Make the rows; `parent` names their quote or order. Answers 404 for a product that is unknown or inactive."""
    rows = []
    for item in items:
        produto = database.scalar(
            select(Produto).where(
                Produto.id == item.produto_id, Produto.tenant_id == tenant_id, Produto.ativo.is_(True)
            )
        )
        if produto is None:
            raise HTTPException(404, "Produto não encontrado ou inativo")
        price = item.preco_unitario if item.preco_unitario > 0 else produto.preco_base
        values = item.model_dump() | {
            "preco_unitario": price,
            "valor_total": line_total(item.quantidade, price, item.desconto_percentual),
        }
        rows.append(table(tenant_id=tenant_id, **parent, **values))
    database.add_all(rows)
    return rows


def items_of_quote(database: Session, tenant_id: UUID, cotacao_id: UUID) -> list[CotacaoItem]:
    query = select(CotacaoItem).where(CotacaoItem.tenant_id == tenant_id, CotacaoItem.cotacao_id == cotacao_id)
    return list(database.scalars(query.order_by(CotacaoItem.ordem, CotacaoItem.created_at, CotacaoItem.id)))


def items_of_order(database: Session, tenant_id: UUID, pedido_id: UUID) -> list[PedidoItem]:
    query = select(PedidoItem).where(PedidoItem.tenant_id == tenant_id, PedidoItem.pedido_id == pedido_id)
    return list(database.scalars(query.order_by(PedidoItem.ordem, PedidoItem.created_at, PedidoItem.id)))
