"""Orders: made from an approved quote or directly; what happens to them is told to the platform by events."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from construction_app import events
from construction_app.database import Cotacao, Database, Pedido, PedidoItem
from construction_app.fields import Limit, Short, Skip, Text
from construction_app.identity import ApiClaims, Claims
from construction_app.lines import ItemView, OrderCreate, check_parties, items_of_order, items_of_quote, new_items
from construction_app.routers import cotacoes
from construction_app.rows import commit, find, find_to_change, next_number

router = APIRouter(prefix="/api/v1/pedidos", tags=["pedidos"])

UNKNOWN = "Pedido não encontrado"
STATES = ("pendente", "em_preparacao", "saiu_entrega", "entregue", "cancelado")
FINAL = ("entregue", "cancelado")
COPIED = ("produto_id", "quantidade", "preco_unitario", "desconto_percentual", "valor_total", "observacoes", "ordem")


class PedidoUpdate(BaseModel):
    """Fields left out stay as they are."""

    status: Short | None = None
    observacoes: Text | None = None


class PedidoView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    tenant_id: UUID
    cliente_id: UUID
    obra_id: UUID | None
    cotacao_id: UUID | None
    numero: str
    status: str
    desconto_percentual: Decimal | None
    observacoes: str | None
    usuario_id: UUID | None
    entregue_em: datetime | None
    created_at: datetime
    updated_at: datetime
    itens: list[ItemView] = []


def _view(database: Session, pedido: Pedido) -> PedidoView:
    items = items_of_order(database, pedido.tenant_id, pedido.id)
    view = PedidoView.model_validate(pedido)
    return view.model_copy(update={"itens": [ItemView.model_validate(item) for item in items]})


@router.get("/")
def list_pedidos(
    *,
    database: Database,
    claims: ApiClaims,
    skip: Skip = 0,
    limit: Limit = 100,
    status_filter: Annotated[Short | None, Query(description="Only orders in this state")] = None,
    cliente_id: UUID | None = None,
) -> list[PedidoView]:
    query = select(Pedido).where(Pedido.tenant_id == claims.tenant_id)
    if status_filter:
        query = query.where(Pedido.status == status_filter)
    if cliente_id:
        query = query.where(Pedido.cliente_id == cliente_id)
    page = query.order_by(Pedido.created_at.desc(), Pedido.id).offset(skip).limit(limit)
    return [_view(database, pedido) for pedido in database.scalars(page)]


@router.post("/", status_code=201)
def create_pedido(new: OrderCreate, database: Database, claims: ApiClaims) -> PedidoView:
    check_parties(database, claims.tenant_id, new.cliente_id, new.obra_id)
    pedido = Pedido(
        tenant_id=claims.tenant_id,
        numero=next_number(database, Pedido, claims.tenant_id, "PED"),
        usuario_id=claims.sub,
        **new.model_dump(exclude={"itens"}),
    )
    database.add(pedido)
    database.flush()
    new_items(database, PedidoItem, claims.tenant_id, {"pedido_id": pedido.id}, new.itens)
    commit(database, {})
    return _view(database, pedido)


@router.post("/from-cotacao/{cotacao_id}", status_code=201)
def convert_cotacao(cotacao_id: UUID, database: Database, claims: ApiClaims) -> PedidoView:
    """Turn an approved quote into an order; asked again, answer the order that it became."""
    cotacao = find_to_change(database, Cotacao, claims.tenant_id, cotacao_id, cotacoes.UNKNOWN)
    existing = database.scalar(
        select(Pedido).where(Pedido.tenant_id == claims.tenant_id, Pedido.cotacao_id == cotacao_id)
    )
    if existing:
        return _view(database, existing)
    if cotacao.status != "aprovada":
        raise HTTPException(400, "Só é possível converter cotações aprovadas")
    pedido = Pedido(
        tenant_id=claims.tenant_id,
        cliente_id=cotacao.cliente_id,
        obra_id=cotacao.obra_id,
        cotacao_id=cotacao.id,
        numero=next_number(database, Pedido, claims.tenant_id, "PED"),
        desconto_percentual=cotacao.desconto_percentual,
        observacoes=cotacao.observacoes,
        usuario_id=claims.sub,
    )
    database.add(pedido)
    database.flush()
    quoted = items_of_quote(database, claims.tenant_id, cotacao.id)
    database.add_all(
        PedidoItem(tenant_id=claims.tenant_id, pedido_id=pedido.id, **{name: getattr(item, name) for name in COPIED})
        for item in quoted
    )
    cotacao.status = "convertida"
    cotacao.convertida_em = func.now()
    events.quote_converted(database, cotacao, pedido, list(quoted), claims)
    commit(database, {})
    return _view(database, pedido)


@router.get("/{pedido_id}")
def read_pedido(pedido_id: UUID, database: Database, claims: ApiClaims) -> PedidoView:
    return _view(database, find(database, Pedido, claims.tenant_id, pedido_id, UNKNOWN))


@router.put("/{pedido_id}")
def update_pedido(pedido_id: UUID, change: PedidoUpdate, database: Database, claims: ApiClaims) -> PedidoView:
    """Change state or notes. A new state is told by `order_status_changed`, a delivery by `sale_recorded` as well."""
    pedido = find_to_change(database, Pedido, claims.tenant_id, pedido_id, UNKNOWN)
    if "observacoes" in change.model_fields_set:
        pedido.observacoes = change.observacoes
    if change.status is not None and change.status != pedido.status:
        _change_status(database, claims, pedido, change.status)
    commit(database, {})
    return _view(database, pedido)


def _change_status(database: Session, claims: Claims, pedido: Pedido, status: str) -> None:
    if status not in STATES:
        raise HTTPException(404, f"Status inválido: {status}")
    if pedido.status in FINAL:
        raise HTTPException(400, f"Pedido {pedido.status} não muda mais")
    old, pedido.status = pedido.status, status
    events.order_status_changed(database, pedido, old, claims)
    if status == "entregue":
        pedido.entregue_em = func.now()
        events.sale_recorded(database, pedido, list(items_of_order(database, claims.tenant_id, pedido.id)))


@router.post("/{pedido_id}/cancelar")
def cancel_pedido(pedido_id: UUID, database: Database, claims: ApiClaims) -> PedidoView:
    """Cancel an order that is not delivered; tells nobody."""
    pedido = find_to_change(database, Pedido, claims.tenant_id, pedido_id, UNKNOWN)
    if pedido.status in FINAL:
        raise HTTPException(400, f"Pedido {pedido.status} não pode ser cancelado")
    pedido.status = "cancelado"
    commit(database, {})
    return _view(database, pedido)
