"""Works (building sites) of customers."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select, update

from construction_app.database import Cliente, Cotacao, Database, Obra, Pedido
from construction_app.fields import City, Limit, Name, Skip, State, Text
from construction_app.identity import ApiClaims
from construction_app.routers import clientes
from construction_app.rows import commit, find, find_to_change

router = APIRouter(prefix="/api/v1/obras", tags=["obras"])

UNKNOWN = "Obra não encontrada"


class ObraCreate(BaseModel):
    cliente_id: UUID
    nome: Name
    endereco: Text | None = None
    cidade: City | None = None
    estado: State | None = None
    observacoes: Text | None = None
    ativa: bool = True


class ObraUpdate(BaseModel):
    """Fields left out stay as they are: a default here makes its field optional and is never stored."""

    nome: Name = ""
    endereco: Text | None = None
    cidade: City | None = None
    estado: State | None = None
    observacoes: Text | None = None
    ativa: bool = True


class ObraView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    tenant_id: UUID
    cliente_id: UUID
    nome: str
    endereco: str | None
    cidade: str | None
    estado: str | None
    observacoes: str | None
    ativa: bool
    created_at: datetime
    updated_at: datetime


@router.get("/")
def list_obras(
    *,
    database: Database,
    claims: ApiClaims,
    skip: Skip = 0,
    limit: Limit = 100,
    search: Annotated[Text | None, Query(description="Part of the name, in any case")] = None,
    cliente_id: UUID | None = None,
) -> list[ObraView]:
    query = select(Obra).where(Obra.tenant_id == claims.tenant_id)
    if search:
        query = query.where(Obra.nome.icontains(search, autoescape=True))
    if cliente_id:
        query = query.where(Obra.cliente_id == cliente_id)
    page = query.order_by(Obra.nome, Obra.id).offset(skip).limit(limit)
    return [ObraView.model_validate(obra) for obra in database.scalars(page)]


@router.post("/", status_code=201)
def create_obra(new: ObraCreate, database: Database, claims: ApiClaims) -> ObraView:
    find(database, Cliente, claims.tenant_id, new.cliente_id, clientes.UNKNOWN)
    obra = Obra(tenant_id=claims.tenant_id, **new.model_dump())
    database.add(obra)
    commit(database, {})
    return ObraView.model_validate(obra)


@router.get("/{obra_id}")
def read_obra(obra_id: UUID, database: Database, claims: ApiClaims) -> ObraView:
    return ObraView.model_validate(find(database, Obra, claims.tenant_id, obra_id, UNKNOWN))


@router.put("/{obra_id}")
def update_obra(obra_id: UUID, change: ObraUpdate, database: Database, claims: ApiClaims) -> ObraView:
    obra = find(database, Obra, claims.tenant_id, obra_id, UNKNOWN)
    for field, value in change.model_dump(exclude_unset=True).items():
        setattr(obra, field, value)
    commit(database, {})
    return ObraView.model_validate(obra)


@router.delete("/{obra_id}", status_code=204)
def delete_obra(obra_id: UUID, database: Database, claims: ApiClaims) -> None:
    """Delete the work; quotes and orders keep their customer and lose the work."""
    obra = find_to_change(database, Obra, claims.tenant_id, obra_id, UNKNOWN)
    for table in (Cotacao, Pedido):
        database.execute(update(table).where(table.obra_id == obra_id).values(obra_id=None))
    database.delete(obra)
    commit(database, {})
