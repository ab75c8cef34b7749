"""`basec trust`: let browsers on this machine trust a local stack's https."""

from __future__ import annotations

import typer

from basec.commands.arguments import CHANGE_ENV
from basec.environments import Environment, resolve
from basec.io.console import answer
from basec.local import trust as module
from topology.errors import BasecommerceError, UsageError


def register(app: typer.Typer) -> None:
    app.command("trust", epilog="Examples: basec trust --env local; basec trust --env local --remove")(trust)


def trust(
    env: str = CHANGE_ENV,
    system: bool = typer.Option(
        False, "--system", help="Also in the machine's store, for curl and others; needs root."
    ),
    remove: bool = typer.Option(False, "--remove", help="Remove what was added; `down` does this too."),
) -> None:
    """Let your browsers trust a local stack. Its authority can sign for `localhost` and names below it only."""
    environment = resolve(env)
    if not environment.is_local:
        raise UsageError(
            f"basec: trust: {environment.name}: a public authority signs its certificate, and browsers trust that",
            f"basec open --env {environment.name}",
        )
    if remove:
        places = module.remove(environment)
        for place in places:
            answer(f"{environment.name}: no longer trusted in {place}")
        if not places:
            answer(f"{environment.name}: trusted nowhere on this machine")
        return
    if system:
        answer(f"{environment.name}: trusted by this machine: {module.add_to_system(environment)}")
    try:
        stores = module.add(environment)
    except UsageError:
        raise
    except BasecommerceError:
        _say_steps(environment, module.BY_HAND)
        raise
    for store in stores:
        answer(f"{environment.name}: trusted in {store}")
    answer(f"restart browsers that are open; undo: basec trust --remove --env {environment.name}")


def _say_steps(environment: Environment, steps: tuple[str, ...]) -> None:
    answer(f"by hand, with {environment.public_ca_file}:")
    for step in steps:
        answer(f"  {step}")
