"""The releases that each droplet has in its log: number, versions, when, by whom, and how each ended.

The dataclass here is the shape of `basec releases --json`, key by key. Written on droplets by compose/release_log.py.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from basec.hosts.agent import ensure_key
from basec.hosts.facts import Facts, HostFacts
from basec.hosts.remote import run_script
from basec.hosts.services import hosts_of
from basec.io.files import NO_DOCUMENT
from basec.session import Session
from topology.errors import RemoteError
from topology.settings import APPLICATIONS

LOG = "/opt/basecommerce/{tier}/log.json"
SCRIPT = "cat {} 2>/dev/null || true\n"
TIMEOUT_S = 20


@dataclass(frozen=True, kw_only=True)
class Release:
    """One activation. Times are UTC; `ended` and `outcome` are null while it goes on, `by` if nobody left a name.

    `outcome` is `active`, `went back`, `refused` (nothing that ran was touched) or `killed`; `why` says more.
    """

    host: str
    number: int
    digest: str
    images: Mapping[str, str]
    began: str
    ended: str | None
    outcome: str | None
    why: str | None
    by: str | None

    @property
    def tags(self) -> str:
        """The tags of our own images: one, unless services have their own."""
        own = {
            image.rpartition("/")[2].partition(":")[2] for name, image in self.images.items() if name in APPLICATIONS
        }
        return ", ".join(sorted(filter(None, own))) or "-"


def read(session: Session, facts: Facts, names: Sequence[str]) -> tuple[list[Release], list[RemoteError]]:
    """Ask the given hosts, or all; the newest first, and the errors of hosts. Raises UsageError for an unknown host."""
    hosts = hosts_of(facts, names, "releases {}")
    ensure_key(session)  # once, before the threads would all start an agent

    def ask(host: HostFacts) -> list[Release] | RemoteError:
        path = LOG.format(tier=host.tier)
        try:
            text = run_script(session, host.name, SCRIPT.format(shlex.quote(path)), timeout_s=TIMEOUT_S)
            return [_release(host.name, record) for record in json.loads(text)["releases"]] if text.strip() else []
        except RemoteError as error:
            return error
        except NO_DOCUMENT as error:
            said = f"{host.name}: {path}: damaged: {type(error).__name__}"
            return RemoteError(said, f"the next release begins a new one: basec up --env {session.environment.name}")

    with ThreadPoolExecutor(max_workers=len(hosts)) as pool:
        found = list(pool.map(ask, hosts))
    known = [release for each in found if not isinstance(each, RemoteError) for release in each]
    known.sort(key=lambda release: release.began, reverse=True)
    return known, [each for each in found if isinstance(each, RemoteError)]


def _release(host: str, record: Mapping[str, object]) -> Release:
    """Read one record. Raises NO_DOCUMENT."""
    images = record["images"]
    if not isinstance(images, dict) or not isinstance(record["number"], int):
        raise TypeError(images)
    text = {key: str(record[key]) for key in ("digest", "began", "ended", "outcome", "why", "by")}
    return Release(
        host=host,
        number=record["number"],
        digest=text["digest"],
        images={str(name): str(image) for name, image in images.items()},
        began=text["began"],
        ended=text["ended"] or None,
        outcome=text["outcome"] or None,
        why=text["why"] or None,
        by=text["by"] or None,
    )
