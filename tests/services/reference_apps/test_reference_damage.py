"""One element that cannot be handled stops neither relay nor engines, and people get to see it."""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from engines_worker import worker as engines
from engines_worker.worker import TRIES, Worker
from outbox_relay import main as relay_main
from outbox_relay.relay import Relay
from outbox_relay.settings import Settings as RelaySettings
from pydantic import SecretStr
from redis import Redis
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from tests.services.reference_apps.events import STREAM, insert, item, pending, read_all, rows, sale, start
from tests.services.reference_apps.shop import Shop

pytestmark = pytest.mark.usefixtures("no_events_of_other_tests")

WAIT_S = 20

NO_MESSAGES: dict[str, tuple[Any, dict[str, Any], str]] = {
    "an array": ([1], {}, "payload is a JSON array, not an object"),
    "a text": ("text", {}, "payload is a JSON string, not an object"),
    "a number": (5, {}, "payload is a JSON number, not an object"),
    "null": (None, {}, "payload is a JSON null, not an object"),
    "a number for a vertical": ({"vertical": 5}, {}, "payload's vertical is a JSON number, not a string"),
    "an object for a vertical": ({"vertical": {"a": 1}}, {}, "payload's vertical is a JSON object, not a string"),
    "no moment": ({}, {"created_at": "infinity"}, "created_at is no moment"),
    "a stream that is none": (
        {"vertical": "taken"},
        {},
        "WRONGTYPE Operation against a key holding the wrong kind of value",
    ),
}
"""Payload, other columns, and what is said of the row."""

STRANGE: dict[str, tuple[Any, dict[str, Any]]] = {
    "nested deeper than Python reads": ({"a": json.loads("[" * 900 + "]" * 900)}, {}),
    "a number that no float holds": ({"a": 10**400}, {}),
    "a year that Python does not know": ({}, {"created_at": "12026-01-01"}),
    "no vertical": ({"vertical": None}, {}),
}
"""A driver would not represent these, or change them; they are messages all the same."""


