"""`basec cost`: what an environment costs a month, item by item. Needs neither engine nor passphrase."""

from __future__ import annotations

import typer

from basec.commands.arguments import AS_JSON, READ_ENV
from basec.engine import price
from basec.environments import resolve
from basec.io.console import answer, print_json, show, table
from basec.session import Session
from topology.costs import Item, dollars, total


def register(app: typer.Typer) -> None:
    app.command("cost", epilog="Examples: basec cost; basec cost --env local --json")(cost)


def cost(
    env: str = READ_ENV,
    as_json: bool = AS_JSON,
) -> None:
    """Show what an environment costs a month.

    Compares what the last `up` from here deployed with what the files define now.
    """
    environment = resolve(env)
    found = price.price_of(Session(environment).written_project, price.deployed_of(environment))
    if as_json:
        print_json(environment.name, found.document())
        return

    def cell(item: Item | None) -> tuple[str, str]:
        return (item.what, dollars(item.cents)) if item else ("", "")

    known = found.before is not None
    rows = [
        (change.name, *(cell(change.before) if known else ("", "?")), *cell(change.after)) for change in found.changes
    ]
    sums = (
        "total",
        "",
        dollars(total(found.before)) if found.before is not None else "?",
        "",
        dollars(total(found.after)),
    )
    columns = ("item", "now", "USD a month", "written", "USD a month ")
    title = f"cost: {environment.name}, prices of {found.date}"
    show(table(title, columns, [*rows, sums], right=("USD a month", "USD a month ")))
    answer(f"limit {found.limit_usd} USD a month")
    if found.before is None:
        answer(f"what is deployed is not known here: basec inventory refresh --env {environment.name}")
    if found.local:
        answer(price.FREE_HERE)
