"""`basec inventory`: the hosts as the last `up` made them."""

from __future__ import annotations

import typer

from basec.commands.arguments import AS_JSON, CHANGE_ENV, READ_ENV
from basec.commands.stack import current_project, open_engine, write_facts
from basec.environments import resolve
from basec.io.console import Stages, answer, print_json, show, table

app = typer.Typer(name="inventory", help="Show the hosts, or rebuild what is known of them.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    root.add_typer(app)


@app.command("show", epilog="Examples: basec inventory show; basec inventory show --env local --json")
def show_inventory(
    env: str = READ_ENV,
    as_json: bool = AS_JSON,
) -> None:
    """Show the hosts with their addresses. From the files of the last `up`."""
    from dataclasses import asdict

    from basec.hosts import facts

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
    from basec.local.cloud import LocalCloud

    environment = resolve(env)
    project = current_project(environment)
    stand_in = LocalCloud.load(environment).stand_in if environment.is_local else None
    known = write_facts(environment, open_engine(environment, Stages()).outputs(), project, stand_in)
    answer(f"{environment.name}: {len(known.hosts)} hosts in {environment.facts_dir.relative_to(environment.root)}/")
