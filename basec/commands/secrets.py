"""`basec secrets`: what secrets a stack has, how old they are, what uses them, and new ones; never their values."""

from __future__ import annotations

import datetime
from typing import Any

import typer

from basec.commands.arguments import AS_JSON, CHANGE_ENV, READ_ENV
from basec.engine.bring_up import bring_up
from basec.engine.plan import Request
from basec.environments import resolve
from basec.hosts import facts, smoke
from basec.hosts.demo_tenant import SLUG
from basec.io.console import answer, print_json, say, show, table
from basec.secrets import rotation
from basec.session import Session
from topology.secrets import secret_uses

NOT_SET = "not set"
UNKNOWN = "unknown"


app = typer.Typer(name="secrets", help="List a stack's secrets and make new ones.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    root.add_typer(app)


@app.command("list", epilog="Examples: basec secrets list; basec secrets list --env staging --json")
def list_secrets(env: str = READ_ENV, as_json: bool = AS_JSON) -> None:
    """List the secrets: name, date, age in days, users. Needs no passphrase."""
    environment = resolve(env)
    rows = _rows(Session(environment), datetime.datetime.now(datetime.UTC).date())
    if as_json:
        print_json(environment.name, {"secrets": rows})
        return
    cells = [_cells(row) for row in rows]
    show(table(f"secrets: {environment.name}", ("name", "made", "days", "used by"), cells, right=("days",)))
    absent = sum(not row["set"] for row in rows)
    answer(f"{len(rows) - absent} set, {absent} missing" + (f": basec init --env {environment.name}" if absent else ""))


@app.command(
    epilog="Examples: basec secrets rotate redis_password -e local; "
    "basec secrets rotate token_key -e staging --tenant acme"
)
def rotate(
    names: list[str] = typer.Argument(
        ..., metavar="NAME...", help="Names of secrets, as `basec secrets list` prints them."
    ),
    env: str = CHANGE_ENV,
    tenant: str = typer.Option(SLUG, "--tenant", help="A tenant that exists there, for the smoke checks."),
    yes: bool = typer.Option(False, "--yes", help="Do not ask before changing a cloud environment."),
) -> None:
    """Make new values and deploy them with `up`.

    It ends with the smoke checks. Safe to repeat and to interrupt. Of a `database_password_*` the old value works
    until every host has the new one. A new `token_key`: everybody logs in again.
    """
    environment = resolve(env)
    rotation.check(environment, names)
    session = Session(environment)
    stack = session.stack_file
    for name in names:
        say(f"{environment.name}: {name}: new value" + (f"; {note}" if (note := rotation.NOTES.get(name)) else ""))

    def bring(number: int) -> None:
        say(f"{environment.name}: up {number}; if it fails: fix the cause, then basec up --env {environment.name}")
        bring_up(Session(environment), Request(ask=not (yes or environment.is_local)))  # reads what was just written

    rotation.rotate(stack, names, bring)
    if not environment.is_local:  # there `up` itself ends with them
        known = facts.load(environment)
        results = smoke.until_settled(lambda: smoke.run(session, known, tenant))
        smoke.show(environment, results)
        smoke.require(environment, tenant, results)


def _rows(session: Session, today: datetime.date) -> list[dict[str, Any]]:
    # The inventory decides which secrets there should be; this command shows which are missing.
    wanted = session.required_secrets
    project, stack = session.written_project, session.stack_file
    uses = secret_uses(project, stack.make_missing(wanted))
    made = stack.made()
    return [
        {
            "name": name,
            "set": name in stack.secret_names,
            "made": str(made[name]) if name in made else None,
            "age_days": (today - made[name]).days if name in made else None,
            "used_by": list(uses.get(name, ())),
        }
        for name in dict.fromkeys([*wanted, *sorted(stack.secret_names)])
    ]


def _cells(row: dict[str, Any]) -> list[str]:
    unknown = UNKNOWN if row["set"] else NOT_SET
    days = "" if row["age_days"] is None else str(row["age_days"])
    return [row["name"], row["made"] or unknown, days, ", ".join(row["used_by"])]
