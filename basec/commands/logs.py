"""`basec logs`: what the services say, on all hosts at once."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import typer

from basec.arguments import ANY_HOST, ANY_SERVICE, READ_ENV
from basec.console import say
from basec.environments import resolve
from topology.errors import ExitCode

if TYPE_CHECKING:
    from basec.logs import Logs

COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "bright_cyan", "bright_yellow", "bright_green")


def register(app: typer.Typer) -> None:
    app.command("logs", epilog="Examples: basec logs --env local --follow; basec logs infra postgres --since 10m")(logs)


def logs(  # noqa: PLR0917 - each is an option of the command line
    host: str = ANY_HOST,
    service: str = ANY_SERVICE,
    follow: bool = typer.Option(False, "--follow", "-f", help="Go on with new lines until Ctrl-C."),
    tail: int = typer.Option(None, "--tail", "-n", min=0, help="Last lines of each service: 100, or all with --since."),
    since: str = typer.Option("", "--since", help="A duration (10m, 2d) or a time (2026-01-31T08:00, UTC)."),
    env: str = READ_ENV,
) -> None:
    """Show the services' log lines in time order. Exits 4 if a host cannot be reached; the others are still shown."""
    from basec import facts
    from basec.logs import DEFAULT_TAIL, Logs, Query, parse_since
    from basec.services import hosts_of, services_of

    environment = resolve(env)
    known = facts.load(environment)
    hosts = hosts_of(known, [host] if host else [], "logs {} {service}")
    wanted = {chosen: services_of(chosen, service or None) for chosen in hosts}
    moment = parse_since(since) if since else ""
    last = DEFAULT_TAIL if tail is None and not since else tail
    try:
        with Logs(environment, wanted, Query(tail=last, since=moment, follow=follow)) as lines:
            _show(lines, max(len(f"{h.name} {name}") for h, names in wanted.items() for name in names))
        errors = lines.errors
    except KeyboardInterrupt:  # the usual end of --follow; nothing is left to be said
        raise typer.Exit(int(ExitCode.INTERRUPTED)) from None
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    for error in errors:
        say(error.render())
    if errors:
        raise typer.Exit(int(ExitCode.REMOTE))


def _show(lines: Logs, width: int) -> None:
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    colours: dict[str, str] = {}
    for line in lines:
        name = f"{line.host} {line.service}"
        prefix = f"{name:<{width}} |"
        if coloured:
            prefix = typer.style(prefix, fg=colours.setdefault(name, COLOURS[len(colours) % len(COLOURS)]))
        sys.stdout.write(f"{prefix} {line.text}\n")
        if lines.idle:
            sys.stdout.flush()
    sys.stdout.flush()
