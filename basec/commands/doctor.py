"""`basec doctor`: check this machine, and repair what can be repaired."""

from __future__ import annotations

import typer

from basec.commands.arguments import AS_JSON, LOCAL_ENV
from basec.environments import Environment, resolve
from basec.io.console import print_json, say, show, table
from topology.errors import HostCheckError, UsageError


def register(app: typer.Typer) -> None:
    app.command("doctor", epilog="Examples: basec doctor; basec doctor --no-repair --json")(doctor)


def doctor(
    env: str = LOCAL_ENV,
    repair: bool = typer.Option(True, "--repair/--no-repair", help="Install and start what is missing, and say so."),
    as_json: bool = AS_JSON,
) -> None:
    """Check that this machine can run the local cloud. Exits 3 if it cannot."""
    environment = resolve(env)
    if not environment.is_local:
        raise UsageError(
            f"basec: doctor: {environment.name}: only machines of local stacks are checked", "basec doctor --env local"
        )
    findings = check_host(environment, repair=repair)
    if as_json:
        print_json(environment.name, {"findings": findings})
    else:
        rows = [(finding["check"], finding["status"], finding["message"], finding["remedy"]) for finding in findings]
        show(table(f"doctor: {environment.name}", ("check", "status", "finding", "remedy"), rows))
    if any(finding["status"] == "failed" for finding in findings):
        raise typer.Exit(int(HostCheckError.exit_code))


def check_host(environment: Environment, *, repair: bool) -> list[dict[str, str]]:
    """Run the host checks and answer the findings; a failed check is a finding here, not an error."""
    import json

    from basec.io.programs import Program

    arguments = ["doctor"]
    if environment.cloud_file.exists():
        arguments += ["--config", str(environment.cloud_file)]
    if not repair:
        arguments.append("--no-repair")
    findings: list[dict[str, str]] = []

    def collect(line: str) -> None:
        findings.append(json.loads(line))

    try:
        Program("localcloud", arguments, on_result_line=collect).run()
    except HostCheckError:
        if not findings:
            raise
    return findings


def require_host(environment: Environment) -> None:
    """Check the host before a bring-up: say what is wrong or was repaired. Raises HostCheckError."""
    failed: list[str] = []
    for finding in check_host(environment, repair=True):
        if finding["status"] == "failed":
            failed.append(f"doctor: {finding['check']}: {finding['message']}\nhint: {finding['remedy']}")
        elif finding["status"] != "ok":
            remedy = f" ({finding['remedy']})" if finding["remedy"] else ""
            say(f"{finding['check']}: {finding['status']}: {finding['message']}{remedy}")
    if failed:
        raise HostCheckError("\n".join(failed))
