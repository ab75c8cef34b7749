"""Preview, judge, apply: the plan that was shown is the one that is applied, and a dangerous one is refused."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from basec.engine import lost, policy_pack
from basec.engine.errors import EngineError
from basec.engine.price import Price, price_of
from basec.engine.progress import ProgressView
from basec.engine.review import screen
from basec.engine.review.changes import Review, review
from basec.environments import Environment
from basec.hosts import power
from basec.io.console import Stages, say, show
from basec.io.files import NO_DOCUMENT, damaged
from basec.io.temporary import temporary_directory
from topology.costs import Billed
from topology.dangerous_edits import RefusedPlanError, Step, Verdict, judge, template_notes
from topology.errors import ExitCode, UsageError
from topology.names import DROPLET
from topology.project import Project

if TYPE_CHECKING:  # the engine takes a second to import: opening.py does it while other programs run
    from basec.engine.operations import Engine


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user allows and chooses."""

    allow_replace: tuple[str, ...] = ()
    """Names or URNs of what may be replaced or deleted, or lose its protection."""
    ask: bool = False
    plan: Path | None = None
    """A plan that an earlier preview saved."""
    refresh: bool = False
    """Whether the engine asks the cloud what exists, instead of trusting its state."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A preview that passed every check."""

    view: ProgressView
    review: Review
    replace: tuple[str, ...]
    """URNs that the engine must replace: it sees no reason on its own."""
    notes: tuple[str, ...]
    price: Price
    lost: tuple[str, ...] = ()
    """The hosts whose machines are gone; the steps do not show it."""


def look(
    engine: Engine,
    stages: Stages,
    allow_replace: tuple[str, ...],
    plan: Path | None = None,
    *,
    refresh: bool = False,
) -> Planned:
    """Preview and check, and write the plan to a file if one is given. Raises RefusedPlanError and PolicyError."""
    policy_pack.allow(allow_replace)
    project = engine.session.project
    with stages.stage("preview"):
        wait = lost.Answers if refresh else lost.listen(engine.session)
        run = partial(engine.preview, plan, refresh=refresh)
        view, verdict = _previewed(engine, run, project, allow_replace)
        if view is None or verdict.forced:  # planned again: the engine replaces these only on request
            view = run(verdict.forced)
            _judged(view, view.stateful, project, allow_replace)
        answers = wait()
        gone, silent_notes = lost.find(engine, answers.silent)
        damaged = answers.damaged if not gone else {}  # with a lost machine nothing is done
        again = engine.activations(damaged) if damaged else ()
        if again:
            view = run((*verdict.forced, *again))
    digests = (_droplets(exports, "template_digest") for exports in (view.exports_before, view.exports_after))
    order = [name for stage in project.inventory.stages for name in stage]
    anew = tuple(
        f"{step.droplet}: its droplet is gone: a new one is made" for step in view.gone if step.type == DROPLET
    )
    damage_notes = tuple(f"{host}: activates its release again: {what}" for host, what in damaged.items())
    return Planned(
        view=view,
        review=review(view.steps, view.releases, order),
        replace=(*verdict.forced, *again),
        notes=(*anew, *silent_notes, *damage_notes, *template_notes(*digests)),
        price=price_of(project, deployed_machines(view.exports_before, view.stateful)),
        lost=gone,
    )


def apply(engine: Engine, stages: Stages, request: Request) -> Mapping[str, Any]:
    """Preview, check, ask, apply what was shown, and return the stack's exports.

    Raises PlanChangedError when the engine would do anything else, and LostMachineError before it does anything.
    """
    engine.drop_pending_operations()
    with private_file() as own:
        plan = None if request.plan else own
        planned = look(engine, stages, request.allow_replace, plan, refresh=request.refresh)
        view = planned.view
        if planned.review.changes:
            show(screen.hosts(planned.review), progress=True)
        for line in (*planned.notes, *planned.price.lines):
            say(line)
        say(f"preview: {view.summary}")
        if planned.lost:
            raise lost.LostMachineError(engine.environment.name, planned.lost)
        if not engine.has_work(view):
            say("up: nothing to do")
            return view.exports_before
        if request.ask and view.changed:
            show(*screen.resources(planned.review), progress=True)
            _confirm(engine.environment.name, refresh=request.refresh)
        with stages.stage("up"), power.stopped(engine.session, view.steps):
            done = engine.up(
                request.plan.absolute() if request.plan else own,
                planned.replace,
                hosts={change.step.urn: change.host for change in planned.review.changes},
                unprotect=bool(request.allow_replace),
                refresh=request.refresh,
            )
    say(f"up: {done.summary}")
    return done.exports_after


