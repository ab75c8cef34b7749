"""Events go from an order to the engines' facts, none lost and none twice, whatever is killed or wiped on the way."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from basec.hosts import demo_tenant
from tests import turns
from tests.e2e.stack import STACK, LocalStack, docker

pytestmark = pytest.mark.real

FACT_S = 5.0
"""Seconds from the order's delivery to its fact."""
GRACE_S = 35.0
"""Seconds that compose leaves a worker (`stop_grace_period`)."""
SETTLE_S = 90.0
"""Seconds for a restarted worker to do what the killed one left: what that one had in hand it takes up at its start."""


DESTROY_GROUP = """
docker exec --interactive infra-redis-1 sh <<'END'
REDISCLI_AUTH=$(sed -n 's/^requirepass //p' /run/secrets/redis_auth.conf)
export REDISCLI_AUTH
redis-cli XGROUP DESTROY events:materials engines
END
"""


class Api:
    """The shop's API through the edge, as the demo tenant's admin."""

    def __init__(self, stack: LocalStack) -> None:
        self.stack = stack
        self.headers = {"Authorization": f"Bearer {stack.token()}", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, expect: int, body: object = None) -> Any:
        text = None if body is None else json.dumps(body)
        answer = self.stack.request(method, f"/api/v1{path}", headers=self.headers, body=text)
        while answer.status == 503:  # the edge's own limit of 10 requests a second
            time.sleep(0.5)
            answer = self.stack.request(method, f"/api/v1{path}", headers=self.headers, body=text)
        assert answer.status == expect, answer
        return answer.json()

    def delivered_order(self, products: int = 2) -> dict[str, Any]:
        """Make customer, products, quote and order, and deliver it."""
        mark = uuid.uuid4().hex[:12]
        client = self.ask("POST", "/clientes/", 201, {"tipo": "PF", "nome": "Ana", "documento": mark})["id"]
        lines = []
        for number in range(products):
            body = {"codigo": f"{mark}-{number}", "nome": "Cimento", "unidade": "SC", "preco_base": "30.00"}
            lines.append({"produto_id": self.ask("POST", "/produtos/", 201, body)["id"], "quantidade": "10"})
        quote = self.ask("POST", "/cotacoes/", 201, {"cliente_id": client, "itens": lines})["id"]
        self.ask("POST", f"/cotacoes/{quote}/enviar", 200)
        self.ask("POST", f"/cotacoes/{quote}/aprovar", 200)
        order: dict[str, Any] = self.ask("POST", f"/pedidos/from-cotacao/{quote}", 201)
        self.ask("PUT", f"/pedidos/{order['id']}", 200, {"status": "entregue"})
        return order


@pytest.fixture(scope="module")
def api(stack: LocalStack) -> Api:
    return Api(stack)


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.1)


def insert_sales(stack: LocalStack, count: int) -> str:
    """Write sales to the outbox as construction does, and answer the mark (an order id) that all of them carry."""
    order = str(uuid.uuid4())
    stack.sql(
        "INSERT INTO event_outbox (tenant_id, event_type, event_id, payload)"  # noqa: S608 - our own values
        " SELECT t.id, 'sale_recorded', gen_random_uuid(), jsonb_build_object('vertical', 'materials',"
        f" 'order_id', '{order}', 'client_id', gen_random_uuid(), 'items', jsonb_build_array(jsonb_build_object("
        " 'product_id', gen_random_uuid(), 'quantity', '1.000', 'unit_price', '1.00', 'total_value', '1.00')))"
        f" FROM tenants t, generate_series(1, {count}) WHERE t.slug = 'demo'",
    )
    return order


def facts(stack: LocalStack, order: str) -> int:
    return int(stack.sql(f"SELECT count(*) FROM engine_sales_facts WHERE order_id = '{order}'"))  # noqa: S608 - our own


def unfinished(stack: LocalStack) -> int:
    return int(
        stack.sql(
            "SELECT count(*) FROM event_outbox o WHERE NOT EXISTS"
            " (SELECT FROM engine_processed_events p WHERE p.event_id = o.event_id)",
        )
    )


def test_the_sale_that_up_made_in_the_demo_shop_became_facts(stack: LocalStack) -> None:
    order = stack.sql(f"SELECT id FROM pedidos WHERE cotacao_id = '{demo_tenant.QUOTE}' AND status = 'entregue'")  # noqa: S608 - our own
    wait_for(lambda: facts(stack, order) == 3, SETTLE_S, "a fact for each of its products")
    assert "Alertas de estoque" in stack.get("/web/dashboard", Cookie=stack.cookie()).body


def test_a_delivered_order_is_a_fact_within_5_seconds_and_shows_in_insights(stack: LocalStack, api: Api) -> None:
    with turns.quiet():
        order = api.delivered_order()
        delivered = time.monotonic()
        wait_for(lambda: facts(stack, order["id"]) == 2, FACT_S, "a fact for each product")
        assert time.monotonic() - delivered < FACT_S
    product, other = (item["produto_id"] for item in order["itens"])
    together = api.ask("GET", f"/insights/sales/complementary/{product}", 200)
    assert [row["suggested_product_id"] for row in together["complementary_products"]] == [other]
    alerts = api.ask("GET", "/insights/stock/alerts?status=active&limit=200", 200)["alerts"]
    assert {product, other} <= {alert["product_id"] for alert in alerts}, "sold without stock"


