"""`basec init`: make a stack's settings, keys and passwords."""

from __future__ import annotations

import os

import typer

from basec.arguments import CHANGE_ENV
from basec.console import say
from basec.environments import Environment, resolve
from topology.errors import UsageError

MAX_PORT = 65535


def register(app: typer.Typer) -> None:
    app.command("init", epilog="Examples: basec init --env local; basec init --env local-two")(init)


def init(
    env: str = CHANGE_ENV,
) -> None:
    """Make a local stack's addresses, passphrase, keys and passwords. What is there is kept."""
    environment = resolve(env)
    if not environment.is_local:
        raise UsageError(
            f"basec: init: {environment.name}: only local stacks can be initialised so far",
            f"pulumi stack init {environment.name}, then pulumi config set --secret for each key in docs/topology.md",
        )
    initialise(environment)


def initialise(environment: Environment) -> None:
    """Do the work of `init` for a local stack and say what was made."""
    from basec.local_stack import fill_secrets, kept_images, make_passphrase, render
    from basec.programs import Program

    new = not environment.cloud_file.exists()
    arguments = ["allocate", "--directory", str(environment.work_dir), "--name", environment.name]
    Program("localcloud", [*arguments, *_port_arguments()]).run()
    if new:
        say(f"{environment.name}: chose subnets and port: {environment.cloud_file.relative_to(environment.root)}")
    if make_passphrase(environment.passphrase_file):
        say(f"{environment.name}: made a passphrase: {environment.passphrase_file.relative_to(environment.root)}")
    made = fill_secrets(environment, render(environment, kept_images(environment)))
    if made:
        say(f"{environment.name}: made secrets: {', '.join(made)}")
    else:
        say(f"{environment.name}: everything is there already")


def _port_arguments() -> list[str]:
    named = os.environ.get("LOCAL_HTTP_PORT")
    if not named:
        return []
    if not named.isdigit() or not 1 <= int(named) <= MAX_PORT:
        raise UsageError(f"basec: LOCAL_HTTP_PORT: {named!r} is no port", "LOCAL_HTTP_PORT=8080 make up")
    return ["--http-port", named]
