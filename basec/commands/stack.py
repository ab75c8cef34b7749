"""`basec up` and `preview`: show what an environment would become, and make it so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from basec.commands.arguments import AS_JSON, CHANGE_ENV, READ_ENV
from basec.environments import Environment, resolve
from basec.io.console import Stages, answer, clock, print_json, say, show
from topology.errors import BasecommerceError, UsageError

if TYPE_CHECKING:
    from basec.engine.operations import Engine
    from basec.engine.plan import Planned, Request
    from basec.hosts.facts import Facts
    from basec.local.cloud import StandIn
    from basec.local.way_in import WayIn
    from topology.project import Project

    Loading = tuple[Future[type[Engine]], Future[Callable[[], None]]]


@dataclass
class Flag:
    """A switch of the root command."""

    value: bool = False


VERBOSE = Flag()


def register(app: typer.Typer) -> None:
    app.command("up", epilog="Examples: basec up --env local; basec up --env staging --yes")(up)
    app.command(
        "preview", epilog="Examples: basec preview --env local --save-plan plan.json; basec preview --env staging --dry"
    )(preview)


ALLOW_REPLACE = typer.Option(
    None,
    "--allow-replace",
    metavar="NAME",
    help="A resource that may be destroyed, made anew, or lose its protection: name or URN. Repeatable.",
)


def up(
    env: str = CHANGE_ENV,
    yes: bool = typer.Option(False, "--yes", help="Do not ask before changing a cloud environment."),
    allow_replace: list[str] = ALLOW_REPLACE,
    plan: Path = typer.Option(
        None, "--plan", metavar="FILE", help="Apply what `preview --save-plan` wrote, only that."
    ),
    refresh: bool = typer.Option(False, "--refresh", help="Ask the cloud what is there; make lost machines anew."),
) -> None:
    """Bring an environment up. Checks, previews, then applies what was shown. Safe to repeat and to interrupt."""
    from basec.engine.locks import settle, turn
    from basec.engine.plan import Request, require_plan
    from basec.hosts.activations import signed

    environment = resolve(env)
    if plan is not None and not plan.is_file():
        raise UsageError(
            f"basec: --plan: {plan}: no such file", f"basec preview --env {environment.name} --save-plan {plan}"
        )
    if plan is not None and refresh:
        raise UsageError(
            "basec: --plan: a saved plan is of the state as it was, and does not fit --refresh",
            f"basec up --refresh --env {environment.name}",
        )
    if plan is not None:
        require_plan(environment, plan)
    ask = not (yes or environment.is_local)
    request = Request(allow_replace=tuple(allow_replace or ()), ask=ask, plan=plan, refresh=refresh)
    stages = Stages()
    try:
        with turn(environment), signed(environment, stages):
            settle(environment)
            way_in = (_up_local if environment.is_local else _up_cloud)(environment, stages, request)
    finally:
        if stages.times:
            say(stages.line)
    if way_in is not None:
        way_in.show()


def _up_local(environment: Environment, stages: Stages, request: Request) -> WayIn | None:
    """Bring a local stack up, and answer how to use it; nothing for one without machines."""
    from basec.engine.plan import apply
    from basec.local.cloud import LocalCloud
    from basec.local.images import kept_images, require_images
    from basec.local.rendering import render

    cloud = LocalCloud.load(environment)
    with stages.stage("settings"):
        project = check_settings(environment, kept_images(environment))
    loading = _start_loading(environment)
    if cloud.is_dry:
        with stages.stage("toolchain"):
            binary, images = toolchain(), kept_images(environment)
    else:
        binary, images = _prepare_machine(environment, stages)
    render(environment, images)
    project = check_settings(environment, images)
    require_images(project, images)
    engine = _engine(environment, binary, loading, stages)
    exports = apply(engine, project, stages, request)
    known = write_facts(environment, exports, project, cloud.stand_in)
    return None if cloud.is_dry else _finish_local(environment, known, stages)


def _prepare_machine(environment: Environment, stages: Stages) -> tuple[Path, Mapping[str, object]]:
    """Check the host, get CLI and images side by side (each takes minutes the first time), start what is stopped."""
    from basec.commands.doctor import require_host
    from basec.io.programs import Program, last_json, run_side_by_side
    from basec.local.images import asked_tag

    with stages.stage("doctor"):
        require_host(environment)
    with stages.stage("toolchain and images"), clock("CLI and images; the first time they take 4 to 12 minutes"):
        builder = Program("localcloud", ["images", "--tag", asked_tag(environment)])
        toolchain, images = run_side_by_side(Program("toolchain"), builder)
    with stages.stage("power on"):  # its registry is one of the images
        Program("localcloud", ["power-on", "--config", str(environment.cloud_file)]).run()
    return Path(toolchain.strip()), last_json(images)


def toolchain() -> Path:
    """Find or get the Pulumi CLI and answer its path."""
    from basec.io.programs import Program

    return Path(Program("toolchain").run().strip())


def _finish_local(environment: Environment, known: Facts, stages: Stages) -> WayIn:
    from basec.commands import smoke
    from basec.hosts import agent, checks, demo_tenant
    from basec.local.way_in import WayIn
    from basec.secrets.stack_file import StackFile

    # Opening a secret takes as long as the checks, on the other core.
    password = ThreadPoolExecutor(1).submit(StackFile(environment).secret, "basecommerce:demo_password")
    agent.ensure_key(environment, fresh=True)
    with stages.stage("containers"):
        of_hosts = smoke.settle(lambda: checks.run_all(list(checks.host_checks(environment, known))))
    with stages.stage("demo tenant"):
        demo = demo_tenant.ensure(environment, password.result())
    with stages.stage("smoke"):
        public = smoke.settle(lambda: checks.run_all(list(checks.public_checks(known, demo_tenant.SLUG))))
    results = [*public, *of_hosts]
    smoke.show(environment, results)
    if not all(result.passed for result in results):
        raise BasecommerceError(
            f"basec: {environment.name}: up, but smoke checks fail", f"basec smoke --env {environment.name}"
        )
    if demo.to_sell:  # after the checks, since it goes the public way
        with stages.stage("demo sale"):
            demo_tenant.sell(known, demo)
    return WayIn(
        environment=environment.name,
        url=known.url(demo_tenant.SLUG),
        user=demo.email,
        password=demo.password,
        authority=str(environment.public_ca_file.relative_to(environment.root)),
    )


def _up_cloud(environment: Environment, stages: Stages, request: Request) -> None:
    """Bring a cloud stack up."""
    from basec.engine.plan import apply

    with stages.stage("settings"):
        project = check_settings(environment, None)
        say_warnings(project)
    engine = open_engine(environment, stages)
    write_facts(environment, apply(engine, project, stages, request), project, None)


def _start_loading(environment: Environment) -> Loading:
    """Import engine and program, in this order, while other programs are waited for: the SDKs take two seconds."""

    def load_engine() -> type[Engine]:
        from basec.engine.operations import Engine

        return Engine

    def load_main() -> Callable[[], None]:
        from basec.engine.program_loading import load_program

        return load_program(environment.root)

    loader = ThreadPoolExecutor(1, thread_name_prefix="load program")
    return loader.submit(load_engine), loader.submit(load_main)


def _engine(environment: Environment, binary: Path, loading: Loading, stages: Stages) -> Engine:
    """Make the engine. It needs the program only when it runs it, so the import goes on beside its own start."""
    engine, program = loading
    with stages.stage("open stack"):
        return engine.result()(environment, binary, program, verbose=VERBOSE.value)


def open_engine(environment: Environment, stages: Stages) -> Engine:
    """Find the CLI and load engine and program. Raises ConfigurationError, first of all, for a lost passphrase."""
    from basec.secrets.stack_file import StackFile

    loading = _start_loading(environment)
    StackFile(environment).check_passphrase()
    with stages.stage("toolchain"):
        binary = toolchain()
    return _engine(environment, binary, loading, stages)


def say_warnings(project: Project) -> None:
    """Say what is old in the settings; it stops nothing."""
    import datetime

    from topology.upkeep import warnings

    for warning in warnings(project, datetime.datetime.now(datetime.UTC).date()):
        say(warning.render())


def check_settings(environment: Environment, images: Mapping[str, object] | None) -> Project:
    """Check everything that can be checked without a cloud, before anything is touched. Raises ConfigurationError."""
    from basec.secrets.stack_file import StackFile
    from topology.bundle import build_bundle
    from topology.project import load_project

    raw = _settings(environment, images)
    project = load_project(environment.root, environment.name, raw, StackFile(environment).secret_names)
    for droplet in project.inventory.droplets.values():
        build_bundle(project, droplet.role)
    return project


def _settings(environment: Environment, images: Mapping[str, object] | None) -> object:
    from basec.local.cloud import LocalCloud, not_initialised
    from basec.local.rendering import settings_of
    from basec.secrets.stack_file import StackFile

    if not environment.is_local:
        return StackFile(environment).settings
    cloud = LocalCloud.load(environment)
    if not environment.stack_file.exists():
        raise not_initialised(environment)
    return settings_of(environment, cloud, images)


def written_project(environment: Environment) -> Project:
    """Check and give inventory and settings, whatever secrets are set. Raises ConfigurationError."""
    from basec.local.images import kept_images
    from topology.inventory import load_inventory
    from topology.project import load_project, required_secrets

    raw = _settings(environment, kept_images(environment) if environment.is_local else None)
    secrets = required_secrets(load_inventory(environment.root / "inventory.yaml"))
    return load_project(environment.root, environment.name, raw, secrets)


def current_project(environment: Environment) -> Project:
    """Check and give the settings as the last `up` had them, or as they are edited now. Raises ConfigurationError."""
    from basec.local.images import kept_images

    return check_settings(environment, kept_images(environment) if environment.is_local else None)


def write_facts(
    environment: Environment, exports: Mapping[str, Any], project: Project, stand_in: StandIn | None
) -> Facts:
    """Write what the other commands need from the stack's exports."""
    from basec.hosts import facts

    roles = {name: (str(droplet.role), tuple(droplet.aliases)) for name, droplet in project.inventory.droplets.items()}
    return facts.write(environment, exports, roles, stand_in)