@contextmanager
def private_file() -> Iterator[Path]:
    """Yield an empty private file, removed at the end: a plan's secrets are encrypted, its settings are not."""
    with temporary_directory("basec-plan-") as directory:
        path = directory / "plan.json"
        touch_private(path)
        yield path


def touch_private(path: Path) -> None:
    """Create an empty file that only its owner may read; the engine keeps the mode. Raises UsageError."""
    try:
        path.unlink(missing_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise UsageError(
            f"basec: --save-plan: {path}: {error.strerror}", "choose a file in a directory that you may write to"
        ) from None


def require_plan(environment: Environment, path: Path) -> None:
    """Refuse a file that is not a plan of the engine, before any question. Raises UsageError."""
    try:
        document = json.loads(path.read_bytes())
        document["manifest"]["time"], document.get("resourcePlans", {}).items()
    except NO_DOCUMENT as error:
        again = f"basec preview --env {environment.name} --save-plan {path}"
        raise damaged(environment.name, path, error, again) from None


def _previewed(
    engine: Engine, run: Callable[[], ProgressView], project: Project, allowed: tuple[str, ...]
) -> tuple[ProgressView | None, Verdict]:
    """Preview and check. A volume that shrinks makes the engine fail before it reports that step."""
    try:
        view = run()
    except EngineError as error:
        seen = error.view.stateful if error.view else []
        try:
            unseen = [step for step in engine.deployed() if step.urn not in {each.urn for each in seen}]
        except Exception:  # the state cannot be read either, so the engine's message is all there is
            raise error from None
        verdict = _judged(error.view, [*seen, *unseen], project, allowed)
        if not verdict.forced:
            raise
        return None, verdict
    return view, _judged(view, view.stateful, project, allowed)


def _judged(view: ProgressView | None, steps: Sequence[Step], project: Project, allowed: tuple[str, ...]) -> Verdict:
    known = {step.urn: step.name for step in steps}
    if unknown := [each for each in allowed if each not in known and each not in known.values()]:
        raise UsageError(
            f"basec: --allow-replace: {project.stack}: no such resource: {unknown[0]}",
            "one of " + ", ".join(sorted(known.values()))
            if known
            else "nothing is deployed, so nothing can be replaced",
        )
    verdict = judge(steps, project, allowed, gone={step.urn for step in view.gone} if view else set())
    if verdict.refusals:
        raise RefusedPlanError(verdict.refusals)
    return verdict


def deployed_machines(exports: Mapping[str, Any], steps: Sequence[Step]) -> Mapping[str, Billed | None] | None:
    """Return what is billed now; None after a first `up` that failed: then machines exist that no export lists."""
    told = _exported(exports)
    there = {step.droplet for step in steps if step.type == DROPLET and step.op != "create"}
    return {name: Billed.read(each) for name, each in told.items()} if there <= set(told) else None


def _exported(exports: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    droplets = exports.get("droplets")
    return droplets if isinstance(droplets, Mapping) else {}


def _droplets(exports: Mapping[str, Any], key: str) -> dict[str, str]:
    return {name: str(droplet[key]) for name, droplet in _exported(exports).items() if key in droplet}


def _confirm(environment: str, *, refresh: bool) -> None:
    if not sys.stdin.isatty():
        command = f"basec up {'--refresh ' if refresh else ''}--env {environment} --yes"
        raise UsageError(f"basec: up: {environment}: changes must be confirmed", command)
    if not typer.confirm(f"apply this to {environment}?", err=True):
        raise typer.Exit(int(ExitCode.FAILURE))
