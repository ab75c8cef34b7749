"""Arguments that many commands take, with their completion in the shell."""

from __future__ import annotations

import os
from collections.abc import Iterator

import typer

from basec.environments import ENVIRONMENT_VARIABLE, known_names, resolve, seen_names
from basec.hosts import facts
from basec.hosts.services import services_of
from topology.errors import BasecommerceError, UsageError
from topology.names import CLOUD_STACKS, LOCAL_STACK


def default_environment() -> str | None:
    """Return the default environment of a read-only command; None where that is unclear.

    `BASEC_ENV`; otherwise production, if this clone has brought it up or refreshed it; otherwise the only one it knows.
    """
    seen = seen_names()
    clear = len(seen) == 1 or seen[:1] == ["production"]
    return os.environ.get(ENVIRONMENT_VARIABLE) or (seen[0] if clear else None)


def _to_look_at(context: typer.Context, name: str | None) -> str | None:
    if name or context.resilient_parsing:
        return name
    if (found := default_environment()) is not None:
        return found
    raise _unnamed(context, f"which environment? This clone knows {', '.join(seen_names()) or 'none yet'}")


def _to_change(context: typer.Context, name: str | None) -> str | None:
    if name or context.resilient_parsing:
        return name
    why = "it can change data" if command_words(context) == "exec" else "it changes something"
    raise _unnamed(context, f"{why}, so --env is required: {', '.join(known_names())}")


def _unnamed(context: typer.Context, message: str) -> UsageError:
    """Build the refusal, with a full line to copy; the line never suggests production."""
    words = command_words(context)
    example = next((name for name in seen_names() if name not in CLOUD_STACKS), LOCAL_STACK)
    more = " ..." if any(each.required for each in context.command.params) else ""
    return UsageError(f"basec {words}: {message}", f"basec {words} --env {example}{more}")


def command_words(context: typer.Context) -> str:
    """Return the words that reach a command, e.g. `firewall status`."""
    words: list[str] = []
    here = context
    while here.parent is not None:
        words.insert(0, here.info_name or "")
        here = here.parent  # type: ignore[assignment] # the base class of what typer passes
    return " ".join(words)


def _environments(incomplete: str) -> list[str]:
    return [name for name in known_names() if name.startswith(incomplete)]


def _local_stacks(incomplete: str) -> list[str]:
    return [name for name in _environments(incomplete) if resolve(name).is_local]


def _hosts(context: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer the hosts of the environment named so far; none where it was never up."""
    try:
        known = facts.load(resolve(context.params.get("env") or default_environment() or ""))
    except BasecommerceError:
        return
    for host in known.hosts.values():
        yield from (name for name in (host.name, *host.aliases) if name.startswith(incomplete))


def _hosts_or_all(context: typer.Context, incomplete: str) -> Iterator[str]:
    yield from (name for name in ("all", *_hosts(context, incomplete)) if name.startswith(incomplete))


def _services(context: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer the services of the host named so far."""
    try:
        known = facts.load(resolve(context.params.get("env") or default_environment() or ""))
        services = services_of(known.host(context.params.get("host") or ""))
    except BasecommerceError:
        return
    yield from (name for name in services if name.startswith(incomplete))


READ_ENV = typer.Option(
    None,
    "--env",
    "-e",
    help="The environment to read. "
    f"Default: ${ENVIRONMENT_VARIABLE}, otherwise production, otherwise the only known one.",
    autocompletion=_environments,
    callback=_to_look_at,
)
CHANGE_ENV = typer.Option(
    None, "--env", "-e", help="Required: the environment to act on.", autocompletion=_environments, callback=_to_change
)
LOCAL_ENV = typer.Option(
    "local", "--env", "-e", help="The local stack whose port and subnets are checked.", autocompletion=_local_stacks
)
A_HOST = "A host of the environment, such as edge, or an alias"
HOST = typer.Argument(..., metavar="HOST", help=f"{A_HOST}.", autocompletion=_hosts)
ANY_HOST = typer.Argument("", metavar="HOST", help=f"{A_HOST}; default: all.", autocompletion=_hosts)
HOST_OR_ALL = typer.Argument(
    "all", metavar="HOST", help="Only the checks of this host; `all`: of every host.", autocompletion=_hosts_or_all
)
HOSTS = typer.Argument(None, metavar="HOST...", help="Only these hosts; default: all.", autocompletion=_hosts)
SERVICE = typer.Argument(
    ..., metavar="SERVICE", help="A service of the host, such as postgres.", autocompletion=_services
)
ANY_SERVICE = typer.Argument(
    "", metavar="SERVICE", help="One service of the host, such as nginx; default: all.", autocompletion=_services
)
AS_JSON = typer.Option(False, "--json", help="Print the result as JSON.")
ALLOW_REPLACE = typer.Option(
    None,
    "--allow-replace",
    metavar="NAME",
    help="A resource that may be destroyed, recreated, or lose its protection: name or URN. Repeatable.",
)
