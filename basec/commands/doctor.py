"""`basec doctor`: check this machine, and repair what can be repaired."""

from __future__ import annotations

import typer

from basec.commands.arguments import AS_JSON, LOCAL_ENV
from basec.environments import resolve
from basec.io.console import print_json, show, table
from basec.local.doctor import check_host, remedy_of
from topology.errors import HostCheckError, UsageError


def register(app: typer.Typer) -> None:
    app.command("doctor", epilog="Examples: basec doctor; basec doctor --no-repair --json")(doctor)


def doctor(
    env: str = LOCAL_ENV,
    repair: bool = typer.Option(True, "--repair/--no-repair", help="Install and start what is missing, and report it."),
    as_json: bool = AS_JSON,
) -> None:
    """Check this machine, and install what is missing. Exits 3 if it cannot run the local cloud."""
    environment = resolve(env)
    if not environment.is_local:
        raise UsageError(
            f"basec: doctor: {environment.name}: only machines of local stacks are checked", "basec doctor --env local"
        )
    findings = check_host(environment, repair=repair)
    if as_json:
        print_json(environment.name, {"findings": findings})
    else:
        rows = [(finding["check"], finding["status"], finding["message"], remedy_of(finding)) for finding in findings]
        show(table(f"doctor: {environment.name}", ("check", "status", "finding", "remedy"), rows))
    if any(finding["status"] == "failed" for finding in findings):
        raise typer.Exit(int(HostCheckError.exit_code))
