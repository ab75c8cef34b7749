"""`basec up`: bring an environment to what the files define."""

from __future__ import annotations

from pathlib import Path

import typer

from basec.commands.arguments import ALLOW_REPLACE, CHANGE_ENV
from basec.engine.bring_up import bring_up
from basec.engine.plan import Request
from basec.environments import resolve
from basec.session import Session
from topology.errors import UsageError


def register(app: typer.Typer) -> None:
    app.command("up", epilog="Examples: basec up --env local; basec up --env staging --yes")(up)


def up(
    env: str = CHANGE_ENV,
    yes: bool = typer.Option(False, "--yes", help="Do not ask before changing a cloud environment."),
    allow_replace: list[str] = ALLOW_REPLACE,
    plan: Path = typer.Option(
        None, "--plan", metavar="FILE", help="Apply only the plan that `preview --save-plan` wrote."
    ),
    refresh: bool = typer.Option(False, "--refresh", help="Ask the cloud what exists; recreate lost machines."),
) -> None:
    """Bring an environment up. Checks, previews, then applies what was shown. Safe to repeat and to interrupt."""
    environment = resolve(env)
    if plan is not None and not plan.is_file():
        raise UsageError(
            f"basec: --plan: {plan}: no such file", f"basec preview --env {environment.name} --save-plan {plan}"
        )
    if plan is not None and refresh:
        raise UsageError(
            "basec: --plan and --refresh cannot be combined: the saved plan was made without a refresh",
            f"basec up --refresh --env {environment.name}",
        )
    ask = not (yes or environment.is_local)
    request = Request(allow_replace=tuple(allow_replace or ()), ask=ask, plan=plan, refresh=refresh)
    bring_up(Session(environment), request)
