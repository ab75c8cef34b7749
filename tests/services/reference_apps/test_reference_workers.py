"""Relay and engines worker on a real PostgreSQL and a real Redis: what is sent, what is done with it, and how often."""

from __future__ import annotations

import json
import signal
import threading
import time
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from engines_worker.worker import Worker
from outbox_relay.main import pause_s
from outbox_relay.relay import Relay
from outbox_relay.settings import Settings as RelaySettings
from pydantic import SecretStr
from redis import Redis
from sqlalchemy import Engine, text

from tests.services.reference_apps.events import STREAM, insert, item, pending, read_all, rows, sale, start
from tests.services.reference_apps.shop import Shop

ROOT = Path(__file__).parents[3]
WAIT_S = 20


pytestmark = pytest.mark.usefixtures("no_events_of_other_tests")


def test_message_has_the_fields_of_the_contract_all_texts(
    relay: Relay, redis: Redis, database: Engine, shop: Shop
) -> None:
    payload = sale(item(uuid.uuid4()))
    event_id = insert(database, shop, payload)
    (row,) = rows(database, "event_outbox", shop)
    assert relay.round() == 1
    entries: Any = redis.xrange(STREAM)
    ((_, fields),) = entries
    assert json.loads(fields.pop("payload")) == payload
    assert fields == {
        "event_id": event_id,
        "tenant_id": str(shop.id),
        "event_type": "sale_recorded",
        "vertical": "materials",
        "version": "1.0",
        "occurred_at": row["created_at"].isoformat(),
    }


def test_published_rows_are_marked_once_and_their_status_stays(
    relay: Relay, redis: Redis, database: Engine, shop: Shop
) -> None:
    insert(database, shop, {"vertical": "materials"})
    assert (relay.round(), relay.round()) == (1, 0)
    (row,) = rows(database, "event_outbox", shop)
    assert row["published_at"] is not None
    assert row["status"] == "pending"
    assert redis.xlen(STREAM) == 1


def test_failed_rows_are_never_sent(relay: Relay, database: Engine, shop: Shop) -> None:
    insert(database, shop, {}, status="failed")
    assert relay.round() == 0


def test_another_vertical_has_a_stream_of_its_own(relay: Relay, redis: Redis, database: Engine, shop: Shop) -> None:
    insert(database, shop, {"vertical": "food"})
    relay.round()
    assert redis.xlen("events:food") == 1


def test_rows_stay_unpublished_while_redis_is_away(database: Engine, shop: Shop) -> None:
    insert(database, shop, {})
    away = Relay(engine=database, redis=Redis(unix_socket_path="/nonexistent"), batch_size=10, max_len=0)
    assert away.round() == 0
    (row,) = rows(database, "event_outbox", shop)
    assert row["published_at"] is None


def test_a_relay_killed_between_sending_and_marking_sends_again_and_it_counts_once(
    *, relay: Relay, worker: Worker, redis: Redis, database: Engine, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(database, shop, sale(item(uuid.uuid4())))
    send = Relay._send

    def killed(self: Relay, rows: Any) -> Any:
        send(self, rows)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Relay, "_send", killed)
        with pytest.raises(KeyboardInterrupt):
            relay.round()
    assert redis.xlen(STREAM) == 1
    assert relay.round() == 1
    assert redis.xlen(STREAM) == 2
    read_all(worker)
    assert len(rows(database, "engine_sales_facts", shop)) == 1
    assert len(rows(database, "engine_stock_facts", shop)) == 1
    assert pending(redis) == 0


