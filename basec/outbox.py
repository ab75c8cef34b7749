"""The way of events on the infra droplet, seen from outside: outbox in PostgreSQL -> stream in Redis -> engines' facts.

Both scripts run as root on that droplet. PostgreSQL is asked over its container's own socket; Redis' password stays in
its container, read there from the mounted secret.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from basec.environments import Environment
from basec.facts import Facts
from basec.onhost.status import OUTBOX
from basec.remote import run_script
from topology.errors import UsageError

GROUP = "engines"
TIMEOUT_S = 120
"""Seconds; a replay restarts two containers, whose grace is 35 s each."""

_FUNCTIONS = """set -euo pipefail
stream=events:materials
container() { # a stopped one, too: a replay starts it
  docker ps --all --quiet --filter label=com.docker.compose.project=infra --filter "label=com.docker.compose.service=$1"
}
sql() { docker exec --interactive "$(container postgres)" psql -qtAX -v ON_ERROR_STOP=1 -U basecommerce; }
redis() {
  docker exec --interactive "$(container redis)" sh -c '
    REDISCLI_AUTH=$(sed -n "s/^requirepass \\"\\{0,1\\}\\([^\\"]*\\)\\"\\{0,1\\}\\$/\\1/p" /run/secrets/redis_auth.conf)
    export REDISCLI_AUTH
    exec redis-cli --json "$@"' redis-cli "$@" </dev/null
}
"""

LAG = (
    _FUNCTIONS
    + f"""
sql <<'SQL'
SELECT json_build_object('unpublished', unpublished, 'oldest_s', oldest_s::int)
FROM ({OUTBOX}) AS waiting (unpublished, oldest_s);
SQL
redis XLEN "$stream"
redis XINFO GROUPS "$stream" 2>/dev/null || echo '[]'
"""
)
"""Three JSON values, a line or more each: the outbox, the stream's length, the stream's groups."""

REPLAY = (
    _FUNCTIONS
    + """
sql <<'SQL'
WITH again AS (
  UPDATE event_outbox SET published_at = NULL, updated_at = now()
  WHERE published_at IS NOT NULL AND status IN ('pending', 'processing', 'processed')
    AND NOT EXISTS (SELECT FROM engine_processed_events done WHERE done.event_id = event_outbox.event_id)
  RETURNING 1)
SELECT count(*) FROM again;
SQL
# The group is made at the workers' start only: without it the engines would find nothing in the new stream.
docker restart $(container relay) $(container engines) >/dev/null
"""
)


@dataclass(frozen=True, kw_only=True)
class Lag:
    """How far the events have come."""

    unpublished: int
    """Rows of the outbox that wait for the relay."""
    oldest_s: int
    """Age in seconds of the oldest of them; 0 when there is none."""
    stream_length: int
    """Messages kept in the stream, read ones among them."""
    group_lag: int | None
    """Messages that the engines have not yet been given; None when Redis cannot tell, or the group is missing."""
    group_pending: int
    """Messages that were given and are not finished; some may never be, so this alone is no alarm."""
    group_exists: bool

    def as_dict(self) -> dict[str, object]:
        """Give the shape of `--json`."""
        return asdict(self)


def host_of(facts: Facts) -> str:
    """Name the host that has the outbox. Raises UsageError where there is none."""
    for host in facts.hosts.values():
        if host.role == "infra":
            return host.name
    raise UsageError(f"basec: {facts.environment}: no host has the role infra", "basec up writes the hosts anew")


def parse_lag(output: str) -> Lag:
    """Read what `LAG` printed. Raises ValueError for anything else."""
    decoder, values, rest = json.JSONDecoder(), [], output.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        values.append(value)
        rest = rest[end:].lstrip()
    outbox, length, groups = values
    group = next((entry for entry in groups if entry["name"] == GROUP), None)
    return Lag(
        unpublished=outbox["unpublished"],
        oldest_s=outbox["oldest_s"],
        stream_length=length,
        group_lag=group["lag"] if group else None,
        group_pending=group["pending"] if group else 0,
        group_exists=group is not None,
    )


def lag(environment: Environment, facts: Facts) -> Lag:
    """Ask how far the events have come. Raises RemoteError."""
    return parse_lag(run_script(environment, host_of(facts), LAG, timeout_s=TIMEOUT_S))


def replay(environment: Environment, facts: Facts) -> int:
    """Have all events sent again that the engines have not finished; answer how many. Raises RemoteError.

    Safe to repeat: the engines know by `event_id` what they have done.
    """
    return int(run_script(environment, host_of(facts), REPLAY, timeout_s=TIMEOUT_S).split()[0])
