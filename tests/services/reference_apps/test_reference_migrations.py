"""The schema that the migrations make, table by table, and alembic's commands."""

import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, inspect, text

Alembic = Callable[..., Any]

ROW = "id uuid, created_at timestamptz, updated_at timestamptz"
OF_TENANT = f"{ROW}, tenant_id uuid"
ENGINE = f"{OF_TENANT}, vertical varchar50, payload jsonb"
ITEM = (
    f"{OF_TENANT}, produto_id uuid, quantidade numeric10.3, preco_unitario numeric10.2,"
    " desconto_percentual? numeric5.2, valor_total numeric10.2, observacoes? text, ordem? int"
)
PARTY = "nome varchar255, email? varchar255, telefone? varchar20, endereco? text"

# Every table with its columns; `?` is nullable.
SCHEMA = {
    "tenants": f"{ROW}, nome varchar255, slug varchar63, cnpj? varchar18, email varchar255, telefone? varchar20,"
    " endereco? text, ativo bool",
    "users": f"{OF_TENANT}, nome varchar255, email varchar255, password_hash varchar255, role varchar50, ativo bool",
    "tenant_branding": f"{OF_TENANT}, logo_url? varchar500, primary_color? varchar7, secondary_color? varchar7,"
    " feature_flags? json",
    "clientes": f"{OF_TENANT}, {PARTY}, tipo varchar2, documento varchar20, cidade? varchar100, estado? varchar2,"
    " cep? varchar10, observacoes? text",
    "obras": f"{OF_TENANT}, cliente_id uuid, nome varchar255, endereco? text, cidade? varchar100, estado? varchar2,"
    " observacoes? text, ativa bool",
    "produtos": f"{OF_TENANT}, codigo? varchar50, nome varchar255, descricao? text, unidade varchar20,"
    " preco_base numeric10.2, ativo bool",
    "historico_precos": f"{OF_TENANT}, produto_id uuid, preco numeric10.2, usuario_id? uuid",
    "cotacoes": f"{OF_TENANT}, cliente_id uuid, obra_id? uuid, numero varchar50, status varchar20,"
    " desconto_percentual? numeric5.2, observacoes? text, validade_dias? int, usuario_id? uuid,"
    " enviada_em? timestamptz, aprovada_em? timestamptz, convertida_em? timestamptz",
    "cotacao_itens": f"{ITEM}, cotacao_id uuid",
    "pedidos": f"{OF_TENANT}, cliente_id uuid, obra_id? uuid, cotacao_id? uuid, numero varchar50, status varchar20,"
    " desconto_percentual? numeric5.2, observacoes? text, usuario_id? uuid, entregue_em? timestamptz",
    "pedido_itens": f"{ITEM}, pedido_id uuid",
    "estoque": f"{OF_TENANT}, produto_id uuid, quantidade_atual numeric10.3",
    "fornecedores": f"{OF_TENANT}, {PARTY}, documento? varchar20, ativo bool",
    "fornecedor_precos": f"{OF_TENANT}, fornecedor_id uuid, produto_id uuid, preco numeric10.2,"
    " quantidade_minima? numeric10.3, prazo_pagamento? int, valido bool",
    "event_outbox": f"{OF_TENANT}, event_type varchar100, event_id uuid, status varchar20, payload jsonb,"
    " version varchar20, processed_at? timestamptz, published_at? timestamptz, failed_at? timestamptz,"
    " error_message? text, retry_count int",
    "engine_processed_events": "event_id uuid, tenant_id uuid, vertical varchar50, event_type varchar100,"
    " processed_at timestamptz, result? jsonb",
    "engine_sales_facts": f"{ENGINE}, order_id uuid, product_id uuid, client_id? uuid, quantity numeric15.4,"
    " unit_price numeric15.4, total_value numeric15.4, occurred_at timestamptz, event_id uuid",
    "engine_stock_facts": f"{ENGINE}, product_id uuid, movement_type varchar20, quantity_delta numeric15.4,"
    " quantity_after? numeric15.4, occurred_at timestamptz, event_id uuid, reference_id? uuid",
    "engine_stock_alerts": f"{ENGINE}, product_id uuid, alert_type varchar50, risk_level varchar20,"
    " current_stock varchar50, minimum_stock varchar50, days_until_rupture? varchar20, explanation? text,"
    " status varchar20",
    "engine_sales_suggestions": f"{ENGINE}, suggestion_type varchar50, source_product_id? uuid,"
    " suggested_product_id uuid, frequency? varchar20, priority varchar20, explanation? text, status varchar20",
    "engine_replenishment_suggestions": f"{ENGINE}, product_id uuid, suggested_quantity varchar50,"
    " current_stock varchar50, minimum_stock varchar50, maximum_stock varchar50, priority varchar20,"
    " explanation? text, status varchar20",
    "engine_supplier_price_alerts": f"{ENGINE}, product_id uuid, supplier_id uuid, alert_type varchar50,"
    " current_price varchar50, reference_price? varchar50, price_change_percent? varchar20, explanation? text,"
    " status varchar20",
    "engine_delivery_routes": f"{ENGINE}, route_date timestamptz, route_name? varchar255, total_orders int,"
    " total_distance_km? numeric10.2, estimated_duration_minutes? int, order_ids jsonb, route_sequence jsonb,"
    " explanation? text, status varchar20",
}

