"""Products of the tenant of the token."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import or_, select

from construction_app.database import Database, Produto
from construction_app.fields import Code, Limit, Name, Price, Short, Skip, Text
from construction_app.identity import ApiClaims
from construction_app.rows import commit, find

router = APIRouter(prefix="/api/v1/produtos", tags=["produtos"])

# The constraint that keeps `codigo` unique within a tenant, by its name in the migration.
REFUSALS = {"uq_produtos_tenant_id_codigo": "Já existe um produto com este código"}
UNKNOWN = "Produto não encontrado"


class ProdutoCreate(BaseModel):
    codigo: Code | None = None
    nome: Name
    descricao: Text | None = None
    unidade: Short
    preco_base: Price
    ativo: bool = True


class ProdutoUpdate(BaseModel):
    """Fields left out stay as they are: a default here makes its field optional and is never stored."""

    codigo: Code | None = None
    nome: Name = ""
    descricao: Text | None = None
    unidade: Short = ""
    preco_base: Price = Decimal(0)
    ativo: bool = True


class ProdutoView(BaseModel):
    """Decimals are JSON strings, so that no reader rounds a price."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    tenant_id: UUID
    codigo: str | None
    nome: str
    descricao: str | None
    unidade: str
    preco_base: Decimal
    ativo: bool
    created_at: datetime
    updated_at: datetime


@router.get("/")
def list_produtos(
    *,
    database: Database,
    claims: ApiClaims,
    skip: Skip = 0,
    limit: Limit = 100,
    search: Annotated[Text | None, Query(description="Part of name or code, in any case")] = None,
    ativo: bool | None = None,
) -> list[ProdutoView]:
    query = select(Produto).where(Produto.tenant_id == claims.tenant_id)
    if search:
        query = query.where(
            or_(Produto.nome.icontains(search, autoescape=True), Produto.codigo.icontains(search, autoescape=True))
        )
    if ativo is not None:
        query = query.where(Produto.ativo.is_(ativo))
    # The id makes the order total: without it pages could overlap.
    page = query.order_by(Produto.nome, Produto.id).offset(skip).limit(limit)
    return [ProdutoView.model_validate(produto) for produto in database.scalars(page)]


@router.post("/", status_code=201)
def create_produto(new: ProdutoCreate, database: Database, claims: ApiClaims) -> ProdutoView:
    produto = Produto(tenant_id=claims.tenant_id, **new.model_dump())
    database.add(produto)
    commit(database, REFUSALS)
    return ProdutoView.model_validate(produto)


@router.get("/{produto_id}")
def read_produto(produto_id: UUID, database: Database, claims: ApiClaims) -> ProdutoView:
    return ProdutoView.model_validate(find(database, Produto, claims.tenant_id, produto_id, UNKNOWN))


@router.put("/{produto_id}")
def update_produto(produto_id: UUID, change: ProdutoUpdate, database: Database, claims: ApiClaims) -> ProdutoView:
    produto = find(database, Produto, claims.tenant_id, produto_id, UNKNOWN)
    for field, value in change.model_dump(exclude_unset=True).items():
        setattr(produto, field, value)
    commit(database, REFUSALS)
    return ProdutoView.model_validate(produto)


@router.delete("/{produto_id}", status_code=204)
def deactivate_produto(produto_id: UUID, database: Database, claims: ApiClaims) -> None:
    """Deactivate the product and keep its row: quotes and orders refer to it."""
    find(database, Produto, claims.tenant_id, produto_id, UNKNOWN).ativo = False
    database.commit()
