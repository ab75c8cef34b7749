"""The worker: read messages of the group, handle each once, take over what was left unfinished.

A message is acknowledged after its transaction. So a kill at any moment means that it comes again, and `event_id` in
`engine_processed_events`, written in that same transaction, makes the second time do nothing.

A message that fails holds nobody up. Its tries are counted in its row of the outbox (`retry_count`, `error_message`);
after the last one the row's status becomes `failed`, and people see it in `basec events status`.
"""

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from redis import Redis
from redis.exceptions import RedisError, ResponseError
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from engines_worker import sales
from engines_worker.events import Event, event_id, read
from engines_worker.settings import Settings

RECLAIM_COUNT = 100
"""Messages looked at in one step of a reclaim."""
TRIES = 5
"""After as many an event is set aside: at the default interval, after five minutes."""
PROBLEM_LENGTH = 200
"""Characters of what is kept of a failure."""
PAUSE_S = 1.0
"""Seconds after Redis or the database failed."""
RECORDED_ONLY = frozenset({"quote_converted", "order_status_changed", "stock_updated"})
NOT_THE_EVENTS = (InternalError, OperationalError, ProgrammingError)
"""Faults of the database or its schema. They count against no event: all would fail."""

logger = logging.getLogger(__name__)

SEEN = text("SELECT 1 FROM engine_processed_events WHERE event_id = :event_id")
PROCESSED = text("""
INSERT INTO engine_processed_events (event_id, tenant_id, vertical, event_type, result)
VALUES (:event_id, :tenant_id, :vertical, :event_type, CAST(:result AS jsonb)) ON CONFLICT (event_id) DO NOTHING
""")
# Two workers may hold the same event for a moment, when one is slow and the other takes over.
ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended(:event_id, 0))")
COUNT = text("""
UPDATE event_outbox SET retry_count = retry_count + 1, error_message = :problem, updated_at = now(),
  status = CASE WHEN retry_count + 1 < :tries THEN status ELSE 'failed' END,
  failed_at = CASE WHEN retry_count + 1 < :tries THEN failed_at ELSE now() END
WHERE event_id = :event_id RETURNING retry_count
""")

Fields = Mapping[bytes, bytes]
"""Of a message, as bytes: one that is not UTF-8 must not fail the read of the others."""
Messages = Sequence[tuple[bytes | None, Fields | None]]
"""Id and fields; without fields when the message was trimmed away since it was taken."""


