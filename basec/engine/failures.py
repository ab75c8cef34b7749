"""The screen of a failed operation, in ten lines: which host and service, the decisive line, what serves, ONE hint.

A model made from the engine's events, and its rendering. The rest is in the log (`basec/engine/run_log.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from basec.engine import release_words
from basec.engine.progress import STACK, kind_of, name_of
from basec.environments import Environment
from basec.hosts import facts
from topology.dangerous_edits import OTHER_DEFAULT
from topology.errors import BasecommerceError
from topology.fleet import tiers
from topology.inventory import droplet_of, load_inventory

LINES = 10
"""Of the whole screen: it is printed below the progress, and must not scroll that away."""
COLUMNS = 200
"""Of one line of somebody's log."""
MARGIN = 3
"""Lines of the screen that are always there: its head, the log, the hint."""
URN = re.compile(r"urn:pulumi:[^\s'\"]+[^\s'\":,.]")
ENDED = (
    re.compile(r"^(?P<where>\S+): the command ended with (?P<how>[^;]+); last lines of its standard error:$"),
    re.compile(r"^Process exited with status (?P<how>\d+): running \".*\":$"),
)
"""How the local cloud and pulumi-command 1.2.1 introduce what a command printed."""
NO_DIAL = (
    re.compile(r"^(?:\S+@)?(?P<where>[^\s:]+)(?::\d+)?: (?P<what>no connection after \d+ dials: .*)$"),
    re.compile(r"^(?P<what>after \d+ failed attempts: )dial tcp (?P<where>[^\s:]+):\d+: (?P<why>.*)$"),
)
"""The same two, where nobody answered."""
AT = re.compile(r"^(?:\S+@)?(?P<where>[\w.-]+)(?::\d+)?: (?P<what>.+)$")
BRIDGE = re.compile(r"^sdk-v\d/\S+: sdk\.helper_schema: |: provider=\S+@\S+$")
"""What the providers' bridge puts around an error that it prints twice."""
CRASH = re.compile(r"error reading from server: EOF|exited prematurely|transport is closing")
"""What the engine reports for each operation that a provider had begun when its process ended."""
ANSWERS = (
    (
        re.compile(r"invalid email"),
        "verify that address in the account first (DigitalOcean: Settings, Team), or write another to `alerts.emails`",
    ),
    (
        re.compile(r"\b8105[3478]\b"),
        "the zone has a record of that name: remove A, AAAA and CNAME of <domain> and *.<domain> in Cloudflare's panel",
    ),
    (
        re.compile(r"already in use on your account"),
        "the account has this login key from an earlier stack: remove it (DigitalOcean: Settings, Security)",
    ),
    (
        re.compile(r"already has a pending event"),
        "the droplet is being switched off or on: run the same command again in a minute",
    ),
    (
        re.compile(r"default VPC", re.IGNORECASE),
        f"DigitalOcean never deletes a region's default VPC: {OTHER_DEFAULT}",
    ),
)
"""Messages of the APIs, by their words, and what to do."""
STATE = "{state}"
"""In a hint: the command that asks the cloud what exists, and creates nothing."""
CRASHED = "crashed while it worked; what it had begun may be done or not"
CRASH_HINT = f"{STATE} asks the cloud what exists, then run the same command again"
REFRESH = "{refresh}"
"""In a hint: the command that asks the cloud what exists, and recreates what is gone."""


