"""Create the whole schema: identity, sales, events and engine results.

A quote's status and the like are not checked here, and of the columns that name a row of another table only those are
references that the contract calls so: rows written by other versions of the applications have to be accepted.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0000_initial"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None

TIME = sa.DateTime(timezone=True)
MONEY = sa.Numeric(10, 2)  # reals
QUANTITY = sa.Numeric(10, 3)
PERCENT = sa.Numeric(5, 2)
FACT = sa.Numeric(15, 4)

# In the order of their references; dropped in the opposite one.
TABLES = (
    "tenants",
    "users",
    "tenant_branding",
    "clientes",
    "obras",
    "produtos",
    "historico_precos",
    "cotacoes",
    "cotacao_itens",
    "pedidos",
    "pedido_itens",
    "estoque",
    "fornecedores",
    "fornecedor_precos",
    "event_outbox",
    "engine_processed_events",
    "engine_sales_facts",
    "engine_stock_facts",
    "engine_stock_alerts",
    "engine_sales_suggestions",
    "engine_replenishment_suggestions",
    "engine_supplier_price_alerts",
    "engine_delivery_routes",
)


def column(name: str, kind: Any, default: str | None = None) -> sa.Column[Any]:
    """Return a column that must have a value. `default` is an SQL expression."""
    return sa.Column(name, kind, nullable=False, server_default=sa.text(default) if default else None)


def optional(name: str, kind: Any, default: str | None = None) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=True, server_default=sa.text(default) if default else None)


def text(length: int) -> sa.String:
    return sa.String(length)


def reference(target: str, name: str) -> sa.Column[Any]:
    """Return a column whose row goes with the one that it names."""
    return sa.Column(name, sa.Uuid, sa.ForeignKey(f"{target}.id", ondelete="CASCADE"), nullable=False)


def times() -> tuple[sa.Column[Any], sa.Column[Any]]:
    return column("created_at", TIME, "now()"), column("updated_at", TIME, "now()")


def create(table: str, *elements: sa.schema.SchemaItem) -> None:
    """Create a table with its own id and times."""
    identity = sa.Column("id", sa.Uuid, primary_key=True, server_default=sa.text("gen_random_uuid()"))
    op.create_table(table, identity, *elements, *times())


def create_of_tenant(table: str, *elements: sa.schema.SchemaItem) -> None:
    """Create a table whose rows belong to a tenant and go with it."""
    create(table, reference("tenants", "tenant_id"), *elements)
    op.create_index(f"ix_{table}_tenant_id", table, ["tenant_id"])


def create_engine_table(table: str, *elements: sa.schema.SchemaItem) -> None:
    """Create a table of results: no reference to the tenant, and the writer supplies the id."""
    op.create_table(
        table,
        sa.Column("id", sa.Uuid, primary_key=True),
        column("tenant_id", sa.Uuid),
        column("vertical", text(50), "'materials'"),
        *elements,
        column("payload", JSONB, "'{}'"),
        *times(),
    )
    op.create_index(f"ix_{table}_tenant_id", table, ["tenant_id"])


def unique(table: str, *columns: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(*columns, name=f"uq_{table}_{'_'.join(columns)}")


def upgrade() -> None:
    create_identity()
    create_catalogue()
    create_quotes_and_orders()
    create_stock_and_suppliers()
    create_events()
    create_engine_results()


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)


def create_identity() -> None:
    create(
        "tenants",
        column("nome", text(255)),
        column("slug", text(63)),  # the longest label of a host name
        optional("cnpj", text(18)),
        column("email", text(255)),
        optional("telefone", text(20)),
        optional("endereco", sa.Text),
        column("ativo", sa.Boolean, "true"),
        unique("tenants", "cnpj"),
    )
    op.create_index("ix_tenants_slug", "tenants", ["slug"], unique=True)
    create_of_tenant(
        "users",
        column("nome", text(255)),
        column("email", text(255)),
        column("password_hash", text(255)),
        column("role", text(50), "'vendedor'"),
        column("ativo", sa.Boolean, "true"),
    )
    # Not unique: one person may be a user of several tenants.
    op.create_index("ix_users_email", "users", ["email"])
    create(
        "tenant_branding",
        reference("tenants", "tenant_id"),
        optional("logo_url", text(500)),
        optional("primary_color", text(7), "'#1a73e8'"),
        optional("secondary_color", text(7), "'#ea4335'"),
        optional("feature_flags", sa.JSON, "'{}'"),
        unique("tenant_branding", "tenant_id"),
    )


def create_catalogue() -> None:
    create_of_tenant(
        "clientes",
        column("tipo", text(2)),
        column("nome", text(255)),
        column("documento", text(20)),
        optional("email", text(255)),
        optional("telefone", text(20)),
        optional("endereco", sa.Text),
        optional("cidade", text(100)),
        optional("estado", text(2)),
        optional("cep", text(10)),
        optional("observacoes", sa.Text),
        unique("clientes", "tenant_id", "documento"),
    )
    create_of_tenant(
        "obras",
        reference("clientes", "cliente_id"),
        column("nome", text(255)),
        optional("endereco", sa.Text),
        optional("cidade", text(100)),
        optional("estado", text(2)),
        optional("observacoes", sa.Text),
        column("ativa", sa.Boolean, "true"),
    )
    create_of_tenant(
        "produtos",
        optional("codigo", text(50)),
        column("nome", text(255)),
        optional("descricao", sa.Text),
        column("unidade", text(20)),
        column("preco_base", MONEY),
        column("ativo", sa.Boolean, "true"),
        unique("produtos", "tenant_id", "codigo"),
    )
    create_of_tenant(
        "historico_precos",
        reference("produtos", "produto_id"),
        column("preco", MONEY),
        optional("usuario_id", sa.Uuid),
    )


def item_columns() -> tuple[sa.Column[Any], ...]:
    return (
        column("produto_id", sa.Uuid),
        column("quantidade", QUANTITY),
        column("preco_unitario", MONEY),
        optional("desconto_percentual", PERCENT, "0"),
        column("valor_total", MONEY),
        optional("observacoes", sa.Text),
        optional("ordem", sa.Integer, "0"),
    )


def create_quotes_and_orders() -> None:
    create_of_tenant(
        "cotacoes",
        column("cliente_id", sa.Uuid),
        optional("obra_id", sa.Uuid),
        column("numero", text(50)),
        column("status", text(20), "'rascunho'"),
        optional("desconto_percentual", PERCENT, "0"),
        optional("observacoes", sa.Text),
        optional("validade_dias", sa.Integer, "7"),
        optional("usuario_id", sa.Uuid),
        optional("enviada_em", TIME),
        optional("aprovada_em", TIME),
        optional("convertida_em", TIME),
        unique("cotacoes", "tenant_id", "numero"),
    )
    create_of_tenant("cotacao_itens", reference("cotacoes", "cotacao_id"), *item_columns())
    create_of_tenant(
        "pedidos",
        column("cliente_id", sa.Uuid),
        optional("obra_id", sa.Uuid),
        optional("cotacao_id", sa.Uuid),
        column("numero", text(50)),
        column("status", text(20), "'pendente'"),
        optional("desconto_percentual", PERCENT, "0"),
        optional("observacoes", sa.Text),
        optional("usuario_id", sa.Uuid),
        optional("entregue_em", TIME),
        unique("pedidos", "tenant_id", "numero"),
    )
    create_of_tenant("pedido_itens", reference("pedidos", "pedido_id"), *item_columns())


def create_stock_and_suppliers() -> None:
    create_of_tenant(
        "estoque",
        column("produto_id", sa.Uuid),
        column("quantidade_atual", QUANTITY, "0"),
        unique("estoque", "tenant_id", "produto_id"),
        sa.CheckConstraint("quantidade_atual >= 0", name="ck_estoque_quantidade_atual"),
    )
    create_of_tenant(
        "fornecedores",
        column("nome", text(255)),
        optional("documento", text(20)),
        optional("email", text(255)),
        optional("telefone", text(20)),
        optional("endereco", sa.Text),
        column("ativo", sa.Boolean, "true"),
        unique("fornecedores", "tenant_id", "documento"),
    )
    create_of_tenant(
        "fornecedor_precos",
        reference("fornecedores", "fornecedor_id"),
        reference("produtos", "produto_id"),
        column("preco", MONEY),
        optional("quantidade_minima", QUANTITY),
        optional("prazo_pagamento", sa.Integer),  # days
        column("valido", sa.Boolean, "true"),
        sa.CheckConstraint("preco > 0", name="ck_fornecedor_precos_preco"),
    )


def create_events() -> None:
    create_of_tenant(
        "event_outbox",
        column("event_type", text(100)),
        column("event_id", sa.Uuid),
        column("status", text(20), "'pending'"),
        column("payload", JSONB),
        column("version", text(20), "'1.0'"),
        optional("processed_at", TIME),
        optional("published_at", TIME),
        optional("failed_at", TIME),
        optional("error_message", sa.Text),
        column("retry_count", sa.Integer, "0"),
        unique("event_outbox", "event_id"),
    )
    op.create_index("ix_event_outbox_event_type", "event_outbox", ["event_type"])
    op.create_index("ix_event_outbox_status", "event_outbox", ["status"])
    op.create_index("ix_event_outbox_tenant_id_status", "event_outbox", ["tenant_id", "status"])
    op.create_index("ix_event_outbox_status_created_at", "event_outbox", ["status", "created_at"])
    # What the relay looks for: a handful of rows, however long the table grows.
    unpublished = sa.text("published_at IS NULL")
    op.create_index("idx_event_outbox_published", "event_outbox", ["published_at"], postgresql_where=unpublished)
    op.create_table(
        "engine_processed_events",
        sa.Column("event_id", sa.Uuid, primary_key=True),
        column("tenant_id", sa.Uuid),
        column("vertical", text(50), "'materials'"),
        column("event_type", text(100)),
        column("processed_at", TIME, "now()"),
        optional("result", JSONB),
    )


def create_engine_results() -> None:
    create_engine_table(
        "engine_sales_facts",
        column("order_id", sa.Uuid),
        column("product_id", sa.Uuid),
        optional("client_id", sa.Uuid),
        column("quantity", FACT),
        column("unit_price", FACT),
        column("total_value", FACT),
        column("occurred_at", TIME),
        column("event_id", sa.Uuid),
        unique("engine_sales_facts", "event_id"),
    )
    create_engine_table(
        "engine_stock_facts",
        column("product_id", sa.Uuid),
        column("movement_type", text(20)),
        column("quantity_delta", FACT),
        optional("quantity_after", FACT),
        column("occurred_at", TIME),
        column("event_id", sa.Uuid),
        optional("reference_id", sa.Uuid),
        unique("engine_stock_facts", "event_id"),
    )
    create_engine_table(
        "engine_stock_alerts",
        column("product_id", sa.Uuid),
        column("alert_type", text(50)),
        column("risk_level", text(20)),
        column("current_stock", text(50)),
        column("minimum_stock", text(50)),
        optional("days_until_rupture", text(20)),
        optional("explanation", sa.Text),
        column("status", text(20), "'active'"),
    )
    create_engine_table(
        "engine_sales_suggestions",
        column("suggestion_type", text(50)),
        optional("source_product_id", sa.Uuid),
        column("suggested_product_id", sa.Uuid),
        optional("frequency", text(20)),
        column("priority", text(20)),
        optional("explanation", sa.Text),
        column("status", text(20), "'active'"),
    )
    create_unwritten_engine_results()


def create_unwritten_engine_results() -> None:
    """Create the tables that are read by the insights routes and that no engine writes yet."""
    create_engine_table(
        "engine_replenishment_suggestions",
        column("product_id", sa.Uuid),
        column("suggested_quantity", text(50)),
        column("current_stock", text(50)),
        column("minimum_stock", text(50)),
        column("maximum_stock", text(50)),
        column("priority", text(20)),
        optional("explanation", sa.Text),
        column("status", text(20), "'pending'"),
    )
    create_engine_table(
        "engine_supplier_price_alerts",
        column("product_id", sa.Uuid),
        column("supplier_id", sa.Uuid),
        column("alert_type", text(50)),
        column("current_price", text(50)),
        optional("reference_price", text(50)),
        optional("price_change_percent", text(20)),
        optional("explanation", sa.Text),
        column("status", text(20), "'active'"),
    )
    create_engine_table(
        "engine_delivery_routes",
        column("route_date", TIME),
        optional("route_name", text(255)),
        column("total_orders", sa.Integer),
        optional("total_distance_km", sa.Numeric(10, 2)),
        optional("estimated_duration_minutes", sa.Integer),
        column("order_ids", JSONB, "'[]'"),
        column("route_sequence", JSONB, "'[]'"),
        optional("explanation", sa.Text),
        column("status", text(20), "'planned'"),
    )
