"""Customers, works, quotes, orders and insights of construction, and the events that they leave in the outbox."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from tests.services.reference_apps.shop import Shop, bearer


@dataclass(frozen=True)
class Client:
    """The API as one tenant's program sees it."""

    http: TestClient
    shop: Shop

    def ask(self, method: str, path: str, expect: int, body: object = None, **query: str | int) -> Any:
        answer = self.http.request(method, f"/api/v1{path}", headers=bearer(self.shop.token()), json=body, params=query)
        assert answer.status_code == expect, answer.text
        return answer.json() if answer.content else None

    def cliente(self, documento: str = "111") -> str:
        body = {"tipo": "PF", "nome": "Ana", "documento": documento}
        return str(self.ask("POST", "/clientes/", 201, body)["id"])

    def produto(self, preco: str = "30.00") -> str:
        body = {"nome": "Cimento", "unidade": "SC", "preco_base": preco}
        return str(self.ask("POST", "/produtos/", 201, body)["id"])

    def cotacao(self, **changes: object) -> dict[str, Any]:
        body = {
            "cliente_id": self.cliente(uuid.uuid4().hex[:12]),
            "itens": [{"produto_id": self.produto(), "quantidade": "10"}],
            **changes,
        }
        answer: dict[str, Any] = self.ask("POST", "/cotacoes/", 201, body)
        return answer

    def approved(self) -> str:
        identity = str(self.cotacao()["id"])
        self.ask("POST", f"/cotacoes/{identity}/enviar", 200)
        self.ask("POST", f"/cotacoes/{identity}/aprovar", 200)
        return identity

    def order(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.ask("POST", f"/pedidos/from-cotacao/{self.approved()}", 201)
        return answer


@pytest.fixture
def api(construction: TestClient, shop: Shop) -> Client:
    return Client(construction, shop)


@pytest.fixture
def other(construction: TestClient, new_shop: Callable[[], Shop]) -> Client:
    """Another tenant's program."""
    return Client(construction, new_shop())


def events(database: Engine, shop: Shop) -> list[Any]:
    with database.begin() as connection:
        query = text("SELECT * FROM event_outbox WHERE tenant_id = :id ORDER BY created_at, event_type")
        return list(connection.execute(query, {"id": shop.id}).mappings())


def test_customer_is_made_read_found_changed_and_deleted(api: Client) -> None:
    identity = api.cliente("529.982.247-25")
    assert api.ask("GET", f"/clientes/{identity}", 200)["nome"] == "Ana"
    assert [row["id"] for row in api.ask("GET", "/clientes/", 200, search="982")] == [identity]
    assert api.ask("GET", "/clientes/", 200, search="nobody") == []
    changed = api.ask("PUT", f"/clientes/{identity}", 200, {"cidade": "Niterói"})
    assert (changed["cidade"], changed["nome"]) == ("Niterói", "Ana")
    api.ask("DELETE", f"/clientes/{identity}", 204)
    assert api.ask("GET", f"/clientes/{identity}", 404) == {"detail": "Cliente não encontrado"}


def test_customer_with_a_known_document_is_refused(api: Client, other: Client) -> None:
    api.cliente("1")
    other.cliente("1")
    body = {"tipo": "PJ", "nome": "Obra Ltda", "documento": "1"}
    assert api.ask("POST", "/clientes/", 400, body) == {"detail": "Já existe um cliente com este documento"}


def test_customer_with_quotes_is_not_deleted(api: Client) -> None:
    cliente = api.cotacao()["cliente_id"]
    answer = api.ask("DELETE", f"/clientes/{cliente}", 400)
    assert answer == {"detail": "O cliente tem cotações e não pode ser excluído"}


def test_quotes_of_a_deleted_work_keep_their_customer_and_lose_the_work(api: Client) -> None:
    quote = api.cotacao()
    obra = api.ask("POST", "/obras/", 201, {"cliente_id": quote["cliente_id"], "nome": "Casa"})["id"]
    lines = [{"produto_id": quote["itens"][0]["produto_id"], "quantidade": "1"}]
    body = {"cliente_id": quote["cliente_id"], "obra_id": obra, "itens": lines}
    of_the_work = api.ask("POST", "/cotacoes/", 201, body)
    assert of_the_work["obra_id"] == obra
    api.ask("DELETE", f"/obras/{obra}", 204)
    found = api.ask("GET", f"/cotacoes/{of_the_work['id']}", 200)
    assert (found["cliente_id"], found["obra_id"]) == (quote["cliente_id"], None)


@pytest.mark.parametrize(
    "body", [{}, {"tipo": "XX", "nome": "A", "documento": "1"}, {"tipo": "PF", "nome": "", "documento": "1"}]
)
def test_malformed_customer_is_refused(api: Client, body: dict[str, str]) -> None:
    api.ask("POST", "/clientes/", 422, body)


def test_work_belongs_to_a_customer_of_the_tenant(api: Client, other: Client) -> None:
    cliente = api.cliente()
    obra = api.ask("POST", "/obras/", 201, {"cliente_id": cliente, "nome": "Casa"})
    assert (obra["cliente_id"], obra["ativa"]) == (cliente, True)
    assert [row["id"] for row in api.ask("GET", "/obras/", 200, cliente_id=cliente)] == [obra["id"]]
    assert api.ask("PUT", f"/obras/{obra['id']}", 200, {"ativa": False})["ativa"] is False
    stranger = other.cliente()
    assert (
        api.ask("POST", "/obras/", 404, {"cliente_id": stranger, "nome": "Casa"})["detail"] == "Cliente não encontrado"
    )
    api.ask("DELETE", f"/obras/{obra['id']}", 204)
    api.ask("GET", f"/obras/{obra['id']}", 404)


def test_quote_takes_the_products_price_and_discounts_and_writes_decimals_as_texts(api: Client) -> None:
    product = api.produto("30.00")
    lines = [
        {"produto_id": product, "quantidade": "10", "preco_unitario": 0},
        {"produto_id": product, "quantidade": "1.5", "preco_unitario": "20.00", "desconto_percentual": "10"},
    ]
    cotacao = api.cotacao(itens=lines)
    assert (cotacao["numero"], cotacao["status"], cotacao["validade_dias"]) == ("COT-001", "rascunho", 7)
    assert cotacao["usuario_id"] == str(api.shop.user_id)
    found = {(item["quantidade"], item["preco_unitario"], item["valor_total"]) for item in cotacao["itens"]}
    assert found == {("10.000", "30.00", "300.00"), ("1.500", "20.00", "27.00")}


def test_numbers_count_for_each_tenant(api: Client, other: Client) -> None:
    assert [api.cotacao()["numero"], api.cotacao()["numero"]] == ["COT-001", "COT-002"]
    assert other.cotacao()["numero"] == "COT-001"


def test_quotes_made_at_the_same_time_have_different_numbers(api: Client) -> None:
    body = {"cliente_id": api.cliente(), "itens": [{"produto_id": api.produto(), "quantidade": "1"}]}
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: api.ask("POST", "/cotacoes/", 201, body)["numero"], range(16)))
    assert sorted(made) == [f"COT-{number:03d}" for number in range(1, 17)]


