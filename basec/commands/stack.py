"""`basec up`, `preview` and `down`: the engine's operations on one environment."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from basec.arguments import AS_JSON, CHANGE_ENV, READ_ENV
from basec.console import Stages, answer, print_json, say, show, table
from basec.environments import Environment, resolve
from topology.errors import BasecommerceError, ExitCode, UsageError

if TYPE_CHECKING:
    from basec.engine import Engine
    from basec.facts import Facts, StandIn
    from basec.progress import ProgressView
    from topology.project import Project

    Loaded = tuple[type[Engine], Callable[[], None]]


@dataclass
class Flag:
    """A switch of the root command."""

    value: bool = False


VERBOSE = Flag()


def register(app: typer.Typer) -> None:
    app.command("up", epilog="Examples: basec up --env local; basec up --env staging --yes")(up)
    app.command("preview", epilog="Examples: basec preview; basec preview --env local --json")(preview)
    app.command("down", epilog="Examples: basec down --env local; basec down --env staging --yes staging")(down)


def up(
    env: str = CHANGE_ENV,
    yes: bool = typer.Option(False, "--yes", help="Do not ask before changing a cloud environment."),
) -> None:
    """Bring an environment up: check, preview, then apply. Safe to repeat and to interrupt."""
    environment = resolve(env)
    stages = Stages()
    try:
        if environment.is_local:
            _up_local(environment, stages)
        else:
            _up_cloud(environment, stages, yes=yes)
    finally:
        if stages.times:
            show(stages.table(), progress=True)


def _up_local(environment: Environment, stages: Stages) -> None:
    from basec import local_stack

    cloud = local_stack.LocalCloud.load(environment)
    with stages.stage("settings"):
        project = check_settings(environment, local_stack.kept_images(environment))
    loading = _start_loading(environment)
    if cloud.is_dry:
        with stages.stage("toolchain"):
            binary, images = _toolchain(), local_stack.kept_images(environment)
    else:
        binary, images = _prepare_machine(environment, stages)
    local_stack.render(environment, images)
    project = check_settings(environment, images)
    engine = _engine(environment, binary, loading, stages)
    _preview_and_up(engine, stages)
    with stages.stage("facts"):
        known = write_facts(environment, engine, project, cloud.stand_in)
    if not cloud.is_dry:
        _finish_local(environment, known, stages)


def _prepare_machine(environment: Environment, stages: Stages) -> tuple[Path, Mapping[str, object]]:
    """Check the host, get CLI and images side by side (each takes minutes the first time), start what is stopped."""
    from basec.commands.doctor import require_host
    from basec.programs import Program, last_json, run_side_by_side

    with stages.stage("doctor"):
        require_host(environment)
    with stages.stage("toolchain and images"):
        toolchain, images = run_side_by_side(Program("toolchain"), Program("localcloud", ["images"]))
    with stages.stage("power on"):
        Program("localcloud", ["power-on", "--config", str(environment.cloud_file)]).run()
    return Path(toolchain.strip()), last_json(images)


def _toolchain() -> Path:
    """Find or get the Pulumi CLI and answer its path."""
    from basec.programs import Program

    return Path(Program("toolchain").run().strip())


def _finish_local(environment: Environment, known: Facts, stages: Stages) -> None:
    from basec import agent, demo_tenant
    from basec.commands import smoke
    from basec.stack_file import StackFile

    with stages.stage("demo tenant"):
        agent.ensure_key(environment, fresh=True)
        demo = demo_tenant.ensure(environment, StackFile(environment).secret("basecommerce:demo_password"))
    with stages.stage("smoke"):
        results = smoke.run(environment, known, demo_tenant.SLUG)
    smoke.show(environment, results)
    if not all(result.passed for result in results):
        raise BasecommerceError(
            f"basec: {environment.name}: up, but smoke checks fail", f"basec smoke --env {environment.name}"
        )
    answer(f"url       {known.url(demo_tenant.SLUG)}")
    answer(f"user      {demo.email}")
    answer(f"password  {demo.password}")
    ca_file = environment.public_ca_file.relative_to(environment.root)
    answer(f"trust     {ca_file} (import it into a browser, or: curl --cacert {ca_file} {known.url(demo_tenant.SLUG)})")


def _up_cloud(environment: Environment, stages: Stages, *, yes: bool) -> None:
    with stages.stage("settings"):
        project = check_settings(environment, None)
        say_warnings(project)
    engine = open_engine(environment, stages)
    _preview_and_up(engine, stages, confirm=not yes)
    with stages.stage("facts"):
        write_facts(environment, engine, project, None)


def _start_loading(environment: Environment) -> Future[Loaded]:
    """Import engine and program while other programs are waited for: the providers' SDKs take three seconds."""

    def load() -> Loaded:
        from basec.engine import Engine
        from basec.workspace import load_program

        return Engine, load_program(environment.root)

    return ThreadPoolExecutor(1, thread_name_prefix="load program").submit(load)


def _engine(environment: Environment, binary: Path, loading: Future[Loaded], stages: Stages) -> Engine:
    """Make the engine; what is left of the import is timed apart from the engine's own work."""
    with stages.stage("load program"):
        engine, program = loading.result()
    with stages.stage("open stack"):
        return engine(environment, binary, program, verbose=VERBOSE.value)


def open_engine(environment: Environment, stages: Stages) -> Engine:
    """Find the CLI and load engine and program."""
    loading = _start_loading(environment)
    with stages.stage("toolchain"):
        binary = _toolchain()
    return _engine(environment, binary, loading, stages)


