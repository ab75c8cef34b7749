"""`basec pulumi`: the Pulumi CLI with everything that belongs to an environment."""

from __future__ import annotations

import os
import signal
import subprocess

import typer

from basec.commands.arguments import CHANGE_ENV
from basec.engine import policy_pack
from basec.engine.locks import clear_stale_locks
from basec.engine.opening import toolchain
from basec.engine.variables import variables
from basec.environments import resolve
from basec.session import Session
from topology.errors import BasecommerceError, ExitCode, UsageError

UNJUDGED = {"up": "up", "update": "up", "destroy": "down", "down": "down", "dn": "down", "watch": "up"}
"""Pulumi's commands, and their other names, that bypass `topology/dangerous_edits.py`, with basec's command
instead."""
JUDGED_BY_RULES = ("preview", "pre", "up", "update", "watch")
"""Those that take a policy pack."""
UNLOCKS = "cancel"
"""The only command that runs despite another run's lock; all others respect it."""


class UnjudgedError(BasecommerceError):
    """A command that would change a protected stack without the check of dangerous edits."""

    exit_code = ExitCode.REFUSED


def register(app: typer.Typer) -> None:
    app.command(
        "pulumi",
        epilog="Examples: basec pulumi --env staging -- preview --diff; basec pulumi --env local -- stack export",
        context_settings={"ignore_unknown_options": True},
    )(pulumi)


def pulumi(
    arguments: list[str] = typer.Argument(..., metavar="-- ARGS...", help="A Pulumi command and its arguments."),
    env: str = CHANGE_ENV,
    unjudged: bool = typer.Option(
        False,
        "--unjudged",
        help="Run `up` or `destroy` of a protected stack without the check of dangerous edits.",
    ),
) -> None:
    """Run the Pulumi CLI on an environment. Uses its back-end, passphrase, plugins and rules."""
    session = Session(resolve(env))
    environment = session.environment
    word = arguments[0]
    if word.startswith("-"):
        raise UsageError(
            f"basec: pulumi: {word}: Pulumi's command must come first",
            f"basec pulumi --env {environment.name} -- preview",
        )
    if word in UNJUDGED and not unjudged and session.written_project.settings.protect:
        raise UnjudgedError(
            f"basec: pulumi: {environment.name} is protected, and `pulumi {word}` does not check for dangerous edits",
            f"basec {UNJUDGED[word]} --env {environment.name}; to do it anyway: --unjudged before the `--`",
        )
    raise typer.Exit(_run(session, arguments))


def _run(session: Session, arguments: list[str]) -> int:
    """Run the CLI in the terminal's own group, so that Ctrl-C reaches it. Returns its exit code."""
    environment, word, rest = session.environment, arguments[0], arguments[1:]
    _check(session)
    if word != UNLOCKS:
        clear_stale_locks(environment)
    if word in JUDGED_BY_RULES and not any(each.startswith("--policy-pack") for each in rest):
        rest = ["--policy-pack", str(environment.root / policy_pack.PACK), *rest]
    command = [str(toolchain()), word, *rest]
    own = {**os.environ, **variables(environment), "PULUMI_STACK": environment.name}
    # The terminal sends Ctrl-C to the CLI as well, which ends cleanly; we wait for it.
    previous = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        return subprocess.run(command, cwd=environment.work_dir, env=own, check=False).returncode
    finally:
        signal.signal(signal.SIGINT, previous)


def _check(session: Session) -> None:
    """Update the files of a local stack, and refuse a lost passphrase before anything else."""
    session.stack_file.check_passphrase()
    if session.environment.is_local:
        session.render()
