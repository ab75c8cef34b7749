"""`basec secrets`: what secrets a stack has, how old they are, what uses them, and new ones; never what they are."""

from __future__ import annotations

import datetime
from typing import Any

import typer

from basec.commands.arguments import AS_JSON, CHANGE_ENV, READ_ENV
from basec.commands.smoke import DEFAULT_TENANT
from basec.environments import Environment, resolve
from basec.io.console import answer, print_json, say, show, table

NOT_SET = "not set"
UNKNOWN = "unknown"


app = typer.Typer(name="secrets", help="List a stack's secrets and make new ones.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    root.add_typer(app)


@app.command("list", epilog="Examples: basec secrets list; basec secrets list --env staging --json")
def list_secrets(env: str = READ_ENV, as_json: bool = AS_JSON) -> None:
    """List the secrets: name, date, age in days, users. Needs no passphrase."""
    environment = resolve(env)
    rows = _rows(environment, datetime.datetime.now(datetime.UTC).date())
    if as_json:
        print_json(environment.name, {"secrets": rows})
        return
    cells = [_cells(row) for row in rows]
    show(table(f"secrets: {environment.name}", ("name", "made", "days", "used by"), cells, right=("days",)))
    absent = sum(not row["set"] for row in rows)
    answer(f"{len(rows) - absent} set, {absent} not" + (f": basec init --env {environment.name}" if absent else ""))


@app.command(epilog="Examples: basec secrets rotate token_key -e staging; basec secrets rotate redis_password -e local")
def rotate(
    names: list[str] = typer.Argument(..., metavar="NAME...", help="Secrets, as `basec secrets list` names them."),
    env: str = CHANGE_ENV,
    tenant: str = typer.Option(DEFAULT_TENANT, "--tenant", help="A tenant that exists there, for the smoke checks."),
    yes: bool = typer.Option(False, "--yes", help="Do not ask before changing a cloud environment."),
) -> None:
    """Make new values and bring them out by `up`.

    It ends with the smoke checks. Safe to repeat and to interrupt. No login is refused meanwhile: the old password
    works until every host has the new one.
    """
    from basec.commands import smoke
    from basec.commands.stack import up
    from basec.hosts import facts
    from basec.secrets import rotation
    from basec.secrets.stack_file import StackFile

    environment = resolve(env)
    rotation.check(environment, names)
    stack = StackFile(environment)
    for name in names:
        say(f"{environment.name}: {name}: new value" + (f"; {note}" if (note := rotation.NOTES.get(name)) else ""))

    def bring(number: int) -> None:
        say(f"{environment.name}: up {number}; if it fails: mend the cause, then basec up --env {environment.name}")
        up(env=environment.name, yes=yes, allow_replace=[], plan=None, refresh=False)  # type: ignore[arg-type]

    rotation.rotate(stack, names, bring)
    if not environment.is_local:  # there `up` itself ends with them
        smoke.require(environment, facts.load(environment), tenant)


def _rows(environment: Environment, today: datetime.date) -> list[dict[str, Any]]:
    from basec.local.cloud import not_initialised
    from basec.secrets.stack_file import StackFile
    from topology.inventory import load_inventory
    from topology.project import load_project, required_secrets
    from topology.secrets import secret_uses

    if environment.is_local and not environment.stack_file.exists():
        raise not_initialised(environment)
    stack = StackFile(environment)
    # Which secrets there should be is a matter of the inventory; that some are missing is what this command shows.
    wanted = required_secrets(load_inventory(environment.root / "inventory.yaml"))
    project = load_project(environment.root, environment.name, stack.settings, wanted)
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
