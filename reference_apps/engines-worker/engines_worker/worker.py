"""The worker: read messages of the group, handle each once, take over what was left unfinished.

A message is acknowledged after its transaction. So a kill at any moment means that it comes again, and `event_id` in
`engine_processed_events`, written in that same transaction, makes the second time do nothing.
"""

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from redis import Redis
from redis.exceptions import RedisError, ResponseError
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from engines_worker import sales
from engines_worker.events import Event, read
from engines_worker.settings import Settings

RECLAIM_COUNT = 100
"""Messages looked at in one reclaim, the oldest first."""
PAUSE_S = 1.0
"""Seconds after Redis or the database failed."""
RECORDED_ONLY = frozenset({"quote_converted", "order_status_changed", "stock_updated"})

logger = logging.getLogger(__name__)

SEEN = text("SELECT 1 FROM engine_processed_events WHERE event_id = :event_id")
PROCESSED = text("""
INSERT INTO engine_processed_events (event_id, tenant_id, vertical, event_type, result)
VALUES (:event_id, :tenant_id, :vertical, :event_type, CAST(:result AS jsonb)) ON CONFLICT (event_id) DO NOTHING
""")
# Two workers may hold the same event for a moment, when one is slow and the other takes over.
ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended(:event_id, 0))")

Messages = Sequence[tuple[str, Mapping[str, str] | None]]
"""Id and fields; the fields are None when the message was trimmed away since it was taken."""


@dataclass(frozen=True, kw_only=True)
class Worker:
    """One consumer of one group."""

    engine: Engine
    redis: Redis
    settings: Settings

    def make_group(self) -> None:
        """Make the stream and the group if they are absent. Raises RedisError."""
        try:
            self.redis.xgroup_create(
                self.settings.engines_stream_name, self.settings.engines_group_name, id="0", mkstream=True
            )
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):  # it is there already
                raise

    def run(self, stop: threading.Event) -> None:
        """Handle new messages until `stop` is set, which takes effect after the current read."""
        while not stop.is_set():
            try:
                answer: Any = self.redis.xreadgroup(
                    self.settings.engines_group_name,
                    self.settings.engines_consumer_name,
                    {self.settings.engines_stream_name: ">"},
                    count=self.settings.engines_batch_size,
                    block=self.settings.engines_block_ms,
                )
            except RedisError as error:
                logger.warning("redis: %s", error)
                stop.wait(PAUSE_S)
                continue
            for _, messages in answer or ():
                if not self.handle_all(messages):
                    stop.wait(PAUSE_S)

    def reclaim_until(self, stop: threading.Event) -> None:
        """Reclaim at every interval until `stop` is set."""
        while not stop.wait(self.settings.engines_reclaim_interval):
            try:
                self.reclaim()
            except RedisError as error:
                logger.warning("redis: %s", error)

    def reclaim(self, idle_ms: int | None = None) -> None:
        """Take over and handle messages that somebody took and did not finish. Raises RedisError."""
        stream, group = self.settings.engines_stream_name, self.settings.engines_group_name
        idle = self.settings.engines_reclaim_idle_ms if idle_ms is None else idle_ms
        pending: Any = self.redis.xpending_range(stream, group, min="-", max="+", count=RECLAIM_COUNT)
        ids = [entry["message_id"] for entry in pending if entry["time_since_delivered"] >= idle]
        if ids:
            logger.info("takes over %d unfinished messages", len(ids))
            claimed: Any = self.redis.xclaim(stream, group, self.settings.engines_consumer_name, idle, ids)
            self.handle_all(claimed)

    def handle_all(self, messages: Messages) -> bool:
        """Handle and acknowledge; answer whether all went well. What failed stays pending and comes again."""
        done = []
        for message_id, fields in messages:
            try:
                if fields is not None:
                    self.handle(read(fields))
            except (ValidationError, SQLAlchemyError) as error:
                # The text of either can hold a customer's data.
                logger.warning("message %s stays pending: %s", message_id, type(error).__name__)
            else:
                done.append(message_id)
        if done:
            try:
                self.redis.xack(self.settings.engines_stream_name, self.settings.engines_group_name, *done)
            except RedisError as error:
                logger.warning("redis: %s", error)
                return False
        return len(done) == len(messages)

    def handle(self, event: Event) -> None:
        """Do what the event means, once. Raises SQLAlchemyError and pydantic.ValidationError."""
        with self.engine.begin() as connection:
            connection.execute(ONE_AT_A_TIME, {"event_id": str(event.event_id)})
            if connection.execute(SEEN, {"event_id": event.event_id}).first():
                return
            result = _dispatch(connection, event)
            row = {
                "event_id": event.event_id,
                "tenant_id": event.tenant_id,
                "vertical": event.vertical,
                "event_type": event.event_type,
                "result": json.dumps(result),
            }
            connection.execute(PROCESSED, row)


def _dispatch(connection: Connection, event: Event) -> dict[str, int]:
    if event.event_type == "sale_recorded":
        return sales.record(connection, event)
    if event.event_type not in RECORDED_ONLY:
        logger.warning("event %s: unknown type %r, recorded only", event.event_id, event.event_type)
    return {}
