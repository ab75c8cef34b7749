"""The way of events on the infra droplet, seen from outside: outbox in PostgreSQL -> stream in Redis -> engines' facts.

What is done there: basec/hosts/onhost/events.py.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from basec.hosts import onhost
from basec.hosts.facts import Facts
from basec.hosts.remote import ask_program
from basec.session import Session
from topology.errors import RemoteError

PROGRAM = (Path(onhost.__file__).parent / "events.py").read_text()
TIMEOUT_S = 120
"""Seconds; a replay restarts two containers, whose grace is 35 s each, and may have read 100,000 messages before."""


@dataclass(frozen=True, kw_only=True)
class SetAside:
    """An event that failed for good; `reason` names what was wrong, and no value of the event."""

    event_id: str
    event_type: str
    tries: int
    reason: str | None


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
    """Messages not yet delivered to the engines; None if Redis does not know, or the group is missing."""
    group_pending: int
    """Messages delivered and not finished; some may never be, so this alone is no alarm."""
    most_deliveries: int
    """Deliveries of the one that was delivered most often, among the oldest thousand."""
    group_exists: bool
    set_aside: int
    """Rows of the outbox that failed for good (status `failed`): no message can be made of them, or none handled."""
    newest_set_aside: list[SetAside]
    """At most ten."""

    def as_dict(self) -> dict[str, object]:
        """Return the shape of `--json`."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What a replay did: how many are sent again, and how many were `given` (delivered) and are not finished."""

    sent_again: int
    given: int


def read_lag(document: dict[str, Any]) -> Lag:
    """Parse the output of the program on the host. Raises KeyError, TypeError and ValueError for anything else."""
    newest = [SetAside(**event) for event in document["newest_set_aside"]]
    return Lag(**{**document, "newest_set_aside": newest})


def lag(session: Session, facts: Facts) -> Lag:
    """Ask how far the events have come. Raises RemoteError."""
    host = facts.store.name
    document = ask_program(session, host, PROGRAM, ["status"], timeout_s=TIMEOUT_S)
    try:
        return read_lag(document)
    except (KeyError, TypeError, ValueError) as error:
        raise RemoteError(
            f"{host}: its answer about events cannot be read: {error}",
            f"basec ssh {host} --env {session.environment.name}",
        ) from None


def replay(session: Session, facts: Facts) -> Replayed:
    """Send the events again that are neither finished nor on their way in Redis. Raises RemoteError.

    Safe to repeat: the engines know by `event_id` what they have done.
    """
    return Replayed(**ask_program(session, facts.store.name, PROGRAM, ["replay"], timeout_s=TIMEOUT_S))


def retry(session: Session, facts: Facts) -> Replayed:
    """Send the events again that were set aside. Raises RemoteError."""
    return Replayed(**ask_program(session, facts.store.name, PROGRAM, ["retry"], timeout_s=TIMEOUT_S))
