"""`basec exec`: one command in a container."""

from __future__ import annotations

import sys

import typer

from basec.commands.arguments import CHANGE_ENV, HOST, SERVICE
from basec.environments import resolve
from basec.hosts import facts
from basec.hosts.remote import interactive
from basec.hosts.services import host_of, services_of
from basec.session import Session

IN_CONTAINER = """tier=$0 service=$1 flags=$2
shift 2
container=$(/opt/basecommerce/scripts/release.py serving "$tier" "$service") || exit
exec docker exec "$flags" "$tier-$container-1" "$@"
"""
"""The container's name is compose's: project, service, with the colour that serves if it has two, and number."""


def register(app: typer.Typer) -> None:
    app.command(
        "exec",
        epilog="Examples: basec exec infra postgres -e local -- psql -U basecommerce; "
        "basec exec edge auth -e staging -- env",
        context_settings={"ignore_unknown_options": True, "allow_interspersed_args": True},
    )(exec_)


def exec_(
    host: str = HOST,
    service: str = SERVICE,
    command: list[str] = typer.Argument(..., metavar="COMMAND...", help="What to run in the service's container."),
    env: str = CHANGE_ENV,
) -> None:
    """Run a command in a service's container. Uses the terminal if there is one; exits with the command's exit code."""
    session = Session(resolve(env))
    known = facts.load(session.environment)
    found = host_of(known, host, "exec {} {service} COMMAND")
    services_of(found, service)  # refuses one that is not there
    flags = "-it" if sys.stdin.isatty() and sys.stdout.isatty() else "-i"
    words = ["sudo", "sh", "-c", IN_CONTAINER, found.tier, service, flags, *command]
    raise typer.Exit(interactive(session, known, found.name, words))
