"""The smoke checks as operators run them: repeated until a stack has settled, shown, and what to do after a failure."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import typer

from basec.environments import Environment
from basec.hosts import maintenance, smoke_checks
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
    if any(is_maintenance(result) for result in results):
        return f"basec maintenance off --env {environment.name}"
    return f"basec status --env {environment.name}"


def is_maintenance(result: smoke_checks.Result) -> bool:
    """Return whether a check failed at the page of maintenance, and at nothing else."""
    return result.problem.startswith(smoke_checks.MAINTENANCE)


def explained(session: Session, known: Facts, results: list[smoke_checks.Result]) -> list[smoke_checks.Result]:
    """Add to the checks that failed at the page of maintenance since when it is on, and by whom."""
    if not any(is_maintenance(result) for result in results):
        return results
    found = [change.after for change in maintenance.read(session, known).changes]
    why = next((f"{smoke_checks.MAINTENANCE} {each.origin}" for each in found if each), smoke_checks.MAINTENANCE)
    return [replace(result, problem=why) if is_maintenance(result) else result for result in results]


def run(session: Session, known: Facts, tenant: str, host: str | None = None) -> list[smoke_checks.Result]:
    """Run the checks of an environment, or of one of its hosts."""
    found = [*smoke_checks.public_checks(known, tenant), *smoke_checks.host_checks(session, known)]
    return explained(session, known, smoke_checks.run_all([check for check in found if host in (None, check.host)]))


def until_settled(run_checks: Callable[[], list[smoke_checks.Result]]) -> list[smoke_checks.Result]:
    """Repeat checks until all pass, at most `SETTLE_S`: after a power-on the engine has nothing to wait for.

    Maintenance does not end by waiting.
    """
    deadline = time.monotonic() + SETTLE_S
    said: list[str] = []
    while True:
        results = run_checks()
        failed = [f"{each.name} ({each.host})" for each in results if not (each.passed or is_maintenance(each))]
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