def test_inactive_product_is_not_quoted(api: Client) -> None:
    product = api.produto()
    api.ask("DELETE", f"/produtos/{product}", 204)
    body = {"cliente_id": api.cliente(), "itens": [{"produto_id": product, "quantidade": "1"}]}
    assert api.ask("POST", "/cotacoes/", 404, body) == {"detail": "Produto não encontrado ou inativo"}
    assert api.ask("GET", "/cotacoes/", 200) == [], "nothing of a refused quote stays"


def test_quote_goes_from_draft_to_converted_and_no_other_way(api: Client) -> None:
    identity = api.cotacao()["id"]
    api.ask("POST", f"/cotacoes/{identity}/aprovar", 400)
    api.ask("POST", f"/pedidos/from-cotacao/{identity}", 400)
    assert api.ask("POST", f"/cotacoes/{identity}/enviar", 200)["enviada_em"]
    api.ask("PUT", f"/cotacoes/{identity}", 400, {"observacoes": "late"})
    assert api.ask("POST", f"/cotacoes/{identity}/aprovar", 200)["status"] == "aprovada"
    api.ask("POST", f"/pedidos/from-cotacao/{identity}", 201)
    cotacao = api.ask("GET", f"/cotacoes/{identity}", 200)
    assert (cotacao["status"], bool(cotacao["convertida_em"])) == ("convertida", True)
    api.ask("POST", f"/cotacoes/{identity}/cancelar", 400)


