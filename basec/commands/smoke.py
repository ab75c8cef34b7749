"""`basec smoke`: does it serve?"""

from __future__ import annotations

import typer

from basec.commands.arguments import AS_JSON, HOST_OR_ALL, READ_ENV
from basec.environments import resolve
from basec.hosts import facts
from basec.hosts.demo_tenant import SLUG
from basec.hosts.services import ALL, host_of
from basec.hosts.smoke import require, run, show
from basec.io.console import print_json
from basec.session import Session


def register(app: typer.Typer) -> None:
    app.command("smoke", epilog="Examples: basec smoke --env local; basec smoke edge --env staging --tenant acme")(
        smoke
    )


def smoke(
    host: str = HOST_OR_ALL,
    env: str = READ_ENV,
    tenant: str = typer.Option(SLUG, "--tenant", help="A tenant that exists there."),
    as_json: bool = AS_JSON,
) -> None:
    """Check what a tenant sees and what the hosts run. Exits 1 if any check fails."""
    session = Session(resolve(env))
    environment = session.environment
    known = facts.load(environment)
    results = run(session, known, tenant, None if host == ALL else host_of(known, host, "smoke {}").name)
    if as_json:
        print_json(environment.name, {"checks": [result.as_dict() for result in results]})
    else:
        show(environment, results)
    require(environment, tenant, results)