UNIQUE = {
    "tenants": {("cnpj",), ("slug",)},
    "tenant_branding": {("tenant_id",)},
    "clientes": {("tenant_id", "documento")},
    "produtos": {("tenant_id", "codigo")},
    "cotacoes": {("tenant_id", "numero")},
    "pedidos": {("tenant_id", "numero")},
    "estoque": {("tenant_id", "produto_id")},
    "fornecedores": {("tenant_id", "documento")},
    "event_outbox": {("event_id",)},
    "engine_sales_facts": {("event_id",)},
    "engine_stock_facts": {("event_id",)},
}

DEFAULTS = {
    "tenants.ativo": "true",
    "users.role": "'vendedor'::character varying",
    "users.ativo": "true",
    "tenant_branding.primary_color": "'#1a73e8'::character varying",
    "tenant_branding.secondary_color": "'#ea4335'::character varying",
    "tenant_branding.feature_flags": "'{}'::json",
    "produtos.ativo": "true",
    "cotacoes.status": "'rascunho'::character varying",
    "cotacoes.desconto_percentual": "0",
    "cotacoes.validade_dias": "7",
    "cotacao_itens.ordem": "0",
    "pedidos.status": "'pendente'::character varying",
    "event_outbox.status": "'pending'::character varying",
    "event_outbox.version": "'1.0'::character varying",
    "event_outbox.retry_count": "0",
    "engine_processed_events.vertical": "'materials'::character varying",
    "engine_processed_events.processed_at": "now()",
    "engine_sales_facts.vertical": "'materials'::character varying",
    "engine_sales_facts.payload": "'{}'::jsonb",
    "engine_stock_alerts.status": "'active'::character varying",
    "engine_sales_suggestions.status": "'active'::character varying",
    "engine_replenishment_suggestions.status": "'pending'::character varying",
    "engine_delivery_routes.status": "'planned'::character varying",
}

COLUMNS = text(
    "SELECT column_name || CASE is_nullable WHEN 'YES' THEN '?' ELSE '' END || ' ' ||"
    " CASE udt_name WHEN 'varchar' THEN 'varchar' || character_maximum_length"
    " WHEN 'numeric' THEN 'numeric' || numeric_precision || '.' || numeric_scale"
    " WHEN 'int4' THEN 'int' ELSE udt_name END"
    " FROM information_schema.columns WHERE table_schema = 'public' AND table_name = :table"
)
DEFAULT = text(
    "SELECT column_default FROM information_schema.columns WHERE table_name = :table AND column_name = :column"
)


@pytest.mark.parametrize("table", SCHEMA)
def test_table_has_every_column_with_its_type_and_no_other(database: Engine, table: str) -> None:
    with database.connect() as connection:
        columns = set(connection.scalars(COLUMNS, {"table": table}))
    assert columns == set(SCHEMA[table].split(", "))


def test_schema_has_no_other_table(database: Engine) -> None:
    assert set(inspect(database).get_table_names()) == {*SCHEMA, "alembic_version"}


@pytest.mark.parametrize("table", SCHEMA)
def test_table_keeps_unique_what_has_to_be(database: Engine, table: str) -> None:
    indexes = inspect(database).get_indexes(table)
    unique = {tuple(index["column_names"]) for index in indexes if index["unique"]}
    assert unique == UNIQUE.get(table, set())


@pytest.mark.parametrize("place", DEFAULTS)
def test_column_has_its_default(database: Engine, place: str) -> None:
    table, column = place.split(".")
    with database.connect() as connection:
        assert connection.scalar(DEFAULT, {"table": table, "column": column}) == DEFAULTS[place]


@pytest.mark.parametrize("table", [table for table in SCHEMA if table != "engine_processed_events"])
def test_database_makes_ids_of_all_but_the_engine_tables(database: Engine, table: str) -> None:
    with database.connect() as connection:
        default = connection.scalar(DEFAULT, {"table": table, "column": "id"})
    assert default == (None if table.startswith("engine_") else "gen_random_uuid()")