def test_draft_is_edited_with_its_lines(api: Client) -> None:
    identity = api.cotacao()["id"]
    lines = [{"produto_id": api.produto("5.00"), "quantidade": "2"}]
    changed = api.ask("PUT", f"/cotacoes/{identity}", 200, {"validade_dias": 30, "itens": lines})
    assert changed["validade_dias"] == 30
    assert [item["valor_total"] for item in changed["itens"]] == ["10.00"]


def test_quotes_and_orders_are_filtered_by_state_and_customer(api: Client) -> None:
    first, second = api.cotacao(), api.cotacao()
    api.ask("POST", f"/cotacoes/{second['id']}/cancelar", 200)
    assert [row["id"] for row in api.ask("GET", "/cotacoes/", 200, status_filter="cancelada")] == [second["id"]]
    assert [row["id"] for row in api.ask("GET", "/cotacoes/", 200, cliente_id=first["cliente_id"])] == [first["id"]]
    order = api.order()
    assert [row["id"] for row in api.ask("GET", "/pedidos/", 200, status_filter="pendente")] == [order["id"]]
    assert api.ask("GET", "/pedidos/", 200, cliente_id=str(uuid.uuid4())) == []


def test_conversion_copies_the_lines_and_asked_again_answers_the_same_order(api: Client) -> None:
    quote = api.approved()
    order = api.ask("POST", f"/pedidos/from-cotacao/{quote}", 201)
    assert (order["numero"], order["status"], order["cotacao_id"]) == ("PED-001", "pendente", quote)
    assert [item["valor_total"] for item in order["itens"]] == ["300.00"]
    assert api.ask("POST", f"/pedidos/from-cotacao/{quote}", 201)["id"] == order["id"]
    assert len(api.ask("GET", "/pedidos/", 200)) == 1


def test_direct_order_is_made(api: Client) -> None:
    body = {"cliente_id": api.cliente(), "itens": [{"produto_id": api.produto(), "quantidade": "2"}]}
    order = api.ask("POST", "/pedidos/", 201, body)
    assert (order["numero"], order["cotacao_id"]) == ("PED-001", None)


def test_unknown_state_is_404_and_a_final_one_does_not_change(api: Client) -> None:
    order = api.order()["id"]
    api.ask("PUT", f"/pedidos/{order}", 404, {"status": "lost"})
    assert api.ask("POST", f"/pedidos/{order}/cancelar", 200)["status"] == "cancelado"
    api.ask("PUT", f"/pedidos/{order}", 400, {"status": "entregue"})
    api.ask("POST", f"/pedidos/{order}/cancelar", 400)


