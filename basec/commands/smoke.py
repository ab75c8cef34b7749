"""`basec smoke`: does it serve?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from basec.console import answer, print_json, table
from basec.console import show as show_table
from basec.environments import DEFAULT_ENVIRONMENT, Environment, resolve
from topology.errors import ExitCode

if TYPE_CHECKING:
    from basec import checks
    from basec.facts import Facts

DEFAULT_TENANT = "demo"


def register(app: typer.Typer) -> None:
    app.command("smoke", epilog="Examples: basec smoke --env local; basec smoke --env staging --tenant acme --json")(
        smoke
    )


def smoke(
    env: str = typer.Option(DEFAULT_ENVIRONMENT, "--env", "-e", help="The environment."),
    tenant: str = typer.Option(DEFAULT_TENANT, "--tenant", help="A tenant that exists there."),
    as_json: bool = typer.Option(False, "--json", help="Print the results as JSON."),
) -> None:
    """Check from outside what a tenant sees, and on each host what runs. Exits 1 if any check fails."""
    from basec import facts

    environment = resolve(env)
    results = run(environment, facts.load(environment), tenant)
    if as_json:
        print_json([result.as_dict() for result in results])
    else:
        show(environment, results)
    if not all(result.passed for result in results):
        raise typer.Exit(int(ExitCode.FAILURE))


def run(environment: Environment, known: Facts, tenant: str) -> list[checks.Result]:
    """Run all checks of an environment."""
    from basec import checks

    return checks.run_all([*checks.public_checks(known, tenant), *checks.host_checks(environment, known)])


def show(environment: Environment, results: list[checks.Result]) -> None:
    """Print the table and a line with the verdict."""
    rows = [
        (result.name, result.host, str(result.milliseconds), "pass" if result.passed else f"FAIL {result.problem}")
        for result in results
    ]
    show_table(table(f"smoke: {environment.name}", ("check", "host", "ms", "result"), rows, right=("ms",)))
    failed = sum(not result.passed for result in results)
    answer(f"{len(results) - failed} passed, {failed} failed")
