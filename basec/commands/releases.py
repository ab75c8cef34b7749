"""`basec releases`: what was activated on the hosts, and how each ended."""

from __future__ import annotations

from dataclasses import asdict

import typer

from basec.commands.arguments import ANY_HOST, AS_JSON, READ_ENV
from basec.environments import resolve
from basec.hosts import facts, releases
from basec.io.console import answer, print_json, say, show, table
from basec.io.known_issues import with_pointers
from basec.session import Session
from topology.errors import ExitCode

SHOWN = 20
"""Rows; `--json` has all."""


def register(app: typer.Typer) -> None:
    app.command(
        "releases", epilog="Examples: basec releases --env local; basec releases vertical --env staging --json"
    )(list_)


def list_(host: str = ANY_HOST, env: str = READ_ENV, as_json: bool = AS_JSON) -> None:
    """Show what was activated on the hosts.

    By whom, when, and how each ended. A host keeps its last 30 and numbers its own. Exits 4 if a host cannot be
    reached; the others are shown.
    """
    session = Session(resolve(env))
    found, failed = releases.read(session, facts.load(session.environment), [host] if host else [])
    if as_json:
        told = [{**asdict(each), "images": dict(each.images)} for each in found]
        print_json(session.environment.name, {"releases": told, "no_answer": [error.message for error in failed]})
    elif found:
        rows = [
            (each.host, str(each.number), each.tags, each.digest[:12], each.began.replace("T", " ").removesuffix("Z"),
             each.by or "-", each.outcome or "goes on", each.why or "")
            for each in found[:SHOWN]
        ]  # fmt: skip
        columns = ("host", "number", "tag", "digest", "began (UTC)", "by", "outcome", "why")
        show(table(f"releases: {session.environment.name}", columns, rows, right=("number",)))
    elif not failed:
        answer("no release yet")
    for error in failed:
        say(with_pointers(error.render()))
    if failed:
        raise typer.Exit(int(ExitCode.REMOTE))
