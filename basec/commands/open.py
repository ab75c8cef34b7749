"""`basec open`: the shop in the browser."""

from __future__ import annotations

import os
import webbrowser

import typer

from basec.commands.arguments import READ_ENV
from basec.environments import resolve
from basec.hosts import facts
from basec.hosts.demo_tenant import SLUG
from basec.io.console import answer, say
from topology.errors import UsageError

NEEDED = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
"""If none of these is set, Python would start a text browser in this terminal."""


def register(app: typer.Typer) -> None:
    app.command("open", epilog="Examples: basec open --env local; basec open --env production --tenant acme")(open_)


def open_(
    env: str = READ_ENV,
    tenant: str = typer.Option("", "--tenant", help="Whose shop; default on a local stack: `demo`."),
) -> None:
    """Open the shop in the browser. Prints its address; without a display it only prints."""

    environment = resolve(env)
    known = facts.load(environment)
    if not tenant and not environment.is_local:
        raise UsageError(
            f"basec: open: {environment.name}: each tenant has its own shop, and no tenant was given",
            f"basec open --env {environment.name} --tenant NAME",
        )
    url = known.url(tenant or SLUG)
    answer(url)
    if not any(os.environ.get(name) for name in NEEDED):
        say("no display here: open the address in your own browser")
    elif not webbrowser.open(url):
        say("no browser found here: open the address in your own")