# The process in the container, not the container: Docker restarts what died, and leaves what was stopped. It is stopped
# before it is killed, so that what it had not done yet can be counted.
KILL = """
psql() {{ docker exec infra-postgres-1 psql -qtAX -v ON_ERROR_STOP=1 -U basecommerce -c "$1"; }}
pid=$(docker top infra-{worker}-1 -o pid,args | awk '/python3 -m/ {{print $1}}')
until [ "$(psql "{done}")" -gt 0 ]; do :; done
kill -STOP $pid
psql "{left}"
kill -KILL $pid
"""
SENT = "FROM event_outbox WHERE payload->>'order_id' = '{order}' AND published_at IS"
WORK = {
    "relay": (f"SELECT count(*) {SENT} NOT NULL", f"SELECT count(*) {SENT} NULL"),
    "engines": (
        "SELECT count(*) FROM engine_sales_facts WHERE order_id = '{order}'",
        "SELECT {count} - count(*) FROM engine_sales_facts WHERE order_id = '{order}'",
    ),
}
"""By worker: how much it has done, and how much is left."""


@pytest.mark.parametrize("worker", ["relay", "engines"])
def test_a_worker_killed_in_the_middle_of_its_work_loses_and_doubles_nothing(stack: LocalStack, worker: str) -> None:
    count = 1000
    with turns.quiet():
        order = insert_sales(stack, count)
        done, left = (text.format(order=order, count=count) for text in WORK[worker])
        assert int(stack.inside("infra", KILL.format(worker=worker, done=done, left=left))) > 0, "it was done already"
        wait_for(lambda: facts(stack, order) == count, SETTLE_S, f"{count} facts")
        wait_for(lambda: unfinished(stack) == 0, SETTLE_S, "every event processed")
    assert facts(stack, order) == count


@pytest.mark.parametrize("worker", ["relay", "engines"])
def test_a_worker_that_is_asked_to_stop_ends_in_order_within_its_grace(stack: LocalStack, worker: str) -> None:
    container = f"infra-{worker}-1"
    started = time.monotonic()
    stack.inside("infra", f"docker stop {container}")
    assert time.monotonic() - started < GRACE_S
    code = stack.inside("infra", f"docker inspect --format '{{{{.State.ExitCode}}}}' {container}").strip()
    stack.inside("infra", f"docker start {container}")
    assert code == "0", "137: it was killed"


def test_a_wiped_redis_is_refilled_by_one_command(stack: LocalStack) -> None:
    # Published but not processed: the engines stand still while the relay goes on.
    stack.inside("infra", "docker stop --time 10 infra-engines-1")
    order = insert_sales(stack, 50)
    waiting = "SELECT count(*) FROM event_outbox WHERE published_at IS NULL"
    wait_for(lambda: stack.sql(waiting) == "0", SETTLE_S, "all published")
    lost = unfinished(stack)
    wipe = "docker stop infra-redis-1 && rm -rf /mnt/data/redis/* && docker start infra-redis-1"
    with turns.quiet():
        stack.inside("infra", wipe)
        there = "docker ps --filter name=infra-redis-1"
        wait_for(lambda: "(healthy)" in stack.inside("infra", there), 30, "Redis is back")
    replay = ("events", "replay", "--env", STACK)
    output = stack.basec(*replay)
    assert f"{lost} {'event' if lost == 1 else 'events'} will be sent again" in output.splitlines()
    assert lost >= 50
    wait_for(lambda: facts(stack, order) == 50, SETTLE_S, "50 facts")
    assert "0 events will be sent again" in stack.basec(*replay).splitlines()
    wait_for(lambda: unfinished(stack) == 0, SETTLE_S, "every event processed")
    assert facts(stack, order) == 50


def test_events_status_sees_that_nothing_waits(stack: LocalStack) -> None:
    status = json.loads(stack.basec("events", "status", "--env", STACK, "--json"))
    assert (status["unpublished"], status["group_exists"], status["group_lag"]) == (0, True, 0)
    assert stack.sql("SELECT count(*) FROM event_outbox WHERE published_at > now()") == "0", "the relay speaks UTC"


def test_a_row_that_can_be_no_message_is_set_aside_and_shown(stack: LocalStack) -> None:
    event = stack.sql(
        "INSERT INTO event_outbox (tenant_id, event_type, event_id, payload)"
        " SELECT id, 'sale_recorded', gen_random_uuid(), '[1]' FROM tenants WHERE slug = 'demo' RETURNING event_id"
    )
    found = f"FROM event_outbox WHERE event_id = '{event}'"
    try:
        wait_for(lambda: stack.sql(f"SELECT status {found}") == "failed", 30, "set aside")
        status = json.loads(stack.basec("events", "status", "--env", STACK, "--json"))
        assert event in [each["event_id"] for each in status["newest_set_aside"]]
    finally:
        stack.sql(f"DELETE {found}")


def test_engines_without_their_group_are_unhealthy_and_say_why(stack: LocalStack) -> None:
    def health() -> str:
        script = "set -a; . /run/secrets/env; python3 /etc/basecommerce/health.py engines"
        return stack.inside("infra", f"docker exec infra-engines-1 sh -c '{script}'", check=False).strip()

    assert health() == "ok"
    docker("exec", "--interactive", stack.container("infra"), "bash", stdin=DESTROY_GROUP)
    assert "NOGROUP" in health()
    with turns.quiet():
        stack.basec("events", "replay", "--env", STACK)
        wait_for(lambda: health() == "ok", 30, "healthy again")
