"""`basec down`: take an environment away."""

from __future__ import annotations

import shutil

import typer

from basec.commands.arguments import CHANGE_ENV
from basec.engine.locks import turn
from basec.engine.opening import open_engine
from basec.environments import Environment, resolve
from basec.hosts import agent
from basec.io.console import Stages, say
from basec.io.programs import Program
from basec.local import trust
from basec.session import Session
from topology.dangerous_edits import OTHER_DEFAULT, RefusedPlanError, judge_destroy


def register(app: typer.Typer) -> None:
    app.command("down", epilog="Examples: basec down --env local; basec down -e staging --allow-destroy staging")(down)


def down(
    env: str = CHANGE_ENV,
    allow_destroy: str = typer.Option(
        "", "--allow-destroy", metavar="STACK", help="For a cloud environment: its name, typed out."
    ),
) -> None:
    """Take an environment down with all its data. A local stack leaves nothing behind but caches."""
    environment = resolve(env)
    if refusals := judge_destroy(environment.name, local=environment.is_local, allowed=allow_destroy):
        raise RefusedPlanError(refusals)
    with turn(environment):
        if environment.is_local:
            _down_local(environment)
        else:
            _down_cloud(environment)


def _down_local(environment: Environment) -> None:
    """Remove it by the local cloud, not the engine: works even if the engine's state is broken. Safe to repeat."""
    trust.forget(environment)
    agent.stop(environment)
    if environment.cloud_file.exists():
        Program("localcloud", ["down", "--config", str(environment.cloud_file)]).run()
    for directory in (environment.work_dir, environment.facts_dir):
        shutil.rmtree(directory, ignore_errors=False) if directory.exists() else None
        parent = directory.parent
        if parent.exists() and not any(parent.iterdir()):
            parent.rmdir()
    say(f"{environment.name}: nothing is left of this stack")


def _down_cloud(environment: Environment) -> None:
    session = Session(environment)
    _ = session.project  # before anything is touched
    engine = open_engine(session, Stages())
    view, kept = engine.destroy()
    say(f"down: {view.summary}")
    for each in kept:
        say(f"down: {each} stays, here and in the account: its region's default VPC is never deleted by DigitalOcean")
        say(f"      it costs nothing, and the next up uses it; to remove it: {OTHER_DEFAULT}, then down again")
    agent.stop(environment)
    shutil.rmtree(environment.facts_dir, ignore_errors=True)  # it lists hosts that are gone, and what they cost
