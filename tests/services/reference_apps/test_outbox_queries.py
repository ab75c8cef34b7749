"""What operators are told of the outbox, asked of a real PostgreSQL."""

from __future__ import annotations

import uuid

from sqlalchemy import Engine, text

from basec.onhost.status import OUTBOX
from basec.outbox import LAG
from tests.services.reference_apps.shop import Shop

ROWS = [("pending", 90, False), ("processed", 30, False), ("failed", 900, False), ("pending", 500, True)]
"""Status, age in seconds, whether it was published: the first two are what the relay has yet to send."""


def test_status_and_events_status_count_the_same_rows(database: Engine, shop: Shop) -> None:
    (statement,) = (part.split("\nSQL\n")[0] for part in LAG.split("<<'SQL'\n")[1:])
    with database.connect() as connection:
        connection.execute(text("DELETE FROM event_outbox"))
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
        events = connection.scalar(text(statement))
        count, oldest_s = connection.execute(text(OUTBOX)).one()
        connection.rollback()
    assert events == {"unpublished": 2, "oldest_s": 90}
    assert (count, float(oldest_s)) == (2, 90.0)