@dataclass(frozen=True, kw_only=True)
class Worker:
    """One consumer of one group. The client must not decode answers."""

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
        """Take up what this consumer left before it was restarted, then handle new messages until `stop` is set.

        That takes effect after the current read, or the current hundred of what was left.
        """
        has_left_over = True
        while not stop.is_set():
            try:
                if has_left_over:
                    self.reclaim(0, self.settings.engines_consumer_name)  # nobody else is at it: no need to wait
                    has_left_over = False
                answer: Any = self.redis.xreadgroup(
                    self.settings.engines_group_name,
                    self.settings.engines_consumer_name,
                    {self.settings.engines_stream_name: ">"},
                    count=self.settings.engines_batch_size,
                    block=self.settings.engines_block_ms,
                )
                went_well = True
                for _, messages in answer or ():  # of one stream
                    went_well = self.handle_all(messages)
            except Exception as error:
                report(error)
                went_well = False
            if not went_well:
                stop.wait(PAUSE_S)

    def reclaim_until(self, stop: threading.Event) -> None:
        """Take over, at once and at every interval, what anybody left unfinished. Ends when `stop` is set.

        Sets it when it ends in any other way: the process then ends too, and is restarted.
        """
        try:
            while not stop.is_set():
                try:
                    self.reclaim()
                except Exception as error:
                    report(error)
                stop.wait(self.settings.engines_reclaim_interval)
        finally:
            stop.set()

    def reclaim(self, idle_ms: int | None = None, consumer: str | None = None) -> None:
        """Take over and handle messages that somebody, or this consumer, took and did not finish.

        All of them, the oldest first: many that fail hide none of the others. Raises RedisError and SQLAlchemyError
        when Redis or the database does not answer.
        """
        stream, group = self.settings.engines_stream_name, self.settings.engines_group_name
        idle = self.settings.engines_reclaim_idle_ms if idle_ms is None else idle_ms
        start = "-"
        while pending := self._pending(stream, group, start, consumer):
            ids = [entry["message_id"] for entry in pending if entry["time_since_delivered"] >= idle]
            if ids:
                logger.info("takes over %d unfinished messages", len(ids))
                claimed: Any = self.redis.xclaim(stream, group, self.settings.engines_consumer_name, idle, ids)
                self.handle_all(claimed, {entry["message_id"]: entry["times_delivered"] + 1 for entry in pending})
            start = f"({pending[-1]['message_id'].decode()}"

    def _pending(self, stream: str, group: str, start: str, consumer: str | None) -> list[dict[str, Any]]:
        answer: Any = self.redis.xpending_range(stream, group, start, "+", RECLAIM_COUNT, consumer)
        return list(answer)

    def handle_all(self, messages: Messages, deliveries: Mapping[bytes, int] | None = None) -> bool:
        """Handle and acknowledge; answer whether all went well. What failed stays pending, to come again.

        `deliveries` says how often each was delivered, if not for the first time. Raises RedisError and SQLAlchemyError
        when Redis or the database does not answer: the rest would each wait for the same.
        """
        done: list[bytes] = []
        went_well = True
        try:
            for message_id, fields in messages:
                if message_id is None:  # trimmed away, and an old Redis
                    continue
                try:
                    if fields is not None:
                        self.handle(read(fields))
                except Exception as error:
                    if is_without_answer(error):
                        raise
                    went_well = False
                    if not self.is_given_up(message_id, fields or {}, error, (deliveries or {}).get(message_id, 1)):
                        continue
                done.append(message_id)
        finally:
            if done:
                self.redis.xack(self.settings.engines_stream_name, self.settings.engines_group_name, *done)
        return went_well

    def is_given_up(self, message_id: bytes, fields: Fields, error: Exception, deliveries: int) -> bool:
        """Count a failed try, if it is the event's fault; answer whether it was the last one."""
        problem = described(error)
        if isinstance(error, NOT_THE_EVENTS):
            logger.warning("message %s stays pending: %s", message_id.decode(), problem)
            return False
        try:
            tries = self.count(event_id(fields), problem) or deliveries
        except SQLAlchemyError as failure:
            if is_without_answer(failure):
                raise
            logger.warning("message %s: its try is not counted: %s", message_id.decode(), type(failure).__name__)
            return False
        is_last = tries >= TRIES
        # Without a row in the outbox it stays in the stream alone, under this id.
        logger.warning(
            "message %s %s, try %d of %d: %s",
            message_id.decode(), "is set aside" if is_last else "stays pending", tries, TRIES, problem,
        )  # fmt: skip
        return is_last

    def count(self, event: UUID | None, problem: str) -> int | None:
        """Count a failed try in the event's row of the outbox; answer how many there were, None without a row."""
        with self.engine.begin() as connection:
            values = {"event_id": event, "problem": problem, "tries": TRIES}
            return connection.execute(COUNT, values).scalar_one_or_none()

    def handle(self, event: Event) -> None:
        """Do what the event means, once. Raises SQLAlchemyError, ValueError and whatever a damaged one causes."""
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


def is_without_answer(error: Exception) -> bool:
    """Whether the database did not answer at all: what it says of a statement carries a code."""
    return isinstance(error, PoolTimeoutError) or (
        isinstance(error, DBAPIError) and getattr(error.orig, "pgcode", None) is None
    )


def report(error: Exception) -> None:
    """Log why a round of a loop that goes on failed; whole, if nobody foresaw it."""
    if isinstance(error, RedisError):
        logger.warning("redis: %s", error)
    elif isinstance(error, SQLAlchemyError):
        logger.warning("database: %s", type(error).__name__)  # its text can hold a customer's data
    else:
        logger.error("this round failed; the next one comes", exc_info=error)


def described(error: Exception) -> str:
    """Say what was wrong: which fields, but no value and no text of the database. Both can be a customer's."""
    if isinstance(error, ValidationError):
        found = error.errors(include_input=False, include_url=False, include_context=False)
        return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['type']}" for each in found)[:PROBLEM_LENGTH]
    return type(error).__name__


def _dispatch(connection: Connection, event: Event) -> dict[str, int]:
    if event.event_type == "sale_recorded":
        return sales.record(connection, event)
    if event.event_type not in RECORDED_ONLY:
        logger.warning("event %s: unknown type %r, recorded only", event.event_id, event.event_type)
    return {}
