"""Bring an environment up: check, preview, apply what was shown, and check that a local stack serves."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from basec.engine.locks import clear_stale_locks, turn
from basec.engine.opening import make_engine, open_engine, start_loading, toolchain
from basec.engine.plan import Request, apply, require_plan
from basec.hosts import agent, demo_tenant, facts, smoke, smoke_checks
from basec.hosts.activations import signed
from basec.io.console import Stages, clock, say
from basec.io.programs import Program, last_json, run_side_by_side
from basec.local.doctor import require_host
from basec.local.images import read_images, require_images
from basec.local.rendering import asked_tag
from basec.local.way_in import WayIn
from basec.session import Session
from topology.errors import BasecommerceError
from topology.names import DEMO_PASSWORD, PROJECT
from topology.project import Project
from topology.upkeep import warnings


def bring_up(session: Session, request: Request) -> None:
    """Do the work of `up`, and print how long its stages took. Safe to repeat and to interrupt."""
    environment = session.environment
    if request.plan is not None:
        require_plan(environment, request.plan)
    stages = Stages()
    try:
        with turn(environment), signed(session, stages):
            clear_stale_locks(environment)
            way_in = (_up_local if environment.is_local else _up_cloud)(session, stages, request)
    finally:
        if stages.times:
            say(stages.line)
    if way_in is not None:
        way_in.show()


def _up_local(session: Session, stages: Stages, request: Request) -> WayIn | None:
    """Bring a local stack up, and return how to use it; nothing for one without machines."""
    is_dry = session.cloud.is_dry
    with stages.stage("settings"):
        _ = session.project  # before anything is built or started
    loading = start_loading(session)
    if is_dry:
        with stages.stage("toolchain"):
            binary = toolchain()
    else:
        binary, built = _prepare_machine(session, stages)
        session.use_images(built)
    session.render()
    require_images(session.project, session.images)
    engine = make_engine(session, binary, loading, stages)
    known = facts.renew(session, apply(engine, stages, request))
    return None if is_dry else _finish_local(session, known, stages)


def _prepare_machine(session: Session, stages: Stages) -> tuple[Path, Mapping[str, Any]]:
    """Check the host, get CLI and images in parallel (each takes minutes the first time), start what is stopped."""
    environment = session.environment
    with stages.stage("doctor"):
        require_host(environment)
    with stages.stage("toolchain and images"), clock("CLI and images; the first time they take 4 to 12 minutes"):
        builder = Program(
            "localcloud", ["images", "--applications", "reference_apps", "--tag", asked_tag(session.template)]
        )
        binary, images = run_side_by_side(Program("toolchain"), builder)
    with stages.stage("power on"):  # its registry is one of the images
        Program("localcloud", ["power-on", "--config", str(environment.cloud_file)]).run()
    return Path(binary.strip()), read_images(last_json(images))


def _finish_local(session: Session, known: facts.Facts, stages: Stages) -> WayIn:
    environment = session.environment
    # Opening a secret takes as long as the checks, on the other core.
    password = ThreadPoolExecutor(1).submit(session.stack_file.secret, f"{PROJECT}:{DEMO_PASSWORD}")
    agent.ensure_key(session, fresh=True)
    with stages.stage("containers"):
        of_hosts = smoke.until_settled(lambda: smoke_checks.run_all(list(smoke_checks.host_checks(session, known))))
    with stages.stage("demo tenant"):
        demo = demo_tenant.ensure(session, known, password.result())
    with stages.stage("smoke"):
        public = smoke.until_settled(
            lambda: smoke_checks.run_all(list(smoke_checks.public_checks(known, demo_tenant.SLUG)))
        )
    results = smoke.explained(session, known, [*public, *of_hosts])
    smoke.show(environment, results)
    if any(map(smoke.is_maintenance, results)):
        raise BasecommerceError(
            f"basec: {environment.name}: up, but {smoke_checks.MAINTENANCE}, so the shop was not checked",
            smoke.way_on(environment, demo_tenant.SLUG, results),
        )
    if not all(result.passed for result in results):
        raise BasecommerceError(
            f"basec: {environment.name}: up, but smoke checks fail", f"basec smoke --env {environment.name}"
        )
    if demo.to_sell:  # after the checks, since it uses the public address
        with stages.stage("demo sale"):
            demo_tenant.sell(known, demo)
    return WayIn(
        environment=environment.name,
        url=known.url(demo_tenant.SLUG),
        user=demo.email,
        password=demo.password,
        authority=str(environment.public_ca_file.relative_to(environment.root)),
    )


def _up_cloud(session: Session, stages: Stages, request: Request) -> None:
    """Bring a cloud stack up."""
    with stages.stage("settings"):
        say_warnings(session.project)
    facts.renew(session, apply(open_engine(session, stages), stages, request))


def say_warnings(project: Project) -> None:
    """Print warnings about old settings; they stop nothing."""
    for warning in warnings(project, datetime.datetime.now(datetime.UTC).date()):
        say(warning.render())
