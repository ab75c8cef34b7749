"""Products of the tenant of the token."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from construction_app.database import Database, Produto
from construction_app.identity import ApiClaims

router = APIRouter(prefix="/api/v1/produtos", tags=["produtos"])

# The constraint that keeps `codigo` unique within a tenant, by its name in the migration.
DUPLICATE_CODE = "uq_produtos_tenant_id_codigo"
# OFFSET is a bigint in PostgreSQL; this is far below and far above any shop.
MAX_SKIP = 1_000_000

# PostgreSQL texts cannot hold the NUL character, and a statement with one fails.
NO_NUL = r"^[^\x00]*$"
Text = Annotated[str, StringConstraints(pattern=NO_NUL)]
Name = Annotated[str, StringConstraints(pattern=NO_NUL, strip_whitespace=True, min_length=1, max_length=255)]
Code = Annotated[str, StringConstraints(pattern=NO_NUL, strip_whitespace=True, min_length=1, max_length=50)]
Unit = Annotated[str, StringConstraints(pattern=NO_NUL, strip_whitespace=True, min_length=1, max_length=20)]
# Reals in Brazil, as numeric(10,2) of the table.
Price = Annotated[Decimal, Field(ge=0, max_digits=10, decimal_places=2)]


class ProdutoCreate(BaseModel):
    codigo: Code | None = None
    nome: Name
    descricao: Text | None = None
    unidade: Unit
    preco_base: Price
    ativo: bool = True


class ProdutoUpdate(BaseModel):
    """Fields left out stay as they are: a default here makes its field optional and is never stored."""

    codigo: Code | None = None
    nome: Name = ""
    descricao: Text | None = None
    unidade: Unit = ""
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


def _find(database: Session, tenant_id: UUID, produto_id: UUID) -> Produto:
    """Return the tenant's product; another tenant's is as unknown as none."""
    produto = database.scalar(select(Produto).where(Produto.id == produto_id, Produto.tenant_id == tenant_id))
    if produto is None:
        raise HTTPException(404, "Produto não encontrado")
    return produto


def _commit(database: Session) -> None:
    try:
        database.commit()
    except IntegrityError as error:
        if DUPLICATE_CODE not in str(error.orig):
            raise
        raise HTTPException(400, "Já existe um produto com este código") from None


@router.get("/")
def list_produtos(
    *,
    database: Database,
    claims: ApiClaims,
    skip: Annotated[int, Query(ge=0, le=MAX_SKIP)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
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
    _commit(database)
    return ProdutoView.model_validate(produto)


@router.get("/{produto_id}")
def read_produto(produto_id: UUID, database: Database, claims: ApiClaims) -> ProdutoView:
    return ProdutoView.model_validate(_find(database, claims.tenant_id, produto_id))


@router.put("/{produto_id}")
def update_produto(produto_id: UUID, change: ProdutoUpdate, database: Database, claims: ApiClaims) -> ProdutoView:
    produto = _find(database, claims.tenant_id, produto_id)
    for field, value in change.model_dump(exclude_unset=True).items():
        setattr(produto, field, value)
    _commit(database)
    return ProdutoView.model_validate(produto)


@router.delete("/{produto_id}", status_code=204)
def deactivate_produto(produto_id: UUID, database: Database, claims: ApiClaims) -> None:
    """Deactivate the product and keep its row: quotes and orders refer to it."""
    _find(database, claims.tenant_id, produto_id).ativo = False
    database.commit()
