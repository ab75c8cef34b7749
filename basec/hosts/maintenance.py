"""Maintenance of the shop: a page in a directory of each edge, which nginx answers visitors with while it is there.

What is done there: basec/hosts/onhost/maintenance.py. Who turned it on, and when, is in a file beside the page, for
everybody's `basec status`. Both stay over releases, `up` and reboots; a new machine starts without them.
"""

from __future__ import annotations

import html
import json
import socket
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from string import Template

from basec.hosts import onhost
from basec.hosts.activations import person
from basec.hosts.agent import ensure_key
from basec.hosts.facts import Facts, HostFacts
from basec.hosts.remote import ask_program
from basec.io.files import NO_DOCUMENT
from basec.session import Session
from topology.errors import RemoteError, UsageError
from topology.names import HTTP_PORT

PROGRAM = (Path(onhost.__file__).parent / "maintenance.py").read_text()
PAGE = Template((Path(__file__).parent / "maintenance.html").read_text())
DIRECTORY = "/opt/basecommerce/edge/http"
"""Mounted into nginx: compose/edge/compose.yaml."""
PORT = HTTP_PORT
"""Where nginx answers on its own machine, in either mode of TLS."""
SERVER = "nginx"
TIMEOUT_S = 20
MESSAGE_LENGTH = 300
"""Characters; about ten lines on a phone."""
UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Maintenance:
    """Since when it is on (UTC), who turned it on, and what visitors read; null if nobody knows."""

    since: str | None
    by: str | None
    message: str | None

    @property
    def origin(self) -> str:
        """Since when and by whom, as `smoke` prints it for each check."""
        return f"since {self.since or UNKNOWN} by {self.by or UNKNOWN}"

    @property
    def line(self) -> str:
        """The same with the message, as `status` prints it."""
        return f"{self.origin}: {self.message}" if self.message else self.origin


def read_record(text: str | None) -> Maintenance | None:
    """Read what is beside the page; None means that there is no page. A damaged record is on too, by nobody known."""
    if text is None:
        return None
    try:
        found = json.loads(text)
        known = {key: str(found[key]) if found[key] else None for key in ("since", "by", "message")}
    except NO_DOCUMENT:
        known = dict.fromkeys(("since", "by", "message"))
    return Maintenance(**known)


@dataclass(frozen=True, kw_only=True)
class Change:
    """One edge before and after; `works` is whether nginx shows the page, None if it was not asked or is silent."""

    host: str
    before: Maintenance | None
    after: Maintenance | None
    works: bool | None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The edges that answered, and the errors of those that did not."""

    changes: Sequence[Change]
    failed: Sequence[RemoteError]


def checked_message(text: str) -> str:
    """Return the message for visitors without spaces around it. Raises UsageError."""
    message = text.strip()
    if len(message) > MESSAGE_LENGTH:
        raise UsageError(
            f"basec: maintenance on: --message: {len(message)} characters, at most {MESSAGE_LENGTH}",
            "say what is done and until when, in one or two sentences",
        )
    odd = next((letter for letter in message if not letter.isprintable()), None)
    if odd is not None:
        raise UsageError(
            f"basec: maintenance on: --message: control character {odd!r}", "write one line of plain text, without tabs"
        )
    return message


def page(message: str) -> str:
    """Render the page for visitors. The message is text, whatever it has of HTML."""
    told = f'<p style="overflow-wrap: anywhere">{html.escape(message)}</p>' if message else ""
    return PAGE.substitute(message=told)


def turn_on(session: Session, facts: Facts, message: str) -> Outcome:
    """Show the page on every edge. One that shows it already gets the new message; since when and by whom stay."""
    since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    record = {"since": since, "by": f"{person()} on {socket.gethostname()}", "message": message}
    return _on_every_edge(session, facts, "on", json.dumps({"page": page(message), "record": record}))


def turn_off(session: Session, facts: Facts) -> Outcome:
    """Remove the page from every edge."""
    return _on_every_edge(session, facts, "off")


def read(session: Session, facts: Facts) -> Outcome:
    """Ask every edge; nothing changes, so before is after."""
    return _on_every_edge(session, facts, "status")


def lines(found: Mapping[str, Maintenance | None]) -> list[str]:
    """Return a line for each maintenance that is on; the edges are named where not all of them have the same."""
    hosts: dict[Maintenance, list[str]] = {}
    for host, maintenance in found.items():
        if maintenance is not None:
            hosts.setdefault(maintenance, []).append(host)
    return [
        f"maintenance  on {each.line}" + ("" if len(names) == len(found) else f" ({', '.join(names)} only)")
        for each, names in hosts.items()
    ]


def _on_every_edge(session: Session, facts: Facts, action: str, text: str = "") -> Outcome:
    """Run the program on every edge. One that fails stops no other. Raises UsageError where there is none."""
    facts.serving(SERVER)
    edges = [host for host in facts.hosts.values() if SERVER in host.services]
    arguments = [action, DIRECTORY, str(PORT), facts.domain]

    def ask(host: HostFacts) -> Change | RemoteError:
        try:
            found = ask_program(session, host.name, PROGRAM, arguments, timeout_s=TIMEOUT_S, text=text)
            before, after = read_record(found["before"]), read_record(found["after"])
            return Change(host=host.name, before=before, after=after, works=found["works"])
        except RemoteError as error:
            return error

    ensure_key(session)  # once, before the threads would all start an agent
    answers = _side_by_side(ask, edges)
    return Outcome(
        changes=[each for each in answers if isinstance(each, Change)],
        failed=[each for each in answers if isinstance(each, RemoteError)],
    )


def _side_by_side(
    ask: Callable[[HostFacts], Change | RemoteError], hosts: Sequence[HostFacts]
) -> list[Change | RemoteError]:
    with ThreadPoolExecutor(max_workers=len(hosts)) as pool:
        return list(pool.map(ask, hosts))
