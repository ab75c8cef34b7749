"""`basec preview`: what `up` would change and cost."""

from __future__ import annotations

from pathlib import Path

import typer

from basec.commands.arguments import ALLOW_REPLACE, AS_JSON, READ_ENV
from basec.engine.bring_up import say_warnings
from basec.engine.dry_run import rehearsal
from basec.engine.lost import LostMachineError
from basec.engine.opening import open_engine
from basec.engine.plan import Planned, look, touch_private
from basec.engine.policy_pack import PolicyError
from basec.engine.policy_pack import as_json as as_json_violations
from basec.engine.review import document, screen
from basec.environments import resolve
from basec.io.console import Stages, answer, print_json, say, show
from basec.session import Session
from topology.errors import UsageError


def register(app: typer.Typer) -> None:
    app.command(
        "preview", epilog="Examples: basec preview --env local --save-plan plan.json; basec preview --env staging --dry"
    )(preview)


def preview(
    env: str = READ_ENV,
    *,
    as_json: bool = AS_JSON,
    dry: bool = typer.Option(False, "--dry", help="For staging and production: from empty state, without any account."),
    base: str = typer.Option(
        "", "--base", metavar="REF", help="With --dry: show the difference to this commit, e.g. origin/main."
    ),
    allow_replace: list[str] = ALLOW_REPLACE,
    save_plan: Path = typer.Option(None, "--save-plan", metavar="FILE", help="Write the plan for `up --plan`."),
) -> None:
    """Show what `up` would change and cost. Refuses what is dangerous, and changes nothing."""
    session = Session(resolve(env))
    allowed, is_local = tuple(allow_replace or ()), session.environment.is_local
    if base and (not dry or is_local):
        raise UsageError(
            "basec: preview: --base compares two commits of a cloud stack, without an account",
            f"basec preview --env staging --dry --base {base}",
        )
    if dry and is_local:
        raise UsageError(
            "basec: preview: --dry is for cloud stacks; a local stack is previewed as it is",
            f"basec preview --env {session.environment.name}",
        )
    if dry:
        with rehearsal(session, base) as copy:
            _preview(copy, allowed, save_plan, as_json=as_json)
    else:
        _preview(session, allowed, save_plan, as_json=as_json)


def _preview(session: Session, allowed: tuple[str, ...], save_plan: Path | None, *, as_json: bool) -> None:
    name = session.environment.name
    say_warnings(session.project)
    if session.environment.is_local:
        session.render()
    stages = Stages()
    try:
        planned = _look(session, stages, allowed, save_plan)
    except PolicyError as refusal:
        if as_json:
            print_json(name, {"violations": as_json_violations(refusal.violations)})
        raise
    finally:
        say(stages.line)
    if as_json:
        print_json(name, _document(planned))
    else:
        _show(planned)
    if planned.lost:  # as `up` would end, before it did anything
        raise LostMachineError(name, planned.lost)


def _look(session: Session, stages: Stages, allowed: tuple[str, ...], save_plan: Path | None) -> Planned:
    """Preview and check; a refused plan leaves no file."""
    engine = open_engine(session, stages)
    if save_plan is None:
        return look(engine, stages, allowed)
    touch_private(save_plan)
    try:
        return look(engine, stages, allowed, save_plan.absolute())
    except BaseException:
        save_plan.unlink(missing_ok=True)
        raise


def _document(planned: Planned) -> dict[str, object]:
    return {
        "changes": dict(planned.view.changes),
        "changed": planned.view.changed,
        **document.of(planned.review),
        "notes": planned.notes,
        "lost": planned.lost,
        "price": planned.price.document(),
        "violations": as_json_violations(planned.view.violations),
    }


def _show(planned: Planned) -> None:
    if planned.review.changes:
        show(screen.hosts(planned.review))
        answer("")
        show(*screen.resources(planned.review))
        answer("")
    for line in (*planned.notes, planned.view.summary, *planned.price.lines):
        answer(line)
