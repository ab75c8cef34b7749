"""`basec init`: make a stack's settings, keys and passwords."""

from __future__ import annotations

import os
import re
from pathlib import Path

import typer

from basec.commands.arguments import CHANGE_ENV
from basec.environments import Environment, resolve
from basec.hosts import demo_tenant, smoke_checks
from basec.io.console import say
from basec.io.programs import Program
from basec.local.rendering import fill_secrets
from basec.secrets import cloud_stack, passphrase_file
from basec.session import Session
from topology.errors import UsageError

MAX_PORT = 65535
TENANT = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def register(app: typer.Typer) -> None:
    app.command("init", epilog="Examples: basec init --env local; basec init --env staging --tokens-from tokens.env")(
        init
    )


def init(
    env: str = CHANGE_ENV,
    tokens_from: Path = typer.Option(
        None, "--tokens-from", metavar="FILE", help="For staging and production: lines NAME=TOKEN; - is standard input."
    ),
) -> None:
    """Make a stack's passphrase, keys and passwords. Secrets are encrypted into its settings; existing ones are kept.

    A cloud stack also needs the providers' tokens: DIGITALOCEAN_TOKEN and CLOUDFLARE_API_TOKEN from the environment,
    from --tokens-from, or typed in without being shown.
    """
    environment = resolve(env)
    if environment.is_local:
        if tokens_from is not None:
            raise UsageError(
                f"basec: init: {environment.name}: --tokens-from is for staging and production",
                f"basec init --env {environment.name}",
            )
        initialise(environment)
    else:
        cloud_stack.initialise(environment, tokens_from)


def initialise(environment: Environment) -> None:
    """Do the work of `init` for a local stack and print what was made."""
    new = not environment.cloud_file.exists()
    arguments = ["allocate", "--directory", str(environment.work_dir), "--name", environment.name]
    Program("localcloud", [*arguments, *_port_arguments(), *_tenant_arguments()]).run()
    if new:
        say(f"{environment.name}: chose subnets and ports: {environment.cloud_file.relative_to(environment.root)}")
    if made_file := passphrase_file.make(environment):
        say(f"{environment.name}: made a passphrase: {made_file.relative_to(environment.root)}")
    session = Session(environment)
    session.render()
    made = fill_secrets(environment, session.stack_file)
    if made:
        say(f"{environment.name}: made secrets: {', '.join(made)}")
    else:
        say(f"{environment.name}: everything is there already")


def _port_arguments() -> list[str]:
    arguments: list[str] = []
    for variable, option, example in (
        ("LOCAL_HTTP_PORT", "--http-port", 8080),
        ("LOCAL_HTTPS_PORT", "--https-port", 8443),
    ):
        named = os.environ.get(variable)
        if not named:
            continue
        if not named.isdigit() or not 1 <= int(named) <= MAX_PORT:
            raise UsageError(f"basec: {variable}: {named!r} is not a port", f"{variable}={example} make up")
        arguments += [option, named]
    return arguments


def _tenant_arguments() -> list[str]:
    """Return the local cloud's arguments for the tenants of https, with the smoke test's: `localhost` lists each."""
    named = os.environ.get("LOCAL_TENANTS", "").split()
    for tenant in named:
        if not TENANT.fullmatch(tenant):
            raise UsageError(f"basec: LOCAL_TENANTS: {tenant!r} is not a tenant", 'LOCAL_TENANTS="acme other" make up')
    return [f"--visitor-label={tenant}" for tenant in (demo_tenant.SLUG, smoke_checks.UNKNOWN_TENANT, *named)]
