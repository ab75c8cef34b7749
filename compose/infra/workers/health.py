"""Health of a worker: does the work advance? `health.py relay|engines`, exit code 0 or 1 with one line that says why.

Run in the worker's own container, whose image brings psycopg2 and redis. What is asked:
- relay: no event waits in the outbox for more than a minute, or one went out within the last minute (it catches up).
- engines: the group exists, and our consumer asked for messages within the last minute. Needs Redis 7.2: an older one
  does not note a read that found nothing. And somebody takes over what was left unfinished: each take-over makes a
  message young again, so an old one means that the thread for it has died.

Not seen: a worker that asks for messages and finishes none of them. The original worker does just that to every event
that construction writes (`version` 1.0), so messages that stay pending are no sign of an illness that a restart heals.
`basec events status` counts them.
"""

import os
import sys

import psycopg2
import redis

BOUND_S = 60
"""Seconds without progress. The relay's longest pause is 30 s, the worker's longest read 5 s, at their defaults."""
RECLAIM_S = float(os.environ.get("ENGINES_RECLAIM_INTERVAL", "60"))
RECLAIM_IDLE_MS = float(os.environ.get("ENGINES_RECLAIM_IDLE_MS", "60000"))
"""The worker's own settings and defaults: how often it looks, and for messages of what age."""
TIMEOUT_S = 5

# A time in the future says nothing of the last minute: it was written in another zone than it is read in.
WAITING = """
SELECT extract(epoch FROM now() - min(created_at) FILTER (WHERE published_at IS NULL)),
       extract(epoch FROM now() - max(published_at) FILTER (WHERE published_at <= now()))
FROM event_outbox
WHERE published_at IS NULL AND status IN ('pending', 'processing', 'processed')
   OR published_at > now() - interval '1 hour'
"""


def relay() -> str:
    """Answer what is wrong with the relay; empty when nothing is."""
    url = os.environ["DATABASE_URL"].replace("+psycopg2", "", 1)
    connection = psycopg2.connect(url, connect_timeout=TIMEOUT_S)
    try:
        with connection.cursor() as cursor:
            cursor.execute(WAITING)
            row = cursor.fetchone() or (None, None)
    finally:
        connection.close()
    oldest, last = row
    if oldest is None or oldest <= BOUND_S or (last is not None and last <= BOUND_S):
        return ""
    return f"the oldest event has waited for {oldest:.0f} s, and none went out in the last {BOUND_S} s"


def engines() -> str:
    """Answer what is wrong with the engines worker; empty when nothing is."""
    stream = os.environ.get("ENGINES_STREAM_NAME", "events:materials")
    group = os.environ.get("ENGINES_GROUP_NAME", "engines")
    consumer = os.environ["ENGINES_CONSUMER_NAME"]
    client = redis.Redis.from_url(os.environ["REDIS_URL"], socket_timeout=TIMEOUT_S)
    try:
        found = {entry["name"]: entry["idle"] for entry in client.xinfo_consumers(stream, group)}
        oldest = client.xpending_range(stream, group, "-", "+", 1)
    except redis.exceptions.ResponseError as error:
        return f"{stream}, group {group}: {error}"  # the stream or the group is gone: made at the worker's start only
    if consumer.encode() not in found:  # as bytes: another consumer's name need not be text
        return f"{stream}, group {group}: no consumer {consumer}"
    idle = float(found[consumer.encode()]) / 1000
    if idle > BOUND_S:
        return f"{consumer} has asked for nothing in {idle:.0f} s"
    left = float(oldest[0]["time_since_delivered"]) / 1000 if oldest else 0.0
    if left > RECLAIM_IDLE_MS / 1000 + RECLAIM_S + BOUND_S:
        return f"the oldest unfinished message was left alone for {left:.0f} s: nobody takes messages over"
    return ""


def main(arguments: list[str]) -> int:
    """Ask for one worker's progress."""
    checks = {"relay": relay, "engines": engines}
    if len(arguments) != 1 or arguments[0] not in checks:
        print(f"usage: health.py {'|'.join(checks)}")
        return 2
    try:
        problem = checks[arguments[0]]()
    except Exception as error:  # whatever keeps it from asking: a traceback would hide the one line that is shown
        problem = f"{type(error).__name__}: {error}".splitlines()[0]
    print(problem or "ok")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