def _preview_and_up(engine: Engine, stages: Stages, *, confirm: bool = False) -> None:
    with stages.stage("preview"):
        planned = engine.preview()
    say(f"preview: {summary(planned)}")
    if confirm and planned.changed:
        _confirm(engine.environment, planned)
    if not engine.has_work(planned):
        say("up: nothing to do")
        return
    with stages.stage("up"):
        done = engine.up()
    say(f"up: {summary(done)}")


def _confirm(environment: Environment, planned: ProgressView) -> None:
    for step in planned.steps:
        say(f"  {step['op']:<18} {step['resource']}")
    if not sys.stdin.isatty():
        raise UsageError(
            f"basec: up: {environment.name}: changes need a yes", f"basec up --env {environment.name} --yes"
        )
    if not typer.confirm(f"apply this to {environment.name}?", err=True):
        raise typer.Exit(int(ExitCode.FAILURE))


def summary(view: ProgressView) -> str:
    """Say what an operation changes, e.g. `3 create, 1 update, 40 same`."""
    counts = ", ".join(f"{count} {op}" for op, count in sorted(view.changes.items()) if count) or "nothing"
    return f"{view.changed} changes ({counts})"


def say_warnings(project: Project) -> None:
    """Say what is old in the settings; it stops nothing."""
    import datetime

    from topology.upkeep import warnings

    for warning in warnings(project, datetime.datetime.now(datetime.UTC).date()):
        say(warning.render())


def check_settings(environment: Environment, images: Mapping[str, object] | None) -> Project:
    """Check everything that can be checked without a cloud, before anything is touched. Raises ConfigurationError."""
    from basec import local_stack
    from basec.stack_file import StackFile
    from topology.bundle import build_bundle
    from topology.project import load_project

    if environment.is_local:
        cloud = local_stack.LocalCloud.load(environment)
        if not environment.stack_file.exists():
            raise local_stack.not_initialised(environment)
        raw: object = local_stack.settings_of(environment, cloud, images)
    else:
        raw = StackFile(environment).settings
    project = load_project(environment.root, environment.name, raw, StackFile(environment).secret_names)
    for droplet in project.inventory.droplets.values():
        build_bundle(project, droplet.role)
    return project


def current_project(environment: Environment) -> Project:
    """Check and give the settings as the last `up` had them, or as they are edited now. Raises ConfigurationError."""
    from basec import local_stack

    return check_settings(environment, local_stack.kept_images(environment) if environment.is_local else None)


def write_facts(environment: Environment, engine: Engine, project: Project, stand_in: StandIn | None) -> Facts:
    """Write what the other commands need from the stack's exports."""
    from basec import facts

    roles = {name: (str(droplet.role), tuple(droplet.aliases)) for name, droplet in project.inventory.droplets.items()}
    return facts.write(environment, engine.outputs(), roles, stand_in)


def preview(
    env: str = READ_ENV,
    as_json: bool = AS_JSON,
) -> None:
    """Show what `up` would change; changes nothing."""
    environment = resolve(env)
    say_warnings(current_project(environment))
    if environment.is_local:
        from basec import local_stack

        local_stack.render(environment, local_stack.kept_images(environment))
    stages = Stages()
    try:
        engine = open_engine(environment, stages)
        with stages.stage("preview"):
            view = engine.preview()
    finally:
        show(stages.table(), progress=True)
    if as_json:
        print_json(
            {
                "environment": environment.name,
                "changes": dict(view.changes),
                "changed": view.changed,
                "steps": view.steps,
            }
        )
        return
    if view.steps:
        rows = [(step["stage"], step["op"], step["resource"]) for step in view.steps]
        show(table(f"preview: {environment.name}", ("stage", "change", "resource"), rows))
    answer(summary(view))


def down(
    env: str = CHANGE_ENV,
    yes: str = typer.Option("", "--yes", metavar="STACK", help="For a cloud environment: its name, typed out."),
) -> None:
    """Take an environment down with all its data. A local stack leaves nothing behind but caches."""
    environment = resolve(env)
    if environment.is_local:
        _down_local(environment)
    else:
        _down_cloud(environment, yes)


def _down_local(environment: Environment) -> None:
    """Ask the local cloud, not the engine: this works however broken the engine's state is. Safe to repeat."""
    import shutil

    from basec import agent
    from basec.programs import Program

    agent.stop(environment)
    if environment.cloud_file.exists():
        Program("localcloud", ["down", "--config", str(environment.cloud_file)]).run()
    for directory in (environment.work_dir, environment.facts_dir):
        shutil.rmtree(directory, ignore_errors=False) if directory.exists() else None
        parent = directory.parent
        if parent.exists() and not any(parent.iterdir()):
            parent.rmdir()
    say(f"{environment.name}: nothing is left of this stack")


def _down_cloud(environment: Environment, typed: str) -> None:
    if not typed and sys.stdin.isatty():
        typed = typer.prompt(f"this destroys {environment.name} and its data; type its name", err=True)
    if typed != environment.name:
        raise UsageError(
            f"basec: down: {environment.name}: not confirmed, so nothing was touched",
            f"basec down --env {environment.name} --yes {environment.name}",
        )
    from basec import agent

    check_settings(environment, None)
    engine = open_engine(environment, Stages())
    say(f"down: {summary(engine.destroy())}")
    agent.stop(environment)