def test_events_have_the_payload_of_the_contract(api: Client, database: Engine) -> None:
    order = api.order()
    delivered = api.ask("PUT", f"/pedidos/{order['id']}", 200, {"status": "entregue"})
    assert delivered["entregue_em"]
    found = {event["event_type"]: event for event in events(database, api.shop)}
    assert {event["version"] for event in found.values()} == {"1.0"}
    assert {event["status"] for event in found.values()} == {"pending"}
    (item,) = order["itens"]
    items = [{"product_id": item["produto_id"], "quantity": "10.000", "unit_price": "30.00", "total_value": "300.00"}]
    converted = found["quote_converted"]["payload"]
    assert set(converted) == {
        "quote_id", "order_id", "client_id", "user_id", "work_id", "total_value", "converted_at", "vertical", "items",
    }  # fmt: skip
    assert (converted["items"], converted["total_value"], converted["work_id"]) == (items, "300.00", None)
    changed = found["order_status_changed"]["payload"]
    assert set(changed) == {"order_id", "old_status", "new_status", "changed_at", "changed_by", "vertical"}
    assert (changed["old_status"], changed["new_status"]) == ("pendente", "entregue")
    sold = found["sale_recorded"]["payload"]
    assert set(sold) == {
        "order_id", "quote_id", "client_id", "work_id", "delivered_at", "total_value", "vertical", "items",
    }  # fmt: skip
    assert (sold["order_id"], sold["items"], sold["vertical"]) == (order["id"], items, "materials")
    assert datetime.fromisoformat(sold["delivered_at"]).tzinfo is None


def test_an_unchanged_state_and_a_cancelled_order_tell_nobody(api: Client, database: Engine) -> None:
    order = api.order()["id"]
    api.ask("PUT", f"/pedidos/{order}", 200, {"status": "pendente", "observacoes": "call first"})
    api.ask("POST", f"/pedidos/{order}/cancelar", 200)
    assert [event["event_type"] for event in events(database, api.shop)] == ["quote_converted"]


def test_no_route_shows_or_changes_another_tenants_rows(api: Client, other: Client, database: Engine) -> None:
    quote, order = api.cotacao(), api.order()
    obra = api.ask("POST", "/obras/", 201, {"cliente_id": quote["cliente_id"], "nome": "Casa"})
    for path in ("/clientes/", "/obras/", "/produtos/", "/cotacoes/", "/pedidos/"):
        assert other.ask("GET", path, 200) == []
    ids = {
        "clientes": quote["cliente_id"],
        "obras": obra["id"],
        "produtos": quote["itens"][0]["produto_id"],
        "cotacoes": quote["id"],
        "pedidos": order["id"],
    }
    for room, identity in ids.items():
        other.ask("GET", f"/{room}/{identity}", 404)
        other.ask("PUT", f"/{room}/{identity}", 404, {"observacoes": "mine"})
    for room in ("clientes", "obras", "produtos"):
        other.ask("DELETE", f"/{room}/{ids[room]}", 404)
    for action in ("enviar", "aprovar", "cancelar"):
        other.ask("POST", f"/cotacoes/{quote['id']}/{action}", 404)
    other.ask("POST", f"/pedidos/from-cotacao/{quote['id']}", 404)
    other.ask("POST", f"/pedidos/{order['id']}/cancelar", 404)
    body = {"cliente_id": other.cliente(), "itens": [{"produto_id": ids["produtos"], "quantidade": "1"}]}
    other.ask("POST", "/cotacoes/", 404, body)
    assert events(database, other.shop) == []
    assert api.ask("GET", f"/cotacoes/{quote['id']}", 200)["status"] == "rascunho"


@pytest.mark.parametrize("path", ["/cotacoes/", "/pedidos/"])
@pytest.mark.parametrize("foreign", ["cliente_id", "obra_id", "produto_id"])
def test_a_quote_or_an_order_names_nothing_of_another_tenant(
    api: Client, other: Client, path: str, foreign: str
) -> None:
    def ids(client: Client) -> dict[str, str]:
        cliente = client.cliente()
        obra = client.ask("POST", "/obras/", 201, {"cliente_id": cliente, "nome": "Casa"})["id"]
        return {"cliente_id": cliente, "obra_id": obra, "produto_id": client.produto()}

    named = ids(api) | {foreign: ids(other)[foreign]}
    if foreign == "cliente_id":
        del named["obra_id"]  # it is refused by itself, as another customer's
    item = {"produto_id": named.pop("produto_id"), "quantidade": "1"}
    api.ask("POST", path, 404, {**named, "itens": [item]})
    assert api.ask("GET", path, 200) == []


