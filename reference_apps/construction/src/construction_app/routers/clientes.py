"""Customers of the tenant of the token: persons (PF) and companies (PJ)."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import or_, select

from construction_app.database import Cliente, Cotacao, Database, Pedido
from construction_app.fields import City, Limit, Name, PostCode, Short, Skip, State, Text
from construction_app.identity import ApiClaims
from construction_app.rows import commit, find, find_to_change

router = APIRouter(prefix="/api/v1/clientes", tags=["clientes"])

REFUSALS = {"uq_clientes_tenant_id_documento": "Já existe um cliente com este documento"}
KEPT_BY: dict[type[Cotacao | Pedido], str] = {
    Cotacao: "O cliente tem cotações e não pode ser excluído",
    Pedido: "O cliente tem pedidos e não pode ser excluído",
}
UNKNOWN = "Cliente não encontrado"


class ClienteCreate(BaseModel):
    tipo: Literal["PF", "PJ"]
    nome: Name
    documento: Short
    email: Name | None = None
    telefone: Short | None = None
    endereco: Text | None = None
    cidade: City | None = None
    estado: State | None = None
    cep: PostCode | None = None
    observacoes: Text | None = None


class ClienteUpdate(ClienteCreate):
    """Fields left out stay as they are: a default here makes its field optional and is never stored."""

    tipo: Literal["PF", "PJ"] = "PF"
    nome: Name = ""
    documento: Short = ""


class ClienteView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    tenant_id: UUID
    tipo: str
    nome: str
    documento: str
    email: str | None
    telefone: str | None
    endereco: str | None
    cidade: str | None
    estado: str | None
    cep: str | None
    observacoes: str | None
    created_at: datetime
    updated_at: datetime


@router.get("/")
def list_clientes(
    *,
    database: Database,
    claims: ApiClaims,
    skip: Skip = 0,
    limit: Limit = 100,
    search: Annotated[Text | None, Query(description="Part of name or document, in any case")] = None,
) -> list[ClienteView]:
    query = select(Cliente).where(Cliente.tenant_id == claims.tenant_id)
    if search:
        query = query.where(
            or_(Cliente.nome.icontains(search, autoescape=True), Cliente.documento.icontains(search, autoescape=True))
        )
    # The id makes the order total: without it pages could overlap.
    page = query.order_by(Cliente.nome, Cliente.id).offset(skip).limit(limit)
    return [ClienteView.model_validate(cliente) for cliente in database.scalars(page)]


@router.post("/", status_code=201)
def create_cliente(new: ClienteCreate, database: Database, claims: ApiClaims) -> ClienteView:
    cliente = Cliente(tenant_id=claims.tenant_id, **new.model_dump())
    database.add(cliente)
    commit(database, REFUSALS)
    return ClienteView.model_validate(cliente)


@router.get("/{cliente_id}")
def read_cliente(cliente_id: UUID, database: Database, claims: ApiClaims) -> ClienteView:
    return ClienteView.model_validate(find(database, Cliente, claims.tenant_id, cliente_id, UNKNOWN))


@router.put("/{cliente_id}")
def update_cliente(cliente_id: UUID, change: ClienteUpdate, database: Database, claims: ApiClaims) -> ClienteView:
    cliente = find(database, Cliente, claims.tenant_id, cliente_id, UNKNOWN)
    for field, value in change.model_dump(exclude_unset=True).items():
        setattr(cliente, field, value)
    commit(database, REFUSALS)
    return ClienteView.model_validate(cliente)


@router.delete("/{cliente_id}", status_code=204)
def delete_cliente(cliente_id: UUID, database: Database, claims: ApiClaims) -> None:
    """Delete the customer with the works; one with quotes or orders stays."""
    cliente = find_to_change(database, Cliente, claims.tenant_id, cliente_id, UNKNOWN)
    for table, message in KEPT_BY.items():
        if database.scalar(select(table.id).where(table.cliente_id == cliente_id).limit(1)):
            raise HTTPException(400, message)
    database.delete(cliente)
    commit(database, REFUSALS)
