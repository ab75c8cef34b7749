"""What operators are told of the events, and what a replay sends again, asked of a real PostgreSQL and a real Redis."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from engines_worker.worker import TRIES, Worker
from outbox_relay.relay import Relay
from redis import Redis
from sqlalchemy import Engine, text

from basec.hosts.onhost import events
from basec.hosts.onhost.status import OUTBOX
from basec.hosts.outbox import Lag, SetAside, read_lag
from tests.services import servers
from tests.services.reference_apps.events import STREAM, insert, item, read_all, rows, sale
from tests.services.reference_apps.shop import Shop

pytestmark = pytest.mark.usefixtures("no_events_of_other_tests")

ROWS = [("pending", 90, False), ("processed", 30, False), ("failed", 900, False), ("pending", 500, True)]
"""Status, age in seconds, whether it was published: the first two are what the relay has yet to send."""


class Droplet:
    """Stands in for the containers: programs of the droplet ask this test's own servers."""

    def __init__(self, database_url: str, redis_url: str) -> None:
        self.database = database_url.replace("+psycopg2", "")
        self.socket = redis_url.removeprefix("unix://")
        self.restarted: list[str] = []

    def run(self, argv: Sequence[str], text: str = "") -> str:
        words = list(argv)
        if words[1] == "ps":
            return words[-1].rpartition("=")[2]
        if words[1] == "restart":
            self.restarted += words[2:]
            return ""
        if "psql" in words:
            program = str((servers.postgresql() or events) / "psql")  # type: ignore[operator]
            words = [program, "-qtAX", "-v", "ON_ERROR_STOP=1", self.database]
        else:
            words = ["redis-cli", "-s", self.socket, "--json", *words[words.index("redis-cli") + 1 :]]
        done = subprocess.run(words, input=text, capture_output=True, text=True, errors="replace", check=True)
        return done.stdout


