"""`basec inventory`: the hosts as the last `up` made them."""

from __future__ import annotations

from dataclasses import asdict

import typer

from basec.commands.arguments import AS_JSON, CHANGE_ENV, READ_ENV
from basec.engine.opening import open_engine
from basec.environments import resolve
from basec.hosts import facts
from basec.io.console import Stages, answer, print_json, show, table
from basec.session import Session

app = typer.Typer(name="inventory", help="Show the hosts, or rebuild their local files.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    root.add_typer(app)


@app.command("show", epilog="Examples: basec inventory show; basec inventory show --env local --json")
def show_inventory(
    env: str = READ_ENV,
    as_json: bool = AS_JSON,
) -> None:
    """Show the hosts with their addresses. From the files of the last `up`."""
    environment = resolve(env)
    hosts = facts.load(environment).hosts.values()
    if as_json:
        print_json(environment.name, {"hosts": [asdict(host) for host in hosts]})
        return
    rows = [(h.name, h.role, h.ip, h.private_ip, h.user, ", ".join(h.aliases)) for h in hosts]
    show(table(f"inventory: {environment.name}", ("host", "role", "public", "private", "user", "aliases"), rows))


@app.command("refresh", epilog="Examples: basec inventory refresh -e local; basec inventory refresh -e production")
def refresh(env: str = CHANGE_ENV) -> None:
    """Rebuild .basec/<env>/ from the stack's exports. Inventory, known hosts and SSH config, without an `up`.

    For a new clone, or after `up` ran on another machine. Needs the passphrase; changes nothing in the cloud.
    """
    session = Session(resolve(env))
    environment = session.environment
    _ = session.project  # before the engine is opened
    known = facts.renew(session, open_engine(session, Stages()).outputs())
    answer(f"{environment.name}: {len(known.hosts)} hosts in {environment.facts_dir.relative_to(environment.root)}/")
