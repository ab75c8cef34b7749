"""Prints how far the events have come, or sends lost ones again. Argument: `status`, `replay` or `retry`.

PostgreSQL is asked over its container's own socket; Redis' password stays in its container, read there from the mounted
secret. Prints one JSON document.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

STREAM = "events:materials"
GROUP = "engines"
PAGE = 1000
"""Entries that are read from Redis at once: it answers nobody else meanwhile."""
SAID = 200
"""Characters shown of an answer that is not JSON."""

STATUS = """
WITH waiting AS (
  SELECT created_at FROM event_outbox
  WHERE published_at IS NULL AND status IN ('pending', 'processing', 'processed')),
newest AS (
  SELECT event_id, event_type, retry_count AS tries, error_message AS reason FROM event_outbox
  WHERE status = 'failed' ORDER BY failed_at DESC NULLS LAST, id LIMIT 10)
SELECT json_build_object(
  'unpublished', (SELECT count(*) FROM waiting),
  'oldest_s', (SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0)::int FROM waiting),
  'set_aside', (SELECT count(*) FROM event_outbox WHERE status = 'failed'),
  'newest_set_aside', (SELECT coalesce(json_agg(newest), '[]') FROM newest));
"""
# Only this stream: nobody reads yet what other verticals have sent, and each replay would send it again.
UNFINISHED = """
SELECT event_id FROM event_outbox
WHERE published_at IS NOT NULL AND status IN ('pending', 'processing', 'processed')
  AND coalesce(nullif(payload ->> 'vertical', ''), 'materials') = 'materials'
  AND NOT EXISTS (SELECT FROM engine_processed_events done WHERE done.event_id = event_outbox.event_id);
"""
# What was processed since the list was made is left out.
SEND_AGAIN = """
CREATE TEMPORARY TABLE lost (event_id uuid);
COPY lost FROM STDIN;
{ids}\\.
WITH again AS (
  UPDATE event_outbox SET published_at = NULL, updated_at = now()
  WHERE event_id IN (SELECT event_id FROM lost) AND published_at IS NOT NULL
    AND NOT EXISTS (SELECT FROM engine_processed_events done WHERE done.event_id = event_outbox.event_id)
  RETURNING 1)
SELECT count(*) FROM again;
"""
RETRY = """
WITH again AS (
  UPDATE event_outbox SET status = 'pending', published_at = NULL, failed_at = NULL, retry_count = 0, updated_at = now()
  WHERE status = 'failed' RETURNING 1)
SELECT count(*) FROM again;
"""
REDIS = """
REDISCLI_AUTH=$(sed -n "s/^requirepass \\"\\{0,1\\}\\([^\\"]*\\)\\"\\{0,1\\}\\$/\\1/p" /run/secrets/redis_auth.conf)
export REDISCLI_AUTH
exec redis-cli --json "$@"
"""

Id = tuple[int, int]
"""Of an entry of the stream: milliseconds, and a number within them."""


def run(argv: Sequence[str], text: str = "") -> str:
    """Return a program's output. If it fails, ends this program with its message."""
    done = subprocess.run(argv, input=text, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(argv[:3])}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


@functools.cache
def container(service: str) -> str:
    """Return the id of a service's container, also of a stopped one."""
    chosen = ("label=com.docker.compose.project=infra", f"label=com.docker.compose.service={service}")
    found = run(["docker", "ps", "--all", "--quiet", "--filter", chosen[0], "--filter", chosen[1]]).split()
    return found[0] if found else sys.exit(f"{service}: has no container")


def sql(statements: str) -> str:
    """Run statements as the database's own user."""
    client = ("psql", "-qtAX", "-v", "ON_ERROR_STOP=1", "-U", "basecommerce")
    return run(["docker", "exec", "--interactive", container("postgres"), *client], statements)


def redis(*command: str) -> Any:
    """Ask Redis. If it refuses, which is not JSON, ends this program with its message."""
    output = run(["docker", "exec", container("redis"), "sh", "-c", REDIS, "redis-cli", *command])
    try:
        return json.loads(output)
    except ValueError:
        sys.exit(f"redis: {command[0]}: {output.strip()[:SAID]}")


def group() -> dict[str, Any] | None:
    """Return the engines' group; None if it, or the stream, is missing."""
    groups = redis("XINFO", "GROUPS", STREAM) if redis("EXISTS", STREAM) else []
    return next((entry for entry in groups if entry["name"] == GROUP), None)


def status() -> dict[str, Any]:
    """Count what waits, and where."""
    found = group()
    pending = redis("XPENDING", STREAM, GROUP, "-", "+", str(PAGE)) if found and found["pending"] else []
    return {
        **json.loads(sql(STATUS)),
        "stream_length": redis("XLEN", STREAM),
        "group_lag": found["lag"] if found else None,
        "group_pending": found["pending"] if found else 0,
        "most_deliveries": max((deliveries for _, _, _, deliveries in pending), default=0),
        "group_exists": found is not None,
    }


def replay() -> dict[str, int]:
    """Send the events again that are neither processed nor on their way in Redis; count them, and the others."""
    unfinished = sql(UNFINISHED).split()
    given, waiting = on_their_way()  # after the list: what is processed in between is in neither, and skipped below
    lost = [event for event in unfinished if event not in given | waiting]
    count = int(sql(SEND_AGAIN.format(ids="".join(f"{event}\n" for event in lost)))) if lost else 0
    restart()
    return {"sent_again": count, "given": len(given.intersection(unfinished))}


def retry() -> dict[str, int]:
    """Send the events again that were set aside."""
    count = int(sql(RETRY))
    restart()
    return {"sent_again": count, "given": 0}


def restart() -> None:
    """Restart the workers: they create the group only at their start, and the engines read nothing without it."""
    run(["docker", "restart", container("relay"), container("engines")])


def on_their_way() -> tuple[set[str], set[str]]:
    """Return the ids of events delivered to the engines and not finished, and of those still to be delivered."""
    found = group()
    last = (
        parsed(found["last-delivered-id"]) if found else (0, 0)
    )  # without a group all will be delivered, to a new one
    pending = set(pages("XPENDING", STREAM, GROUP)) if found and found["pending"] else set()
    given, waiting = set(), set()
    for entry, fields in entries(min(pending | {last})):
        event = dict(zip(fields[::2], fields[1::2], strict=False)).get("event_id", "")
        if entry in pending:
            given.add(event)
        elif entry > last:
            waiting.add(event)
    return given, waiting


def pages(*command: str) -> Iterator[Id]:
    """Yield the ids that a command lists in pages."""
    start = "-"
    while page := redis(*command, start, "+", str(PAGE)):
        yield from (parsed(entry[0]) for entry in page)
        start = f"({page[-1][0]}"


def entries(first: Id) -> Iterator[tuple[Id, list[str]]]:
    """Yield the stream's entries, starting at an id."""
    start = f"{first[0]}-{first[1]}"
    while page := redis("XRANGE", STREAM, start, "+", "COUNT", str(PAGE)):
        yield from ((parsed(entry), fields or []) for entry, fields in page)
        start = f"({page[-1][0]}"


def parsed(entry: str) -> Id:
    """Read an entry's id."""
    milliseconds, number = entry.split("-")
    return int(milliseconds), int(number)


if __name__ == "__main__":
    print(json.dumps({"status": status, "replay": replay, "retry": retry}[sys.argv[1]]()))  # noqa: T201 - its interface