@pytest.fixture
def droplet(database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Droplet:
    events.container.cache_clear()
    droplet = Droplet(database_url, redis_url)
    monkeypatch.setattr(events, "run", droplet.run)
    return droplet


@pytest.fixture
def ask(droplet: Droplet, redis: Redis) -> Any:
    """Return the program on the droplet, with an empty Redis."""
    assert droplet
    assert redis
    return events


def lag(ask: Any) -> Lag:
    return read_lag(ask.status())


def test_status_and_events_status_count_the_same_rows(ask: Any, database: Engine, shop: Shop) -> None:
    with database.begin() as connection:
        for status, age, published in ROWS:
            connection.execute(
                text(
                    "INSERT INTO event_outbox"
                    " (tenant_id, event_type, event_id, payload, status, created_at, published_at)"
                    " VALUES (:tenant, 'x', :event, '{}', :status, now() - make_interval(secs => :age),"
                    " CASE WHEN :published THEN now() END)"
                ),
                {"tenant": shop.id, "event": uuid.uuid4(), "status": status, "age": age, "published": published},
            )
        count, oldest_s = connection.execute(text(OUTBOX)).one()
    found = lag(ask)
    assert (found.unpublished, found.set_aside) == (count, 1) == (2, 1)
    assert 90 <= found.oldest_s <= 95
    assert 90 <= oldest_s <= 95


def test_nothing_at_all_is_told_as_nothing(ask: Any) -> None:
    assert lag(ask) == Lag(
        unpublished=0, oldest_s=0, stream_length=0, group_lag=None, group_pending=0, most_deliveries=0,
        group_exists=False, set_aside=0, newest_set_aside=[],
    )  # fmt: skip


def test_what_failed_for_good_is_shown_with_its_tries_and_reason(
    ask: Any, relay: Relay, worker: Worker, database: Engine, shop: Shop
) -> None:
    no_message = insert(database, shop, [1])
    unreadable = insert(database, shop, {"order_id": "no id", "items": []})
    relay.round()
    read_all(worker)
    assert (lag(ask).most_deliveries, lag(ask).group_pending) == (1, 1)
    for _ in range(TRIES - 1):
        worker.reclaim(idle_ms=0)
    found = lag(ask)
    assert (found.set_aside, found.group_pending) == (2, 0)
    assert found.newest_set_aside == [
        SetAside(event_id=unreadable, event_type="sale_recorded", tries=TRIES, reason="order_id: uuid_parsing"),
        SetAside(
            event_id=no_message, event_type="sale_recorded", tries=1, reason="payload is a JSON array, not an object"
        ),
    ]


def test_a_wiped_redis_is_refilled_with_what_was_not_finished(
    *, ask: Any, droplet: Droplet, relay: Relay, worker: Worker, redis: Redis, database: Engine, shop: Shop
) -> None:
    insert(database, shop, sale(item(uuid.uuid4())))
    relay.round()
    read_all(worker)
    for _ in range(3):
        insert(database, shop, sale(item(uuid.uuid4())))
    relay.round()
    redis.flushall()
    assert ask.replay() == {"sent_again": 3, "given": 0}
    assert droplet.restarted == ["relay", "engines"]
    worker.make_group()
    assert relay.round() == 3
    read_all(worker)
    assert len(rows(database, "engine_sales_facts", shop)) == 4
    assert ask.replay() == {"sent_again": 0, "given": 0}


def test_a_replay_leaves_out_what_is_in_the_stream_or_was_given_and_may_be_repeated(
    *, ask: Any, relay: Relay, redis: Redis, worker: Worker, database: Engine, shop: Shop
) -> None:
    assert worker, "its group is there"
    for _ in range(3):
        insert(database, shop, sale(item(uuid.uuid4())))
    relay.round()
    redis.xadd(STREAM, {"field": b"caf\xe9\0"})  # of another writer
    redis.xreadgroup("engines", "original", {STREAM: ">"}, count=2)  # which finishes nothing
    for _ in range(2):
        assert ask.replay() == {"sent_again": 0, "given": 2}
        assert relay.round() == 0
    assert redis.xlen(STREAM) == 4


def test_a_replay_sends_again_what_was_trimmed_from_the_stream_or_acknowledged_unfinished(
    *, ask: Any, relay: Relay, redis: Redis, worker: Worker, database: Engine, shop: Shop
) -> None:
    assert worker
    for _ in range(3):
        insert(database, shop, sale(item(uuid.uuid4())))
    relay.round()
    answer: Any = redis.xreadgroup("engines", "original", {STREAM: ">"})
    (first, _), (second, _), _ = answer[0][1]
    redis.xdel(STREAM, first)
    redis.xack(STREAM, "engines", second)
    assert ask.replay() == {"sent_again": 2, "given": 1}


def test_a_replay_reads_more_than_one_page(
    *,
    ask: Any,
    relay: Relay,
    redis: Redis,
    worker: Worker,
    database: Engine,
    shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert worker
    monkeypatch.setattr(events, "PAGE", 2)
    for _ in range(7):
        insert(database, shop, sale(item(uuid.uuid4())))
    relay.round()
    redis.xreadgroup("engines", "original", {STREAM: ">"}, count=5)
    assert ask.replay() == {"sent_again": 0, "given": 5}


def test_a_replay_leaves_other_verticals_alone_since_nobody_reads_them(
    ask: Any, relay: Relay, database: Engine, shop: Shop
) -> None:
    insert(database, shop, {"vertical": "food"})
    relay.round()
    assert ask.replay() == {"sent_again": 0, "given": 0}


def test_a_retry_sends_again_what_was_set_aside(ask: Any, relay: Relay, database: Engine, shop: Shop) -> None:
    event = insert(database, shop, [1])
    relay.round()
    assert ask.retry() == {"sent_again": 1, "given": 0}
    (row,) = rows(database, "event_outbox", shop)
    assert (str(row["event_id"]), row["status"], row["retry_count"]) == (event, "pending", 0)
    assert ask.retry() == {"sent_again": 0, "given": 0}


def test_a_redis_that_refuses_ends_the_program_with_its_words(
    ask: Any, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask
    redis.set(STREAM, "no stream")
    with pytest.raises(SystemExit, match=r"redis: XINFO: .*WRONGTYPE"):
        events.replay()
