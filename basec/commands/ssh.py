"""`basec ssh`: a shell or one command on a host."""

from __future__ import annotations

import typer

from basec.commands.arguments import HOST, READ_ENV
from basec.environments import resolve
from basec.hosts import facts
from basec.hosts.remote import interactive
from basec.session import Session


def register(app: typer.Typer) -> None:
    app.command(
        "ssh",
        epilog="Examples: basec ssh edge --env local; basec ssh --env local infra -- sudo docker ps",
        context_settings={"ignore_unknown_options": True, "allow_interspersed_args": True},
    )(ssh)


def ssh(
    host: str = HOST,
    command: list[str] = typer.Argument(
        None, metavar="COMMAND...", help="The command, word by word; one word alone is a line for the shell."
    ),
    env: str = READ_ENV,
) -> None:
    """Open a shell on a host, or run one command there. The exit code is the command's own."""
    session = Session(resolve(env))
    raise typer.Exit(interactive(session, facts.load(session.environment), host, command or []))