@dataclass(frozen=True, kw_only=True)
class Names:
    """The names by which people know the hosts, and their addresses."""

    hosts: Sequence[str] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)
    tiers: release_words.Tiers = field(default_factory=dict)

    def host_of(self, resource: str) -> str:
        """Return the host that a resource's name is about, or an empty string."""
        return droplet_of(resource, self.hosts)

    def clean(self, text: str) -> str:
        """Replace URNs and addresses by names."""
        text = URN.sub(lambda urn: name_of(urn[0]), text)
        for address, name in self.addresses.items():
            text = re.sub(rf"(?<![\d.]){re.escape(address)}(?![\d.]*\d)", name, text)
        return text


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One thing that failed."""

    where: str
    """`edge: nginx`, `infra: volume`, or what belongs to the account: `zone-ssl (ZoneSetting)`."""
    what: str
    line: str = ""
    count: int = 1
    serves: str = ""
    hint: str = ""
    unreachable: bool = False
    """Whether the host did not answer."""

    @property
    def lines(self) -> list[str]:
        """Return one to three lines."""
        lines = [f"{self.where}: {self.what}"]
        if self.line:
            lines.append(f"  {self.line}" + (f" ({self.count} times)" if self.count > 1 else ""))
        return [*lines, *([f"  {self.serves}"] if self.serves else [])]


def names_of(environment: Environment) -> Names:
    """Read the hosts from the inventory, and their addresses from the files of the last `up`; both may be missing."""
    hosts: tuple[str, ...] = ()
    addresses: dict[str, str] = {}
    with suppress(BasecommerceError):
        hosts = tuple(load_inventory(environment.root / "inventory.yaml").droplets)
    known: release_words.Tiers = {}
    with suppress(BasecommerceError):
        known = tiers(environment.root)
    with suppress(BasecommerceError):
        for host in facts.load(environment).hosts.values():
            addresses |= {host.ip: host.name, host.private_ip: host.name}
    return Names(hosts=hosts, addresses=addresses, tiers=known)


def failures_of(said: Mapping[str, Sequence[str]], names: Names) -> list[Failure]:
    """Build the model from the engine's messages about each resource, by URN; equal messages are kept once.

    Messages about the stack, or about no resource, only repeat that something failed, unless nothing else did.
    """
    told = {urn: messages for urn, messages in said.items() if messages}
    own = {urn: messages for urn, messages in told.items() if urn and kind_of(urn) != STACK}
    found: dict[tuple[str, ...], Failure] = {}
    for urn, messages in (own or told).items():
        failure = _failure(urn, messages, names)
        key = (failure.where if failure.unreachable else "", failure.what, failure.line, failure.serves)
        if (same := found.get(key)) is None:
            found[key] = failure
        elif failure.where not in same.where.split(", "):
            found[key] = replace(same, where=f"{same.where}, {failure.where}")
    return list(found.values())


def screen(head: str, failures: Sequence[Failure], log: str) -> str:
    """Render all but the hint: the head, as many failures as fit, and where the rest is."""
    body: list[str] = []
    left = list(failures)
    while left and len(body) + len(left[0].lines) + (len(left) > 1) <= LINES - MARGIN:
        body += [line if len(line) <= COLUMNS else f"{line[: COLUMNS - 3]}..." for line in left.pop(0).lines]
    if left:
        body.append(f"also failed: {', '.join(each.where for each in left)}"[:COLUMNS])
    return "\n".join([head, *body, log])


def _failure(urn: str, messages: Sequence[str], names: Names) -> Failure:
    lines, hints = _told(messages)
    name = urn.rpartition("::")[2]
    host = names.host_of(name)
    where = _where(urn, name, host)
    for words in NO_DIAL:
        if dial := next((match for match in map(words.match, lines) if match), None):
            who = names.addresses.get(dial["where"], host or dial["where"])
            cause = dial["what"] + (dial.groupdict().get("why") or "")
            hint = f"check that it runs and who may reach its port 22; is it gone? {REFRESH} recreates it"
            return Failure(where=who, what=f"cannot be reached by SSH: {cause}", hint=hint, unreachable=True)
    if any(map(CRASH.search, lines)):
        return Failure(where=f"the provider {_package(urn)}".rstrip(), what=CRASHED, hint=CRASH_HINT)
    for at, ended in ((at, words.match(line)) for at, line in enumerate(lines) for words in ENDED):
        if ended:
            how = f"exit code {ended['how']}" if ended["how"].isdigit() else ended["how"]
            said = release_words.read(lines[at + 1 :], f"the command ended with {how}", names.tiers)
            if said.is_release and host:
                where = f"{host}: {said.service}" if said.service else host
            what, line, hint = names.clean(said.what), names.clean(said.line), said.hint or " ".join(hints[:1])
            return Failure(where=where, what=what, line=line, count=said.count, serves=said.serves, hint=hint)
    what, count = release_words.decisive(lines)
    if (at_host := AT.match(what)) and at_host["where"] in names.addresses:
        where, what = names.addresses[at_host["where"]], at_host["what"]
    hints += [hint for words, hint in ANSWERS if words.search(what)]
    return Failure(
        where=where, what=names.clean(what) or "failed without a message", count=count, hint=" ".join(hints[:1])
    )


def _package(urn: str) -> str:
    """Return the name of a resource's provider, e.g. `digitalocean`."""
    return kind_of(urn).partition(":")[0]


def _where(urn: str, name: str, host: str) -> str:
    if not urn or kind_of(urn) == STACK:
        return "the program" if urn else "the engine"
    if host and (part := name.removeprefix(host).lstrip("-")):
        return f"{host}: {part}"
    return name_of(urn)


def _told(messages: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the useful lines, without what the bridge puts around them, and the hints."""
    lines: list[str] = []
    bridged: list[str] = []
    hints: list[str] = []
    for raw in (line for message in messages for line in message.splitlines()):
        bare = BRIDGE.sub("", raw.strip().removeprefix("* "))
        if bare.startswith("hint: "):
            hints.append(bare.removeprefix("hint: "))
        elif not (bare.startswith("details: ") or re.fullmatch(r"\d+ errors? occurred:", bare) or not bare):
            (bridged if BRIDGE.search(raw) else lines).append(bare)
    return [*(bare for bare in bridged if bare not in lines), *lines], hints