def test_two_relays_share_the_rows(relay: Relay, redis: Redis, database: Engine, shop: Shop) -> None:
    for _ in range(40):
        insert(database, shop, {})
    small = Relay(engine=database, redis=redis, batch_size=5, max_len=0)

    def drain() -> None:
        while small.round():
            pass

    threads = [threading.Thread(target=drain) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    relay.round()  # what the one had locked when the other saw nothing left
    assert redis.xlen(STREAM) == 40


def test_pause_grows_with_empty_rounds_and_ends_at_the_contracts_bounds() -> None:
    def settings(**changes: float) -> RelaySettings:
        return RelaySettings(database_url=SecretStr("postgresql://x/x"), secret_key=SecretStr("k"), **changes)

    assert pause_s(settings(), 0) == 0.1
    assert pause_s(settings(), 1) == 5.0
    assert pause_s(settings(), 50) == 30.0
    assert pause_s(settings(relay_poll_interval_empty=0.2), 50) == pytest.approx(1.52, abs=0.01)


def test_a_sale_becomes_one_fact_of_each_kind_per_product(
    relay: Relay, worker: Worker, database: Engine, shop: Shop
) -> None:
    product = uuid.uuid4()
    payload = sale(item(product, "10.000"), item(product, "5.000"))
    event_id = uuid.UUID(insert(database, shop, payload))
    relay.round()
    read_all(worker)
    (fact,) = rows(database, "engine_sales_facts", shop)
    assert str(fact["order_id"]) == payload["order_id"]
    assert (fact["quantity"], fact["total_value"]) == (Decimal(15), Decimal(450))
    assert fact["event_id"] == uuid.uuid5(event_id, str(product))
    (stock,) = rows(database, "engine_stock_facts", shop)
    assert (stock["movement_type"], stock["quantity_delta"], stock["quantity_after"]) == ("sale", -15, 0)
    assert stock["event_id"] == uuid.uuid5(event_id, f"stock_{product}")


@pytest.mark.parametrize("version", ["1", "1.0"])
def test_both_notations_of_version_one_are_understood(
    relay: Relay, worker: Worker, database: Engine, shop: Shop, version: str
) -> None:
    insert(database, shop, sale(item(uuid.uuid4())), version=version)
    relay.round()
    read_all(worker)
    assert len(rows(database, "engine_sales_facts", shop)) == 1


def test_the_same_event_twice_changes_nothing(
    relay: Relay, worker: Worker, redis: Redis, database: Engine, shop: Shop
) -> None:
    insert(database, shop, sale(item(uuid.uuid4()), item(uuid.uuid4())))
    relay.round()
    with database.begin() as connection:
        connection.execute(text("UPDATE event_outbox SET published_at = NULL"))
    relay.round()
    assert redis.xlen(STREAM) == 2
    read_all(worker)
    assert len(rows(database, "engine_sales_facts", shop)) == 2
    assert len(rows(database, "engine_sales_suggestions", shop)) == 2
    assert pending(redis) == 0


def test_an_unreadable_message_stays_pending_and_holds_nobody_up(
    relay: Relay, worker: Worker, redis: Redis, database: Engine, shop: Shop
) -> None:
    insert(database, shop, {"items": "no list"})
    insert(database, shop, sale(item(uuid.uuid4())))
    relay.round()
    read_all(worker)
    assert len(rows(database, "engine_sales_facts", shop)) == 1
    assert pending(redis) == 1


def test_types_that_mean_nothing_yet_are_recorded_as_processed(
    relay: Relay, worker: Worker, database: Engine, shop: Shop
) -> None:
    for kind in ("quote_converted", "never_heard_of"):
        insert(database, shop, {}, event_type=kind)
    relay.round()
    read_all(worker)
    with database.begin() as connection:
        query = text("SELECT event_type FROM engine_processed_events WHERE tenant_id = :id ORDER BY event_type")
        found = list(connection.scalars(query, {"id": shop.id}))
    assert found == ["never_heard_of", "quote_converted"]


def test_what_a_dead_consumer_took_is_taken_over(
    relay: Relay, worker: Worker, redis: Redis, database: Engine, shop: Shop
) -> None:
    insert(database, shop, sale(item(uuid.uuid4())))
    relay.round()
    redis.xreadgroup("engines", "dead", {STREAM: ">"})
    worker.reclaim()
    assert rows(database, "engine_sales_facts", shop) == [], "it was taken a moment ago: somebody may be at it"
    worker.reclaim(idle_ms=0)
    assert len(rows(database, "engine_sales_facts", shop)) == 1


def test_low_stock_opens_one_alert_with_the_sum_of_all_movements(
    relay: Relay, worker: Worker, database: Engine, shop: Shop
) -> None:
    product = uuid.uuid4()
    for _ in range(2):
        payload = sale(item(product, "9.000"))
        payload["delivered_at"] = None
        insert(database, shop, payload)
    relay.round()
    read_all(worker)
    (alert,) = rows(database, "engine_stock_alerts", shop)
    assert (alert["alert_type"], alert["risk_level"], alert["status"]) == ("rupture", "alto", "active")
    assert (alert["current_stock"], alert["days_until_rupture"]) == ("-18.000", "0.0")
    assert alert["minimum_stock"] == "1.680"  # 18 in 90 days, for 7 days and a fifth


@pytest.mark.parametrize(("together", "alone", "priority"), [(7, 3, "alta"), (2, 3, "media"), (1, 3, "baixa")])
def test_products_bought_together_are_suggested_by_their_share(
    *, relay: Relay, worker: Worker, database: Engine, shop: Shop, together: int, alone: int, priority: str
) -> None:
    source, other = uuid.uuid4(), uuid.uuid4()
    for _ in range(alone):
        insert(database, shop, sale(item(source)))
    for _ in range(together):
        insert(database, shop, sale(item(source), item(other)))
    while relay.round():
        pass
    read_all(worker)
    found = {
        (row["source_product_id"], row["suggested_product_id"]): row["priority"]
        for row in rows(database, "engine_sales_suggestions", shop)
    }
    assert found == {(source, other): priority, (other, source): "alta"}


def test_rarely_bought_together_is_no_suggestion(relay: Relay, worker: Worker, database: Engine, shop: Shop) -> None:
    source, other = uuid.uuid4(), uuid.uuid4()
    for _ in range(5):
        insert(database, shop, sale(item(source)))
    insert(database, shop, sale(item(source), item(other)))
    relay.round()
    read_all(worker)
    found = {row["source_product_id"] for row in rows(database, "engine_sales_suggestions", shop)}
    assert found == {other}, "16 % of the source's orders is below 20 %"


@pytest.mark.parametrize(
    ("name", "module"), [("outbox-relay", "outbox_relay.main"), ("engines-worker", "engines_worker.main")]
)
def test_worker_ends_with_1_when_redis_is_down_at_start(
    name: str, module: str, database_url: str, tmp_path: Path
) -> None:
    process = start(name, ["-m", module], database_url, "redis://127.0.0.1:1/0", tmp_path)
    output, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 1
    assert "redis: " in output


def test_both_processes_carry_an_event_to_a_fact_and_stop_on_sigterm(
    *, database_url: str, redis_url: str, database: Engine, new_shop: Callable[[], Shop], tmp_path: Path
) -> None:
    shop = new_shop()
    processes = [
        start("outbox-relay", ["-m", "outbox_relay.main"], database_url, redis_url, tmp_path),
        start("engines-worker", ["-m", "engines_worker.main"], database_url, redis_url, tmp_path),
    ]
    try:
        insert(database, shop, sale(item(uuid.uuid4())))
        deadline = time.monotonic() + WAIT_S
        while not rows(database, "engine_sales_facts", shop):
            assert time.monotonic() < deadline, "no fact in time"
            time.sleep(0.05)
        for process in processes:
            process.send_signal(signal.SIGTERM)
        outputs = [process.communicate(timeout=WAIT_S)[0] for process in processes]
        assert [process.returncode for process in processes] == [0, 0], outputs
    finally:
        for process in processes:
            process.kill()
            process.communicate()
