"""`basec smoke`: does it serve?"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from basec.commands.arguments import AS_JSON, HOST_OR_ALL, READ_ENV
from basec.environments import Environment, resolve
from basec.io.console import answer, coloured, print_json, say, table
from basec.io.console import show as show_table
from topology.errors import ExitCode

if TYPE_CHECKING:
    from basec.hosts import checks
    from basec.hosts.facts import Facts

DEFAULT_TENANT = "demo"
SETTLE_S = 120
"""Seconds for containers that were just started to be healthy: the longest `start_period` in `compose/`."""
SETTLE_PAUSE_S = 3
"""Seconds between two rounds: the edge admits five requests a second to auth."""


def register(app: typer.Typer) -> None:
    app.command("smoke", epilog="Examples: basec smoke --env local; basec smoke edge --env staging --tenant acme")(
        smoke
    )


def smoke(
    host: str = HOST_OR_ALL,
    env: str = READ_ENV,
    tenant: str = typer.Option(DEFAULT_TENANT, "--tenant", help="A tenant that exists there."),
    as_json: bool = AS_JSON,
) -> None:
    """Check what a tenant sees and what the hosts run. Exits 1 if any check fails."""
    from basec.hosts import facts
    from basec.hosts.services import ALL, host_of

    environment = resolve(env)
    known = facts.load(environment)
    results = run(environment, known, tenant, None if host == ALL else host_of(known, host, "smoke {}").name)
    if as_json:
        print_json(environment.name, {"checks": [result.as_dict() for result in results]})
    else:
        show(environment, results)
    _require(environment, tenant, results)


def require(environment: Environment, known: Facts, tenant: str) -> None:
    """Run all checks until they pass, at most `SETTLE_S`, and show them. Raises typer.Exit when one fails."""
    results = settle(lambda: run(environment, known, tenant))
    show(environment, results)
    _require(environment, tenant, results)


def _require(environment: Environment, tenant: str, results: list[checks.Result]) -> None:
    if not all(result.passed for result in results):
        say(f"hint: {way_on(environment, tenant, results)}")
        raise typer.Exit(int(ExitCode.FAILURE))


def way_on(environment: Environment, tenant: str, results: list[checks.Result]) -> str:
    """Answer the next command after a failure."""
    from basec.hosts.checks import NO_CERTIFICATE

    if environment.is_local and any(result.problem.startswith(NO_CERTIFICATE) for result in results):
        return f"LOCAL_TENANTS={tenant} make up"
    return f"basec status --env {environment.name}"


def run(environment: Environment, known: Facts, tenant: str, host: str | None = None) -> list[checks.Result]:
    """Run the checks of an environment, or of one of its hosts."""
    from basec.hosts import checks

    found = [*checks.public_checks(known, tenant), *checks.host_checks(environment, known)]
    return checks.run_all([check for check in found if host in (None, check.host)])


def settle(run_checks: Callable[[], list[checks.Result]]) -> list[checks.Result]:
    """Repeat checks until all pass, at most `SETTLE_S`: after a power-on the engine has nothing to wait for."""
    deadline = time.monotonic() + SETTLE_S
    said: list[str] = []
    while True:
        results = run_checks()
        failed = [f"{result.name} ({result.host})" for result in results if not result.passed]
        if not failed or time.monotonic() > deadline:
            return results
        if failed != said:
            say(f"waiting for: {', '.join(failed)}")
            said = failed
        time.sleep(SETTLE_PAUSE_S)


def show(environment: Environment, results: list[checks.Result]) -> None:
    """Print the table and a line with the verdict."""
    rows = [
        (
            result.name,
            result.host,
            str(result.milliseconds),
            coloured("pass" if result.passed else f"FAIL {result.problem}", good=result.passed),
        )
        for result in results
    ]
    show_table(table(f"smoke: {environment.name}", ("check", "host", "ms", "result"), rows, right=("ms",)))
    failed = sum(not result.passed for result in results)
    answer(f"{len(results) - failed} passed, {failed} failed")