@pytest.mark.parametrize("table", [table for table in SCHEMA if table != "tenants"])
def test_rows_go_with_their_tenant_except_engine_results(database: Engine, table: str) -> None:
    keys = inspect(database).get_foreign_keys(table)
    found = [key["options"].get("ondelete") for key in keys if key["constrained_columns"] == ["tenant_id"]]
    assert found == ([] if table.startswith("engine_") else ["CASCADE"])


REFERENCES = {
    "obras": {"cliente_id": "clientes"},
    "historico_precos": {"produto_id": "produtos"},
    "cotacao_itens": {"cotacao_id": "cotacoes"},
    "pedido_itens": {"pedido_id": "pedidos"},
    "fornecedor_precos": {"fornecedor_id": "fornecedores", "produto_id": "produtos"},
}
"""Beside those to the tenant: what the contract calls a reference. All others would refuse rows of other versions."""


@pytest.mark.parametrize("table", SCHEMA)
def test_table_refers_to_what_the_contract_says_and_to_nothing_else(database: Engine, table: str) -> None:
    keys = [key for key in inspect(database).get_foreign_keys(table) if key["constrained_columns"] != ["tenant_id"]]
    assert {key["constrained_columns"][0]: key["referred_table"] for key in keys} == REFERENCES.get(table, {})
    assert {key["options"].get("ondelete") for key in keys} <= {"CASCADE"}


def test_outbox_has_the_indexes_of_the_relay(database: Engine) -> None:
    indexes = {index["name"]: index for index in inspect(database).get_indexes("event_outbox")}
    columns = {tuple(index["column_names"]) for index in indexes.values()}
    assert {("event_type",), ("status",), ("tenant_id", "status"), ("status", "created_at")} <= columns
    partial = indexes["idx_event_outbox_published"]
    assert partial["dialect_options"]["postgresql_where"] == "(published_at IS NULL)"


@pytest.mark.parametrize(
    ("table", "column", "condition"),
    [("estoque", "quantidade_atual", ">= 0::numeric"), ("fornecedor_precos", "preco", "> 0::numeric")],
)
def test_number_below_its_bound_is_refused(database: Engine, table: str, column: str, condition: str) -> None:
    (check,) = inspect(database).get_check_constraints(table)
    assert check["sqltext"] == f"{column} {condition}"


def test_upgrade_current_and_downgrade_do_what_the_operator_expects(
    new_database: Callable[[], str], alembic: Alembic
) -> None:
    url = new_database()
    upgrade = alembic(url, "upgrade", "head")
    assert (upgrade.returncode, upgrade.stdout) == (0, "")
    assert "0000_initial" in upgrade.stderr  # progress
    assert alembic(url, "current").stdout == "0000_initial (head)\n"
    downgrade = alembic(url, "downgrade", "-1")
    assert downgrade.returncode == 0, downgrade.stderr
    engine = create_engine(url)
    assert inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()
    assert alembic(url, "upgrade", "head").returncode == 0


def test_upgrade_against_a_database_that_is_not_there_fails_in_one_message(
    urls: Callable[[str], str], alembic: Alembic
) -> None:
    result = alembic(urls("nowhere"), "upgrade", "head")
    assert result.returncode != 0
    assert 'database "nowhere" does not exist' in result.stderr
    assert "Traceback" not in result.stderr


def test_documented_first_tenant_is_inserted_once_however_often_it_is_run(database: Engine) -> None:
    readme = (Path(__file__).parents[3] / "reference_apps/README.md").read_text()
    found = re.search(r"```sql\n(.*?)```", readme, re.DOTALL)
    assert found
    statements = [statement for statement in found[1].split(";") if statement.strip()]
    slug = f"demo-{uuid.uuid4().hex[:8]}"
    values = {"nome": "Demo", "slug": slug, "email": "admin@example.com", "password_hash": "$2b$12$x"}
    for _ in range(2):
        with database.begin() as connection:
            for statement in statements:
                connection.execute(text(statement), values)
    rows = text(
        "SELECT tenants.ativo, users.ativo, role, primary_color FROM tenants"
        " JOIN users ON users.tenant_id = tenants.id"
        " JOIN tenant_branding ON tenant_branding.tenant_id = tenants.id WHERE slug = :slug"
    )
    with database.connect() as connection:
        assert connection.execute(rows, {"slug": slug}).all() == [(True, True, "admin", "#1a73e8")]
