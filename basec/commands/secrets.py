"""`basec secrets`: what secrets a stack has, how old they are and what uses them; never what they are."""

from __future__ import annotations

import datetime
from typing import Any

import typer

from basec.arguments import AS_JSON, READ_ENV
from basec.console import answer, print_json, show, table
from basec.environments import Environment, resolve

NOT_SET = "not set"
UNKNOWN = "unknown"


app = typer.Typer(name="secrets", help="Show which secrets a stack has, never a value.", no_args_is_help=True)


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


def _rows(environment: Environment, today: datetime.date) -> list[dict[str, Any]]:
    from basec import local_stack
    from basec.stack_file import StackFile
    from topology.inventory import load_inventory
    from topology.project import load_project, required_secrets
    from topology.secrets import secret_uses

    if environment.is_local and not environment.stack_file.exists():
        raise local_stack.not_initialised(environment)
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