def test_an_order_asked_for_and_delivered_many_times_at_once_is_one_order_and_one_sale(
    api: Client, database: Engine
) -> None:
    quote = api.approved()
    with ThreadPoolExecutor(8) as pool:
        orders = set(pool.map(lambda _: api.ask("POST", f"/pedidos/from-cotacao/{quote}", 201)["id"], range(8)))
        (order,) = orders
        body = {"status": "entregue"}
        list(pool.map(lambda _: api.ask("PUT", f"/pedidos/{order}", 200, body), range(8)))
    told = [event["event_type"] for event in events(database, api.shop)]
    assert sorted(told) == ["order_status_changed", "quote_converted", "sale_recorded"]


@pytest.mark.parametrize("path", ["/clientes/", "/obras/", "/cotacoes/", "/pedidos/", "/insights/stock/alerts"])
def test_without_a_token_nothing_is_shown(construction: TestClient, path: str) -> None:
    answer = construction.get(f"/api/v1{path}")
    assert (answer.status_code, answer.json()) == (403, {"detail": "Not authenticated"})


def suggestion(database: Engine, shop: Shop, created_at: datetime, source: uuid.UUID, status: str = "active") -> str:
    identity = uuid.uuid4()
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO engine_sales_suggestions (id, tenant_id, suggestion_type, source_product_id,"
                " suggested_product_id, priority, status, created_at)"
                " VALUES (:id, :tenant, 'complementary', :source, :suggested, 'alta', :status, :created_at)"
            ),
            {
                "id": identity,
                "tenant": shop.id,
                "source": source,
                "suggested": uuid.uuid4(),
                "status": status,
                "created_at": created_at,
            },
        )
    return str(identity)


def test_insights_come_in_pages_newest_first_and_none_is_lost_between_two(api: Client, database: Engine) -> None:
    now, product = datetime.now(UTC), uuid.uuid4()
    # Results of one event have one time.
    times = [now - timedelta(minutes=age) for age in (0, 1, 1, 1, 2)]
    made = {suggestion(database, api.shop, moment, product) for moment in times}
    first = api.ask("GET", "/insights/sales/suggestions", 200, limit=2)
    assert (first["count"], first["has_more"]) == (4, True)
    second = api.ask("GET", "/insights/sales/suggestions", 200, limit=2, cursor=first["next_cursor"])
    assert (second["count"], second["has_more"], second["next_cursor"]) == (1, False, None)
    assert {row["id"] for row in first["suggestions"] + second["suggestions"]} == made


def test_insights_are_filtered_by_state_and_scoped_to_the_tenant(api: Client, other: Client, database: Engine) -> None:
    now, product = datetime.now(UTC), uuid.uuid4()
    kept = suggestion(database, api.shop, now, product)
    suggestion(database, api.shop, now, product, status="dismissed")
    answer = api.ask("GET", "/insights/sales/suggestions", 200, status="active")
    assert [row["id"] for row in answer["suggestions"]] == [kept]
    assert answer["filters"]["status"] == "active"
    assert other.ask("GET", "/insights/sales/suggestions", 200)["count"] == 0
    together = api.ask("GET", f"/insights/sales/complementary/{product}", 200)
    assert (together["count"], together["complementary_products"][0]["id"]) == (1, kept)
    assert other.ask("GET", f"/insights/sales/complementary/{product}", 200)["count"] == 0


@pytest.mark.parametrize(
    ("path", "key"),
    [("stock/alerts", "alerts"), ("stock/replenishment", "suggestions"), ("supplier/price-alerts", "alerts")],
)
def test_every_kind_of_insight_answers_an_empty_page(api: Client, path: str, key: str) -> None:
    answer = api.ask("GET", f"/insights/{path}", 200)
    assert (answer[key], answer["count"], answer["has_more"], answer["next_cursor"]) == ([], 0, False, None)
    api.ask("GET", f"/insights/{path}", 422, limit=201)
