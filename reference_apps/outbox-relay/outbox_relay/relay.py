"""One round of the relay: read what is unpublished, send it, mark what was sent.

Delivery is at least once: a crash between sending and marking sends again. Readers know repeated events by `event_id`.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from redis import Redis
from redis.exceptions import ConnectionError, RedisError, ResponseError, TimeoutError  # noqa: A004 - redis-py's names
from sqlalchemy import Engine, RowMapping, text

STREAM_PREFIX = "events:"
DEFAULT_VERTICAL = "materials"
GROUP = "engines"
"""The reader's group, made here as well: nothing that is sent before the reader first starts is lost to it."""

logger = logging.getLogger(__name__)

# SKIP LOCKED: a second relay takes other rows instead of waiting. `failed` rows are for people to look at.
UNPUBLISHED = text("""
SELECT id, event_id, tenant_id, event_type, version, created_at, payload FROM event_outbox
WHERE published_at IS NULL AND status IN ('pending', 'processing', 'processed')
ORDER BY created_at, id LIMIT :limit FOR UPDATE SKIP LOCKED
""")
MARK = text("UPDATE event_outbox SET published_at = now(), updated_at = now() WHERE id = ANY(:ids)")


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
        """Send one batch, the oldest rows first, and answer how many went out.

        A row that Redis refuses stays unpublished and does not hold up the others. Raises SQLAlchemyError.
        """
        with self.engine.begin() as connection:
            rows = connection.execute(UNPUBLISHED, {"limit": self.batch_size}).mappings().all()
            sent = self._send(rows)
            if sent:
                connection.execute(MARK, {"ids": sent})
        return len(sent)

    def _send(self, rows: Sequence[RowMapping]) -> list[UUID]:
        """Send rows and answer the ids of those that arrived."""
        sent: list[UUID] = []
        for row in rows:
            vertical = row["payload"].get("vertical") or DEFAULT_VERTICAL
            try:
                self.redis.xadd(
                    f"{STREAM_PREFIX}{vertical}",
                    message(row, vertical),  # type: ignore[arg-type] # texts; the stub wants its own union of them
                    maxlen=self.max_len or None,
                    approximate=True,
                )
            except (ConnectionError, TimeoutError) as error:
                # The next rows would each wait for the same answer, with their locks held.
                logger.warning("redis: %s; %d events stay unpublished", error, len(rows) - len(sent))
                break
            except RedisError as error:
                logger.warning("event %s stays unpublished: %s", row["event_id"], error)
                continue
            sent.append(row["id"])
        return sent


def message(row: RowMapping, vertical: str) -> dict[str, str]:
    """Give the flat fields of a stream message; all are texts."""
    return {
        "event_id": str(row["event_id"]),
        "tenant_id": str(row["tenant_id"]),
        "event_type": row["event_type"],
        "vertical": vertical,
        "version": row["version"],
        "occurred_at": row["created_at"].isoformat(),
        "payload": json.dumps(row["payload"]),
    }
