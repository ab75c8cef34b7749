"""`basec cloudflare`: what an environment knows of Cloudflare."""

from __future__ import annotations

import datetime

import typer

from basec.commands.arguments import AS_JSON, READ_ENV
from basec.environments import resolve
from basec.io.console import answer, print_json, say
from basec.secrets import cloudflare_ranges as module
from topology.errors import UsageError

app = typer.Typer(name="cloudflare", help="Show Cloudflare's addresses, or renew them.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    root.add_typer(app)


@app.command(
    "ranges", epilog="Examples: basec cloudflare ranges; basec cloudflare ranges --refresh --env production --json"
)
def ranges(
    context: typer.Context,
    env: str = READ_ENV,
    refresh: bool = typer.Option(False, "--refresh", help="Get the published list and put it into the stack's file."),
    as_json: bool = AS_JSON,
) -> None:
    """Show who may reach the edge's ports 80 and 443. Prints how old that list of addresses is.

    A refresh only edits the tracked file: `up` applies it. It needs no account.
    """
    environment, today = resolve(env), datetime.datetime.now(datetime.UTC).date()
    named = context.get_parameter_source("env")
    if refresh and (named is None or named.name == "DEFAULT"):
        raise UsageError(
            "basec: cloudflare ranges: --refresh changes a file, so it requires --env",
            f"basec cloudflare ranges --refresh --env {environment.name}",
        )
    change = module.refresh(environment, today) if refresh else None
    current = change.after if change else module.read(environment)
    if as_json:
        result: dict[str, object] = {
            "environment": environment.name,
            "ranges": list(current.networks),
            "date": str(current.day),
            "age_days": current.age(today),
        }
        print_json(environment.name, result | ({"added": change.added, "removed": change.removed} if change else {}))
        return
    if change is None:
        for network in current.networks:
            answer(network)
        count = len(current.networks)
        words = f"{count} range{'' if count == 1 else 's'}, copied on {current.day}"
        answer(f"{words}, {current.age(today)} days ago")
        return
    for sign, networks in (("+", change.added), ("-", change.removed)):
        for network in networks:
            answer(f"{sign} {network}")
    counts = f"{len(change.added)} added, {len(change.removed)} removed, {len(current.networks)} in all"
    answer(f"{environment.stack_file.name}: {counts}; dated {current.day}")
    if change.added or change.removed:
        say(f"hint: basec preview --env {environment.name}")
