"""`basec compose`: the containers of one host."""

from __future__ import annotations

import shlex
import sys

import typer

from basec.commands.arguments import ANY_SERVICE, CHANGE_ENV, HOST
from basec.environments import Environment, resolve
from basec.hosts import facts
from basec.hosts.remote import run_script
from basec.hosts.services import host_of, services_of
from basec.io.console import answer, say
from basec.session import Session
from topology.errors import UsageError

app = typer.Typer(name="compose", help="Restart or stop the containers of a host.", no_args_is_help=True)

TIMEOUT_S = 300
"""Seconds; the longest grace of a service is PostgreSQL's 90 s, and a start waits for health."""

HEALTHY_S = 120
"""Seconds until a restarted service must be healthy; the slowest check needs 45 s to report it."""

# One service is its container; all of them are the tier's unit, so that systemd knows the state to expect.
RESTART_ONE = """set -euo pipefail
container={tier}-$(/opt/basecommerce/scripts/release.py serving {tier} {service})-1
docker restart "$container" >/dev/null
for _ in $(seq {healthy_s}); do
  health=$(docker inspect --format '{{{{.State.Health.Status}}}}' "$container")
  [ "$health" != healthy ] || exit 0
  sleep 1
done
docker logs --tail 20 "$container" >&2
echo "{service} is $health after {healthy_s} s" >&2
exit 1
"""
RESTART_ALL = """set -euo pipefail
if ! systemctl restart basecommerce-{tier}.service; then
  journalctl --unit basecommerce-{tier} --lines 20 --output cat >&2
  exit 1
fi
"""
DOWN = """set -euo pipefail
systemctl stop basecommerce-{tier}.service
"""


def register(root: typer.Typer) -> None:
    root.add_typer(app)


@app.command(
    "restart", epilog="Examples: basec compose restart edge --env local; basec compose restart edge nginx --env staging"
)
def restart(host: str = HOST, service: str = ANY_SERVICE, env: str = CHANGE_ENV) -> None:
    """Restart one service of a host, or all. Waits until healthy; the release stays, and requests in between fail."""
    session, name, tier, services = _target(env, host, service, "compose restart {} {service}")
    say(f"{name}: restarting {', '.join(services)}")
    script = RESTART_ONE if service else RESTART_ALL
    script = script.format(tier=tier, service=shlex.quote(service), healthy_s=HEALTHY_S)
    run_script(session, name, script, timeout_s=TIMEOUT_S)
    answer(f"{name}: {', '.join(services)} restarted and healthy")


@app.command(
    "down", epilog="Examples: basec compose down vertical --env local; basec compose down edge --env staging --yes"
)
def down(
    host: str = HOST,
    env: str = CHANGE_ENV,
    yes: bool = typer.Option(False, "--yes", help="Do not ask before stopping a host of a cloud environment."),
) -> None:
    """Stop all containers of a host; their data is kept. `restart`, `up` or a reboot starts them again."""
    session, name, tier, services = _target(env, host, "", "compose down {}")
    environment = session.environment
    if not environment.is_local and not yes:
        _confirm(environment, name, services)
    say(f"{name}: stopping {', '.join(services)}")
    run_script(session, name, DOWN.format(tier=tier), timeout_s=TIMEOUT_S)
    answer(f"{name}: stopped; basec compose restart {name} --env {environment.name} starts it again")


def _confirm(environment: Environment, name: str, services: tuple[str, ...]) -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            f"basec: compose down: {environment.name}: stopping {name} must be confirmed",
            f"basec compose down {name} --env {environment.name} --yes",
        )
    typer.confirm(f"stop {', '.join(services)} on {name} of {environment.name}?", err=True, abort=True)


def _target(env: str, host: str, service: str, command: str) -> tuple[Session, str, str, tuple[str, ...]]:
    """Return session, host, tier and services. Raises UsageError, which names the known ones."""
    session = Session(resolve(env))
    found = host_of(facts.load(session.environment), host, command)
    return session, found.name, found.tier, services_of(found, service or None)
