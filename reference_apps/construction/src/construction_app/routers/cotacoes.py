"""Quotes: rascunho -> enviada -> aprovada -> convertida; every state but the last two can be cancelled."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from construction_app.database import Cotacao, CotacaoItem, Database
from construction_app.fields import Limit, Percent, Short, Skip, Text
from construction_app.identity import ApiClaims
from construction_app.lines import ItemCreate, ItemView, OrderCreate, check_parties, items_of_quote, new_items
from construction_app.rows import commit, find, find_to_change, next_number

router = APIRouter(prefix="/api/v1/cotacoes", tags=["cotacoes"])

UNKNOWN = "Cotação não encontrada"

ValidDays = Annotated[int, Field(ge=1, le=3650)]


class CotacaoCreate(OrderCreate):
    validade_dias: ValidDays = 7


class CotacaoUpdate(BaseModel):
    """Fields left out stay as they are: a default here makes its field optional and is never stored."""

    obra_id: UUID | None = None
    desconto_percentual: Percent = Decimal(0)
    observacoes: Text | None = None
    validade_dias: ValidDays = 7
    itens: Annotated[list[ItemCreate], Field(min_length=1, max_length=500)] = []


class CotacaoView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    tenant_id: UUID
    cliente_id: UUID
    obra_id: UUID | None
    numero: str
    status: str
    desconto_percentual: Decimal | None
    observacoes: str | None
    validade_dias: int | None
    usuario_id: UUID | None
    enviada_em: datetime | None
    aprovada_em: datetime | None
    convertida_em: datetime | None
    created_at: datetime
    updated_at: datetime
    itens: list[ItemView] = []


def _view(database: Session, cotacao: Cotacao) -> CotacaoView:
    items = items_of_quote(database, cotacao.tenant_id, cotacao.id)
    view = CotacaoView.model_validate(cotacao)
    return view.model_copy(update={"itens": [ItemView.model_validate(item) for item in items]})


@router.get("/")
def list_cotacoes(
    *,
    database: Database,
    claims: ApiClaims,
    skip: Skip = 0,
    limit: Limit = 100,
    status_filter: Annotated[Short | None, Query(description="Only quotes in this state")] = None,
    cliente_id: UUID | None = None,
) -> list[CotacaoView]:
    query = select(Cotacao).where(Cotacao.tenant_id == claims.tenant_id)
    if status_filter:
        query = query.where(Cotacao.status == status_filter)
    if cliente_id:
        query = query.where(Cotacao.cliente_id == cliente_id)
    page = query.order_by(Cotacao.created_at.desc(), Cotacao.id).offset(skip).limit(limit)
    return [_view(database, cotacao) for cotacao in database.scalars(page)]


@router.post("/", status_code=201)
def create_cotacao(new: CotacaoCreate, database: Database, claims: ApiClaims) -> CotacaoView:
    check_parties(database, claims.tenant_id, new.cliente_id, new.obra_id)
    cotacao = Cotacao(
        tenant_id=claims.tenant_id,
        numero=next_number(database, Cotacao, claims.tenant_id, "COT"),
        usuario_id=claims.sub,
        **new.model_dump(exclude={"itens"}),
    )
    database.add(cotacao)
    database.flush()
    new_items(database, CotacaoItem, claims.tenant_id, {"cotacao_id": cotacao.id}, new.itens)
    commit(database, {})
    return _view(database, cotacao)


@router.get("/{cotacao_id}")
def read_cotacao(cotacao_id: UUID, database: Database, claims: ApiClaims) -> CotacaoView:
    return _view(database, find(database, Cotacao, claims.tenant_id, cotacao_id, UNKNOWN))


@router.put("/{cotacao_id}")
def update_cotacao(cotacao_id: UUID, change: CotacaoUpdate, database: Database, claims: ApiClaims) -> CotacaoView:
    cotacao = find_to_change(database, Cotacao, claims.tenant_id, cotacao_id, UNKNOWN)
    if cotacao.status != "rascunho":
        raise HTTPException(400, "Só é possível editar cotações em rascunho")
    values = change.model_dump(exclude_unset=True, exclude={"itens"})
    check_parties(database, claims.tenant_id, cotacao.cliente_id, values.get("obra_id"))
    for field, value in values.items():
        setattr(cotacao, field, value)
    if change.itens:
        database.execute(
            delete(CotacaoItem).where(CotacaoItem.tenant_id == claims.tenant_id, CotacaoItem.cotacao_id == cotacao.id)
        )
        new_items(database, CotacaoItem, claims.tenant_id, {"cotacao_id": cotacao.id}, change.itens)
    commit(database, {})
    return _view(database, cotacao)


def _move(database: Session, claims: ApiClaims, cotacao_id: UUID, allowed: tuple[str, ...], status: str) -> CotacaoView:
    """Bring a quote into its next state and note when."""
    cotacao = find_to_change(database, Cotacao, claims.tenant_id, cotacao_id, UNKNOWN)
    if cotacao.status not in allowed:
        raise HTTPException(400, f"Cotação {cotacao.status} não pode passar a {status}")
    cotacao.status = status
    if status != "cancelada":
        setattr(cotacao, f"{status}_em", func.now())
    commit(database, {})
    return _view(database, cotacao)


@router.post("/{cotacao_id}/enviar")
def send_cotacao(cotacao_id: UUID, database: Database, claims: ApiClaims) -> CotacaoView:
    return _move(database, claims, cotacao_id, ("rascunho",), "enviada")


@router.post("/{cotacao_id}/aprovar")
def approve_cotacao(cotacao_id: UUID, database: Database, claims: ApiClaims) -> CotacaoView:
    return _move(database, claims, cotacao_id, ("enviada",), "aprovada")


@router.post("/{cotacao_id}/cancelar")
def cancel_cotacao(cotacao_id: UUID, database: Database, claims: ApiClaims) -> CotacaoView:
    return _move(database, claims, cotacao_id, ("rascunho", "enviada", "aprovada"), "cancelada")
