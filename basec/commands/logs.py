"""`basec logs`: the services' log lines, of all hosts at once."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial

import typer

from basec.commands.arguments import ANY_HOST, ANY_SERVICE, READ_ENV
from basec.environments import resolve
from basec.hosts import facts
from basec.hosts.facts import Facts
from basec.hosts.logs import DEFAULT_TAIL, LogLine, Logs, Query, parse_since
from basec.hosts.services import hosts_of, services_of
from basec.io.console import say
from basec.io.known_issues import with_pointers
from basec.session import Session
from topology.errors import ExitCode

COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "bright_cyan", "bright_yellow", "bright_green")
"""One for each service. Red is for errors."""


def register(app: typer.Typer) -> None:
    app.command("logs", epilog="Examples: basec logs --env local --follow; basec logs infra postgres --since 10m")(logs)


def logs(  # noqa: PLR0917 - each is an option of the command line
    host: str = ANY_HOST,
    service: str = ANY_SERVICE,
    follow: bool = typer.Option(False, "--follow", "-f", help="Keep printing new lines until Ctrl-C."),
    tail: int = typer.Option(None, "--tail", "-n", min=0, help="Last lines of each service: 100, or all with --since."),
    since: str = typer.Option("", "--since", help="A duration (10m, 2d) or a time (2026-01-31T08:00, UTC)."),
    grep: str = typer.Option("", "--grep", metavar="TEXT", help="Only lines with this text; case does not matter."),
    errors: bool = typer.Option(False, "--errors", help="Only errors and worse, also responses of 500 and above."),
    everything: bool = typer.Option(False, "--all", help="Also the health checks that passed."),
    as_json: bool = typer.Option(False, "--json", help="Print each line as a JSON object."),
    env: str = READ_ENV,
) -> None:
    """Show the services' log lines in time order. Exits 4 if a host cannot be reached; the others are still shown."""
    session = Session(resolve(env))
    known = facts.load(session.environment)
    hosts = hosts_of(known, [host] if host else [], "logs {} {service}")
    wanted = {chosen: services_of(chosen, service or None) for chosen in hosts}
    query = Query(
        tail=DEFAULT_TAIL if tail is None and not since else tail,
        since=parse_since(since) if since else "",
        follow=follow,
        checks=everything,
        errors=errors,
        grep=grep,
    )
    width = max(len(f"{h.name} {name}") for h, names in wanted.items() for name in names)
    colours = colour_of_each(known) if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else {}
    written = _object if as_json else partial(_line, width=width, colours=colours)
    try:
        with Logs(session, wanted, query) as lines:
            _show(lines, written)
        failed = lines.errors
    except KeyboardInterrupt:  # the usual end of --follow: no message
        raise typer.Exit(int(ExitCode.INTERRUPTED)) from None
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    for error in failed:
        say(with_pointers(error.render()))
    if failed:
        raise typer.Exit(int(ExitCode.REMOTE))


def colour_of_each(known: Facts) -> dict[str, str]:
    """Return the colour of each service, the same in each run; after the eighth they repeat."""
    services = dict.fromkeys(service for host in known.hosts.values() for service in host.services)
    return dict(zip(services, itertools.cycle(COLOURS), strict=False))


def _show(lines: Logs, written: Callable[[LogLine], str]) -> None:
    for line in lines:
        sys.stdout.write(f"{written(line)}\n")
        if lines.idle:
            sys.stdout.flush()
    sys.stdout.flush()


def _object(line: LogLine) -> str:
    return json.dumps(asdict(line))


def _line(line: LogLine, *, width: int, colours: Mapping[str, str]) -> str:
    """Write who, when and what; the year is in `--json`."""
    who = f"{f'{line.host} {line.service}':<{width}} |"
    when, message = f"{line.time[5:10]} {line.time[11:19]}", line.message
    if colours:
        who, when = typer.style(who, fg=colours[line.service]), typer.style(when, dim=True)
        message = typer.style(message, fg="red") if line.is_error else message
    return f"{who} {when} {message}"
