"""The workers' health check on a real PostgreSQL and a real Redis: what counts as progress, and what does not."""

from __future__ import annotations

import importlib.util
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from tests.services.reference_apps.shop import Shop

PROGRAM = Path(__file__).parents[3] / "compose/infra/workers/health.py"
STREAM = "events:materials"
NOWHERE = "postgresql+psycopg2://postgres@/postgres?host=/nonexistent"

# The exit code and what was printed.
Health = Callable[[str], tuple[int, str]]


@pytest.fixture
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("worker_health", PROGRAM)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def health(
    *,
    program: ModuleType,
    database: Engine,
    database_url: str,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Health:
    """Ask as the container's health check does; the outbox holds no rows of other tests."""
    with database.begin() as connection:
        connection.execute(text("DELETE FROM event_outbox"))
    for name, value in (
        ("DATABASE_URL", database_url), ("REDIS_URL", redis_url), ("ENGINES_CONSUMER_NAME", "engines-1")
    ):  # fmt: skip
        monkeypatch.setenv(name, value)

    def ask(worker: str) -> tuple[int, str]:
        code = program.main([worker])
        return code, capsys.readouterr().out

    return ask


def event(
    database: Engine, shop: Shop, *, waited_s: int, published_s: int | None = None, status: str = "pending"
) -> None:
    """Write an event that is `waited_s` old and, if at all, went out `published_s` seconds ago."""
    statement = text(
        "INSERT INTO event_outbox (tenant_id, event_type, event_id, payload, status, created_at, published_at)"
        " VALUES (:tenant, 'sale_recorded', :event, '{}', :status, now() - make_interval(secs => :waited),"
        " now() - make_interval(secs => CAST(:published AS float)))"
    )
    values: dict[str, Any] = {"tenant": shop.id, "event": uuid.uuid4(), "status": status}
    with database.begin() as connection:
        connection.execute(statement, values | {"waited": waited_s, "published": published_s})


def read(redis: Redis, consumer: str = "engines-1") -> None:
    """Ask for messages as the worker does, and finish none."""
    redis.xreadgroup("engines", consumer, {STREAM: ">"}, count=10)


@pytest.fixture
def group(redis: Redis) -> Redis:
    redis.xgroup_create(STREAM, "engines", id="0", mkstream=True)
    return redis


def test_a_relay_with_nothing_to_do_is_well(health: Health) -> None:
    assert health("relay") == (0, "ok\n")


def test_an_event_that_waits_for_less_than_a_minute_is_no_alarm(health: Health, database: Engine, shop: Shop) -> None:
    event(database, shop, waited_s=50)
    assert health("relay") == (0, "ok\n")


def test_a_relay_that_leaves_an_event_for_more_than_a_minute_is_unwell(
    health: Health, database: Engine, shop: Shop
) -> None:
    event(database, shop, waited_s=70)
    event(database, shop, waited_s=4000, published_s=61)
    assert health("relay") == (1, "the oldest event has waited for 70 s, and none went out in the last 60 s\n")


def test_a_relay_that_catches_up_is_well_however_old_the_rest_is(health: Health, database: Engine, shop: Shop) -> None:
    event(database, shop, waited_s=7000)
    event(database, shop, waited_s=7200, published_s=5)
    assert health("relay") == (0, "ok\n")


def test_a_publication_in_the_future_counts_for_nothing(health: Health, database: Engine, shop: Shop) -> None:
    """An application whose session is not in UTC writes its times hours ahead: the check could never fail."""
    event(database, shop, waited_s=70)
    event(database, shop, waited_s=4000, published_s=-3 * 3600)
    assert health("relay") == (1, "the oldest event has waited for 70 s, and none went out in the last 60 s\n")


def test_failed_events_wait_for_people_and_not_for_the_relay(health: Health, database: Engine, shop: Shop) -> None:
    event(database, shop, waited_s=7000, status="failed")
    assert health("relay") == (0, "ok\n")


def test_relay_without_postgresql_is_unwell(health: Health, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", NOWHERE)
    code, said = health("relay")
    assert code == 1
    assert said.startswith("OperationalError: ")
    assert said.count("\n") == 1


def test_engines_that_ask_for_messages_are_well_with_messages_that_stay_pending(health: Health, group: Redis) -> None:
    """`version` 1.0 makes the original worker raise: every message it was given stays pending for ever."""
    for _ in range(3):
        group.xadd(STREAM, {"version": "1.0"})
    read(group)
    assert group.xpending(STREAM, "engines")["pending"] == 3
    assert health("engines") == (0, "ok\n")


def test_engines_that_ask_for_nothing_are_unwell(
    health: Health, group: Redis, program: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert program.BOUND_S == 60
    group.xadd(STREAM, {"a": "b"})  # before Redis 7.2 an empty read left no trace
    read(group)
    monkeypatch.setattr(program, "BOUND_S", 0)
    time.sleep(0.05)
    assert health("engines") == (1, "engines-1 has asked for nothing in 0 s\n")


def test_engines_of_another_name_do_not_count(health: Health, group: Redis) -> None:
    group.xadd(STREAM, {"a": "b"})
    read(group, "engines-2")
    assert health("engines") == (1, f"{STREAM}, group engines: no consumer engines-1\n")


def test_engines_whose_stream_or_group_is_gone_are_unwell(health: Health, redis: Redis) -> None:
    code, said = health("engines")
    assert (code, said) == (1, f"{STREAM}, group engines: no such key\n")
    redis.xadd(STREAM, {"a": "b"})
    code, said = health("engines")
    assert code == 1
    assert "NOGROUP" in said


def test_engines_without_redis_are_unwell(health: Health, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    code, said = health("engines")
    assert code == 1
    assert said.startswith("ConnectionError: ")


def test_engines_that_leave_an_unfinished_message_alone_are_unwell(
    health: Health, group: Redis, program: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their thread that takes messages over has died, while the one that asks for new messages lives on."""
    assert (program.RECLAIM_S, program.RECLAIM_IDLE_MS) == (60, 60_000), "the application's own defaults"
    group.xadd(STREAM, {"a": "b"})
    read(group)
    group.xclaim(STREAM, "engines", "engines-1", 0, [pending_id(group)], idle=170_000)
    read(group)
    assert health("engines") == (0, "ok\n"), "two intervals are no alarm"
    group.xclaim(STREAM, "engines", "engines-1", 0, [pending_id(group)], idle=181_000)
    read(group)
    said = "the oldest unfinished message was left alone for 181 s: nobody takes messages over\n"
    assert health("engines") == (1, said)


def pending_id(redis: Redis) -> str:
    answer: Any = redis.xpending_range(STREAM, "engines", "-", "+", 1)
    return str(answer[0]["message_id"])


def test_a_consumer_whose_name_is_no_text_keeps_nobody_from_being_well(health: Health, group: Redis) -> None:
    ask: Any = group.execute_command
    ask("XGROUP", "CREATECONSUMER", STREAM, "engines", b"caf\xe9")
    group.xadd(STREAM, {"a": "b"})
    read(group)
    assert health("engines") == (0, "ok\n")


@pytest.mark.parametrize("worker", ["relay", "engines"])
def test_whatever_keeps_the_check_from_asking_is_said_in_one_line(
    worker: str, health: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.setenv(name, "no\nurl")
    code, said = health(worker)
    assert code == 1
    assert said.count("\n") == 1


def test_an_unknown_worker_is_a_wrong_call_and_not_an_ill_one(health: Health) -> None:
    assert health("postgres") == (2, "usage: health.py relay|engines\n")
