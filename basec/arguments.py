"""Arguments that many commands take, with their completion in the shell."""

from __future__ import annotations

from collections.abc import Iterator

import typer

from basec.environments import DEFAULT_ENVIRONMENT, known_names, resolve
from topology.errors import BasecommerceError


def _environments(incomplete: str) -> list[str]:
    return [name for name in known_names() if name.startswith(incomplete)]


def _local_stacks(incomplete: str) -> list[str]:
    return [name for name in _environments(incomplete) if resolve(name).is_local]


def _hosts(context: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer the hosts of the environment named so far; none where it was never up."""
    from basec import facts

    try:
        known = facts.load(resolve(context.params.get("env") or DEFAULT_ENVIRONMENT))
    except BasecommerceError:
        return
    for host in known.hosts.values():
        yield from (name for name in (host.name, *host.aliases) if name.startswith(incomplete))


def _hosts_or_all(context: typer.Context, incomplete: str) -> Iterator[str]:
    yield from (name for name in ("all", *_hosts(context, incomplete)) if name.startswith(incomplete))


def _services(context: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer the services of the host named so far."""
    from basec import facts
    from basec.services import services_of

    try:
        known = facts.load(resolve(context.params.get("env") or DEFAULT_ENVIRONMENT))
        services = services_of(known.host(context.params.get("host") or ""))
    except BasecommerceError:
        return
    yield from (name for name in services if name.startswith(incomplete))


READ_ENV = typer.Option(
    DEFAULT_ENVIRONMENT, "--env", "-e", help="The environment to look at.", autocompletion=_environments
)
CHANGE_ENV = typer.Option(..., "--env", "-e", help="The environment to change.", autocompletion=_environments)
LOCAL_ENV = typer.Option(
    "local", "--env", "-e", help="The local stack whose port and subnets are checked.", autocompletion=_local_stacks
)
HOST = typer.Argument(..., metavar="HOST", help="edge, vertical, infra, or an alias of one.", autocompletion=_hosts)
ANY_HOST = typer.Argument(
    "", metavar="HOST", help="edge, vertical, infra, or an alias; without one, all.", autocompletion=_hosts
)
HOST_OR_ALL = typer.Argument(
    "all", metavar="HOST", help="Only the checks of this host; `all`: of each.", autocompletion=_hosts_or_all
)
HOSTS = typer.Argument(None, metavar="HOST...", help="Only these hosts; without one, all.", autocompletion=_hosts)
SERVICE = typer.Argument(
    ..., metavar="SERVICE", help="A service of the host, such as postgres.", autocompletion=_services
)
ANY_SERVICE = typer.Argument(
    "", metavar="SERVICE", help="One service of the host, such as nginx; without one, all.", autocompletion=_services
)
AS_JSON = typer.Option(False, "--json", help="Print the result as JSON.")
