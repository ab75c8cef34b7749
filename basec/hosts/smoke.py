"""The smoke checks as operators run them: repeated until a stack has settled, shown, and what to do after a failure."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import typer

from basec.environments import Environment
from basec.hosts import smoke_checks
from basec.hosts.facts import Facts
from basec.io.console import answer, coloured, say, table
from basec.io.console import show as show_table
from basec.session import Session
from topology.errors import ExitCode

SETTLE_S = 120
"""Seconds for containers that were just started to be healthy: the longest `start_period` in `compose/`."""
SETTLE_PAUSE_S = 3
"""Seconds between two rounds: the edge admits five requests a second to auth."""


def require(environment: Environment, tenant: str, results: Sequence[smoke_checks.Result]) -> None:
    """Print the next command after a failure. Raises typer.Exit."""
    if not all(result.passed for result in results):
        say(f"hint: {way_on(environment, tenant, results)}")
        raise typer.Exit(int(ExitCode.FAILURE))


def way_on(environment: Environment, tenant: str, results: Sequence[smoke_checks.Result]) -> str:
    """Return the next command after a failure."""
    if environment.is_local and any(result.problem.startswith(smoke_checks.NO_CERTIFICATE) for result in results):
        row = "a new tenant also needs its row: docs/runbooks/first-deployment.md"
        return f"LOCAL_TENANTS={tenant} make up, for the certificate; {row}"
    return f"basec status --env {environment.name}"


def run(session: Session, known: Facts, tenant: str, host: str | None = None) -> list[smoke_checks.Result]:
    """Run the checks of an environment, or of one of its hosts."""
    found = [*smoke_checks.public_checks(known, tenant), *smoke_checks.host_checks(session, known)]
    return smoke_checks.run_all([check for check in found if host in (None, check.host)])


def until_settled(run_checks: Callable[[], list[smoke_checks.Result]]) -> list[smoke_checks.Result]:
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


def show(environment: Environment, results: Sequence[smoke_checks.Result]) -> None:
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
