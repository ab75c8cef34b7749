"""One round of the relay: read what is unpublished, send it, mark what was sent.

Delivery is at least once: a crash between sending and marking sends again. Readers know repeated events by `event_id`.
A row that can never be a message is set aside: its status becomes `failed`, and people see it in `basec events status`.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from redis import Redis
from redis.exceptions import (
    ConnectionError,  # noqa: A004 - redis-py's name
    DataError,
    RedisError,
    ResponseError,
    TimeoutError,  # noqa: A004 - redis-py's name
)
from sqlalchemy import Engine, RowMapping, text

STREAM_PREFIX = "events:"
DEFAULT_VERTICAL = "materials"
GROUP = "engines"
"""The reader's group, made here as well: nothing that is sent before the reader first starts is lost to it."""

logger = logging.getLogger(__name__)

# SKIP LOCKED: a second relay takes other rows instead of waiting. `failed` rows are for people to look at. What Redis
# refused most often comes last: a batch of such rows at the head would hide all younger ones. Everything is text: a
# driver that cannot represent one value (the year 10000, JSON nested a thousand deep) would refuse the whole batch.
UNPUBLISHED = text("""
SELECT id, event_id::text, tenant_id::text, event_type, version, payload::text, jsonb_typeof(payload) AS shape,
       payload -> 'vertical' #>> '{}' AS vertical, jsonb_typeof(payload -> 'vertical') AS vertical_shape,
       to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US+00:00') AS occurred_at
FROM event_outbox
WHERE published_at IS NULL AND status IN ('pending', 'processing', 'processed')
ORDER BY retry_count, created_at, id LIMIT :limit FOR UPDATE SKIP LOCKED
""")
# UTC without a zone, as the original relay writes it: right only where the session's zone is UTC (PGTZ).
MARK = text("""
UPDATE event_outbox SET published_at = :moment, retry_count = 0, error_message = NULL, updated_at = now()
WHERE id = ANY(:ids)
""")
"""The engines count anew: what failed before was the way to them."""
COUNT = text("""
UPDATE event_outbox SET retry_count = retry_count + 1, error_message = :problem, updated_at = now() WHERE id = :id
""")
SET_ASIDE = text("""
UPDATE event_outbox SET status = 'failed', failed_at = now(), retry_count = retry_count + 1, error_message = :problem,
  updated_at = now() WHERE id = :id
""")


class NoMessageError(Exception):
    """A row that can never be a message; the text says why, without the customer's data."""


@dataclass
class Outcome:
    """What became of a batch's rows, by `id`; texts say why."""

    sent: list[UUID] = field(default_factory=list)
    refused: dict[UUID, str] = field(default_factory=dict)
    set_aside: dict[UUID, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Relay:
    """Where rows come from and where messages go; `max_len` is in entries, 0 for no trimming."""

    engine: Engine
    redis: Redis
    batch_size: int
    max_len: int

    def make_group(self, vertical: str = DEFAULT_VERTICAL) -> None:
        """Make the stream and its reader's group if they are absent. Raises RedisError."""
        try:
            self.redis.xgroup_create(f"{STREAM_PREFIX}{vertical}", GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):  # it is there already
                raise

    def round(self) -> int:
        """Send one batch, the oldest rows first, and answer how many are done with: sent, or set aside.

        A row that Redis refuses stays unpublished and does not hold up the others. Raises SQLAlchemyError.
        """
        with self.engine.begin() as connection:
            rows = connection.execute(UNPUBLISHED, {"limit": self.batch_size}).mappings().all()
            outcome = self._send(rows)
            if outcome.sent:
                moment = datetime.now(UTC).replace(tzinfo=None)
                connection.execute(MARK, {"ids": outcome.sent, "moment": moment})
            for statement, found in ((COUNT, outcome.refused), (SET_ASIDE, outcome.set_aside)):
                if found:
                    connection.execute(statement, [{"id": row, "problem": text} for row, text in found.items()])
        return len(outcome.sent) + len(outcome.set_aside)

    def _send(self, rows: Sequence[RowMapping]) -> Outcome:
        """Send rows, each for itself."""
        outcome = Outcome()
        for number, row in enumerate(rows):
            try:
                fields = message(row)
                self.redis.xadd(
                    f"{STREAM_PREFIX}{fields['vertical']}",
                    fields,  # type: ignore[arg-type] # texts; the stub wants its own union of them
                    maxlen=self.max_len or None,
                    approximate=True,
                )
            except (ConnectionError, TimeoutError) as error:
                # The next rows would each wait for the same answer, with their locks held.
                logger.warning("redis: %s; %d events stay unpublished", error, len(rows) - number)
                break
            except Exception as error:
                # Whatever it is, it is this row's: the others go out, and what went out is marked.
                problem = str(error) if isinstance(error, NoMessageError | RedisError) else type(error).__name__
                passes = isinstance(error, RedisError) and not is_rows_own(error)
                logger.warning(
                    "event %s %s: %s", row["event_id"], "stays unpublished" if passes else "is set aside", problem
                )
                (outcome.refused if passes else outcome.set_aside)[row["id"]] = problem
            else:
                outcome.sent.append(row["id"])
        return outcome


def is_rows_own(error: RedisError) -> bool:
    """Whether Redis will refuse this row for ever: its stream's name is taken by a key of another kind."""
    return isinstance(error, DataError) or str(error).startswith("WRONGTYPE")


def message(row: RowMapping) -> dict[str, str]:
    """Give the flat fields of a stream message; all are texts. Raises NoMessageError."""
    if row["shape"] != "object":
        raise NoMessageError(f"payload is a JSON {row['shape']}, not an object")
    if row["vertical_shape"] not in (None, "null", "string"):
        raise NoMessageError(f"payload's vertical is a JSON {row['vertical_shape']}, not a string")
    if not row["occurred_at"]:
        raise NoMessageError("created_at is no moment")  # 'infinity'
    return {
        "event_id": row["event_id"],
        "tenant_id": row["tenant_id"],
        "event_type": row["event_type"],
        "vertical": row["vertical"] or DEFAULT_VERTICAL,
        "version": row["version"],
        "occurred_at": row["occurred_at"],
        "payload": row["payload"],
    }