def preview(
    env: str = READ_ENV,
    *,
    as_json: bool = AS_JSON,
    dry: bool = typer.Option(False, "--dry", help="For staging and production: from nothing, without any account."),
    base: str = typer.Option(
        "", "--base", metavar="REF", help="With --dry: show the difference to this commit, e.g. origin/main."
    ),
    allow_replace: list[str] = ALLOW_REPLACE,
    save_plan: Path = typer.Option(None, "--save-plan", metavar="FILE", help="Write the plan for `up --plan`."),
) -> None:
    """Show what `up` would change and cost. Refuses what is dangerous, and changes nothing."""
    environment = resolve(env)
    allowed = tuple(allow_replace or ())
    if base and (not dry or environment.is_local):
        raise UsageError(
            "basec: preview: --base compares two commits of a cloud stack, without an account",
            f"basec preview --env staging --dry --base {base}",
        )
    if dry and not environment.is_local:
        from basec.engine.dry_run import rehearsal

        with rehearsal(environment, base) as copy:
            _preview(copy, allowed, save_plan, as_json=as_json)
    else:
        _preview(environment, allowed, save_plan, as_json=as_json)


def _preview(environment: Environment, allowed: tuple[str, ...], save_plan: Path | None, *, as_json: bool) -> None:
    from basec.engine.lost import LostMachineError
    from basec.engine.policy import PolicyError
    from basec.engine.policy import as_json as as_json_violations
    from basec.engine.review import document, screen

    project = current_project(environment)
    say_warnings(project)
    if environment.is_local:
        from basec.local.images import kept_images
        from basec.local.rendering import render

        render(environment, kept_images(environment))
    stages = Stages()
    try:
        engine = open_engine(environment, stages)
        planned = _look(engine, project, stages, allowed, save_plan)
    except PolicyError as refusal:
        if as_json:
            print_json(environment.name, {"violations": as_json_violations(refusal.violations)})
        raise
    finally:
        say(stages.line)
    view = planned.view
    if as_json:
        print_json(
            environment.name,
            {
                "changes": dict(view.changes),
                "changed": view.changed,
                **document.of(planned.review),
                "notes": planned.notes,
                "lost": planned.lost,
                "price": planned.price.document(),
                "violations": as_json_violations(view.violations),
            },
        )
    else:
        if planned.review.changes:
            show(screen.hosts(planned.review))
            answer("")
            show(*screen.resources(planned.review))
            answer("")
        for line in (*planned.notes, view.summary, *planned.price.lines):
            answer(line)
    if planned.lost:  # as `up` would end, before it did anything
        raise LostMachineError(environment.name, planned.lost)


def _look(
    engine: Engine, project: Project, stages: Stages, allowed: tuple[str, ...], save_plan: Path | None
) -> Planned:
    """Preview and judge; of a refused plan no file is left."""
    from basec.engine.plan import look, touch_private

    if save_plan is None:
        return look(engine, project, stages, allowed)
    touch_private(save_plan)
    try:
        return look(engine, project, stages, allowed, save_plan.absolute())
    except BaseException:
        save_plan.unlink(missing_ok=True)
        raise