@pytest.mark.parametrize("case", NO_MESSAGES)
def test_a_row_that_can_be_no_message_is_set_aside_and_the_others_go_out(
    *, case: str, relay: Relay, redis: Redis, database: Engine, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    payload, columns, problem = NO_MESSAGES[case]
    redis.set("events:taken", "no stream")
    good = [insert(database, shop, {}), "", insert(database, shop, {})]
    good[1] = insert(database, shop, payload, **columns)
    bad = good.pop(1)
    assert relay.round() == 3
    assert relay.round() == 0
    entries: Any = redis.xrange(STREAM)
    assert [fields["event_id"] for _, fields in entries] == good
    found = {str(row["event_id"]): row for row in rows(database, "event_outbox", shop)}
    assert (found[bad]["status"], found[bad]["error_message"], found[bad]["retry_count"]) == ("failed", problem, 1)
    assert found[bad]["failed_at"] is not None
    assert found[bad]["published_at"] is None
    assert all(found[event]["published_at"] for event in good)
    assert f"event {bad} is set aside: {problem}" in caplog.text


@pytest.mark.parametrize("case", STRANGE)
def test_a_row_that_the_driver_could_not_represent_goes_out_as_it_is(
    case: str, relay: Relay, redis: Redis, database: Engine, shop: Shop
) -> None:
    payload, columns = STRANGE[case]
    insert(database, shop, payload, **columns)
    assert relay.round() == 1
    entries: Any = redis.xrange(STREAM)
    ((_, fields),) = entries
    assert fields["payload"] == json.dumps(payload)


def test_what_went_out_in_a_round_is_marked_when_a_later_row_breaks_in_a_way_that_nobody_foresaw(
    relay: Relay, redis: Redis, database: Engine, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [insert(database, shop, {}) for _ in range(3)]
    whole = relay.redis.xadd

    def broken(stream: str, fields: Mapping[str, str], **options: Any) -> Any:
        if fields["event_id"] == events[1]:
            raise ZeroDivisionError("nobody foresaw this")
        return whole(stream, fields, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(relay.redis, "xadd", broken)
    assert relay.round() == 3
    assert redis.xlen(STREAM) == 2
    states = {
        str(row["event_id"]): (row["status"], row["error_message"]) for row in rows(database, "event_outbox", shop)
    }
    assert states[events[1]] == ("failed", "ZeroDivisionError")
    assert states[events[0]] == states[events[2]] == ("pending", None)


def test_rows_that_redis_refuses_wait_behind_the_others_and_are_tried_again(
    *, redis: Redis, database: Engine, shop: Shop, redis_url: str
) -> None:
    refused = [insert(database, shop, {"vertical": "refused"}) for _ in range(3)]
    good = insert(database, shop, {})
    ask: Any = redis.execute_command
    ask("ACL", "SETUSER", "relay", "on", "nopass", "+@all", "~events:materials")
    narrow = Redis.from_url(redis_url, username="relay", password="any", decode_responses=True)
    relay = Relay(engine=database, redis=narrow, batch_size=3, max_len=0)
    assert (relay.round(), redis.xlen(STREAM)) == (0, 0)
    assert (relay.round(), redis.xlen(STREAM)) == (1, 1), "three that are refused hide no fourth"
    found = {str(row["event_id"]): row for row in rows(database, "event_outbox", shop)}
    assert found[good]["published_at"] is not None
    assert {(found[event]["status"], found[event]["retry_count"] > 0) for event in refused} == {("pending", True)}
    ask("ACL", "SETUSER", "relay", "~events:*")
    assert relay.round() == 3
    sent = {(row["retry_count"], row["error_message"]) for row in rows(database, "event_outbox", shop)}
    assert sent == {(0, None)}, "the engines' own tries are counted from nothing"
    ask("ACL", "DELUSER", "relay")


@pytest.mark.parametrize(
    "error", [OperationalError("", {}, Exception()), ZeroDivisionError(), UnicodeDecodeError("u", b"", 0, 1, "")]
)
def test_no_failed_round_ends_the_relay(error: Exception) -> None:
    stop = threading.Event()

    class Failing:
        rounds = 0

        def round(self) -> int:
            self.rounds += 1
            if self.rounds == 3:
                stop.set()
            raise error

    settings = RelaySettings(
        database_url=SecretStr("postgresql://x/x"), secret_key=SecretStr("k"), relay_poll_interval_empty=0.001
    )
    failing = Failing()
    relay_main.run(failing, settings, stop)  # type: ignore[arg-type]
    assert failing.rounds == 3


def test_published_at_is_utc_without_a_zone_and_so_hours_off_in_a_session_of_another(
    *, relay: Relay, redis: Redis, database: Engine, shop: Shop, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    age = text("SELECT extract(epoch FROM now() - max(published_at))::float FROM event_outbox")
    insert(database, shop, {})
    relay.round()
    with database.connect() as connection:
        assert 0 <= connection.scalar(age) < WAIT_S
    monkeypatch.delenv("PGTZ")
    local = create_engine(database_url)
    insert(database, shop, {})
    Relay(engine=local, redis=redis, batch_size=10, max_len=0).round()
    with local.connect() as connection:
        assert connection.scalar(age) == pytest.approx(-3 * 3600, abs=WAIT_S), "so the compose files give PGTZ"
    local.dispose()


def raw(shop: Shop, **changes: bytes) -> dict[bytes, bytes]:
    """Return a message as the relay writes it, with fields changed."""
    fields = {
        "event_id": str(uuid.uuid4()).encode(),
        "tenant_id": str(shop.id).encode(),
        "event_type": b"sale_recorded",
        "vertical": b"materials",
        "version": b"1.0",
        "occurred_at": b"2026-05-04T12:30:00.123456+00:00",
        "payload": json.dumps(sale(item(uuid.uuid4()))).encode(),
    }
    return {name.encode(): value for name, value in (fields | changes).items()}


UNREADABLE: dict[str, Callable[[Shop], dict[bytes, bytes]]] = {
    "nothing of ours": lambda _: {b"a": b"b"},
    "a value that is not UTF-8": lambda shop: raw(shop, event_type=b"caf\xe9"),
    "an id that is not UTF-8": lambda shop: raw(shop, event_id=b"caf\xe9"),
    "NUL in event_type": lambda shop: raw(shop, event_type=b"sale\0recorded"),
    "NUL in vertical": lambda shop: raw(shop, vertical=b"mat\0erials"),
    "a type that is too long": lambda shop: raw(shop, event_type=b"x" * 101),
    "an empty payload": lambda shop: raw(shop, payload=b""),
    "a cut payload": lambda shop: raw(shop, payload=b'{"items": ['),
    "null for a payload": lambda shop: raw(shop, payload=b"null"),
    "a payload nested too deep": lambda shop: raw(shop, payload=b"[" * 100_000),
    "items that are no list": lambda shop: raw(shop, payload=b'{"order_id": "x", "items": "none"}'),
    "a quantity that no column holds": lambda shop: raw(
        shop, payload=json.dumps(sale(item(uuid.uuid4(), "1e12", "1"))).encode()
    ),
    "a quantity that is no number": lambda shop: raw(
        shop, payload=json.dumps(sale(item(uuid.uuid4()) | {"quantity": "NaN"})).encode()
    ),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_message_that_cannot_be_handled_ends_neither_loop_and_is_set_aside_after_its_tries(
    *, case: str, worker: Worker, redis: Redis, database: Engine, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "PAUSE_S", 0.01)
    fast = worker.settings.model_copy(update={"engines_reclaim_interval": 0.05, "engines_reclaim_idle_ms": 1})
    worker = Worker(engine=worker.engine, redis=worker.redis, settings=fast)
    bad: Any = UNREADABLE[case](shop)
    worker.redis.xadd(STREAM, bad)
    worker.redis.xadd(STREAM, raw(shop))  # type: ignore[arg-type]
    stop = threading.Event()
    loops = [threading.Thread(target=loop, args=(stop,)) for loop in (worker.run, worker.reclaim_until)]
    for loop in loops:
        loop.start()
    try:
        deadline = time.monotonic() + WAIT_S
        while pending(redis) or not rows(database, "engine_sales_facts", shop):
            assert time.monotonic() < deadline, "not in time"
            time.sleep(0.01)
        assert [loop.is_alive() for loop in loops] == [True, True]
    finally:
        stop.set()
        for loop in loops:
            loop.join(WAIT_S)
    assert redis.xlen(STREAM) == 2, "it is still to be looked at"
    assert len(rows(database, "engine_sales_facts", shop)) == 1


def test_an_event_that_failed_five_times_is_set_aside_in_the_outbox_with_count_and_reason(
    *, relay: Relay, worker: Worker, redis: Redis, database: Engine, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    event = insert(database, shop, {"order_id": "no id", "items": []})
    relay.round()
    read_all(worker)
    for tries in range(1, TRIES):
        (row,) = rows(database, "event_outbox", shop)
        assert (row["status"], row["retry_count"], row["failed_at"]) == ("pending", tries, None)
        assert pending(redis) == 1
        worker.reclaim(idle_ms=0)
    (row,) = rows(database, "event_outbox", shop)
    assert (str(row["event_id"]), row["status"], row["retry_count"]) == (event, "failed", TRIES)
    assert row["error_message"] == "order_id: uuid_parsing"
    assert row["failed_at"] is not None
    assert pending(redis) == 0
    assert "is set aside, try 5 of 5: order_id: uuid_parsing" in caplog.text
    assert "no id" not in caplog.text, "a customer's data"


def test_a_hundred_messages_that_fail_hide_no_younger_one(
    worker: Worker, redis: Redis, database: Engine, shop: Shop
) -> None:
    for _ in range(engines.RECLAIM_COUNT + 5):
        worker.redis.xadd(STREAM, {"a": "b"})
    worker.redis.xadd(STREAM, raw(shop))  # type: ignore[arg-type]
    redis.xreadgroup("engines", "dead", {STREAM: ">"})
    worker.reclaim(idle_ms=0)
    assert len(rows(database, "engine_sales_facts", shop)) == 1
    assert pending(redis) == engines.RECLAIM_COUNT + 5


def test_what_the_database_does_not_answer_counts_against_no_event(
    relay: Relay, worker: Worker, redis: Redis, database: Engine, shop: Shop
) -> None:
    insert(database, shop, sale(item(uuid.uuid4())))
    relay.round()
    away = Worker(
        engine=create_engine("postgresql+psycopg2://x@/x?host=/nonexistent"),
        redis=worker.redis,
        settings=worker.settings,
    )
    with pytest.raises(OperationalError):
        read_all(away)
    for _ in range(TRIES + 1):
        with pytest.raises(OperationalError):
            away.reclaim(idle_ms=0)
    (row,) = rows(database, "event_outbox", shop)
    assert (row["status"], row["retry_count"]) == ("pending", 0)
    worker.reclaim(idle_ms=0)
    assert (len(rows(database, "engine_sales_facts", shop)), pending(redis)) == (1, 0)


def test_a_schema_that_is_not_there_yet_counts_against_no_event(
    relay: Relay, worker: Worker, redis: Redis, database: Engine, shop: Shop
) -> None:
    insert(database, shop, sale(item(uuid.uuid4())))
    relay.round()
    rename = "ALTER TABLE {} RENAME TO {}"
    with database.begin() as connection:
        connection.execute(text(rename.format("engine_sales_facts", "hidden")))
    try:
        read_all(worker)
    finally:
        with database.begin() as connection:
            connection.execute(text(rename.format("hidden", "engine_sales_facts")))
    (row,) = rows(database, "event_outbox", shop)
    assert (row["status"], row["retry_count"], pending(redis)) == ("pending", 0, 1)


def test_a_worker_that_may_not_write_to_the_outbox_goes_on_and_leaves_the_message_pending(
    *, relay: Relay, worker: Worker, redis: Redis, database: Engine, shop: Shop
) -> None:
    insert(database, shop, {"order_id": "no id", "items": []})
    insert(database, shop, sale(item(uuid.uuid4())))
    relay.round()
    with database.begin() as connection:
        connection.execute(text("CREATE ROLE narrow LOGIN"))
        for table in ("engine_processed_events", "engine_sales_facts", "engine_stock_facts", "engine_stock_alerts"):
            connection.execute(text(f"GRANT SELECT, INSERT, UPDATE ON {table} TO narrow"))
    engine = create_engine(database.url.set(username="narrow"))
    try:
        read_all(Worker(engine=engine, redis=worker.redis, settings=worker.settings))
    finally:
        engine.dispose()
        with database.begin() as connection:
            connection.execute(text("DROP OWNED BY narrow"))
            connection.execute(text("DROP ROLE narrow"))
    assert (len(rows(database, "engine_sales_facts", shop)), pending(redis)) == (1, 1)


def test_a_restarted_worker_takes_up_at_once_what_it_had_in_hand(
    relay: Relay, worker: Worker, redis: Redis, database: Engine, shop: Shop
) -> None:
    insert(database, shop, sale(item(uuid.uuid4())))
    relay.round()
    redis.xreadgroup("engines", worker.settings.engines_consumer_name, {STREAM: ">"})  # and was killed
    stop = threading.Event()
    loop = threading.Thread(target=worker.run, args=(stop,))
    loop.start()
    deadline = time.monotonic() + WAIT_S
    while pending(redis):
        assert time.monotonic() < deadline, f"idle for less than {worker.settings.engines_reclaim_idle_ms} ms"
        time.sleep(0.01)
    stop.set()
    loop.join(WAIT_S)
    assert len(rows(database, "engine_sales_facts", shop)) == 1


@pytest.mark.parametrize("error", [ValueError("any"), UnicodeDecodeError("u", b"", 0, 1, "")])
def test_no_failed_read_ends_the_worker(
    error: Exception, worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engines, "PAUSE_S", 0.001)
    stop, reads = threading.Event(), []

    def failing(*_: object, **__: object) -> None:
        reads.append(1)
        if len(reads) == 3:
            stop.set()
        raise error

    monkeypatch.setattr(worker.redis, "xreadgroup", failing)
    with caplog.at_level(logging.ERROR):
        worker.run(stop)
    assert len(reads) == 3
    assert "this round failed; the next one comes" in caplog.text


DIES = """
import sys
from engines_worker import main, worker
def dies(*_): raise SystemExit
worker.Worker.reclaim = dies
sys.exit(main.main())
"""


def test_the_process_ends_when_its_reclaiming_thread_does(database_url: str, redis_url: str, tmp_path: Path) -> None:
    """A thread that dies alone is seen by nobody; where a process ends, Docker starts another."""
    process = start("engines-worker", ["-c", DIES], database_url, redis_url, tmp_path)
    output, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 1
    assert "the reclaiming thread ended by itself" in output
