"""`basec events`: the way of events from the outbox to the engines."""

from __future__ import annotations

import typer

from basec.commands.arguments import AS_JSON, CHANGE_ENV, READ_ENV
from basec.environments import resolve
from basec.hosts import facts, outbox
from basec.io.console import answer, print_json, say, show, table
from basec.session import Session

app = typer.Typer(name="events", help="Count the waiting events, or send them again.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    root.add_typer(app)


@app.command("status", epilog="Examples: basec events status; basec events status --env local --json")
def status(
    env: str = READ_ENV,
    as_json: bool = AS_JSON,
) -> None:
    """Show how many events wait, and where."""
    session = Session(resolve(env))
    environment = session.environment
    lag = outbox.lag(session, facts.load(environment))
    if as_json:
        print_json(environment.name, lag.as_dict())
        return
    rows = [
        ("waiting for the relay", str(lag.unpublished)),
        ("oldest of them, seconds", str(lag.oldest_s)),
        ("in the stream", str(lag.stream_length)),
        ("not yet delivered to the engines", "-" if lag.group_lag is None else str(lag.group_lag)),
        ("delivered, not finished", str(lag.group_pending)),
        ("most deliveries of one of them", str(lag.most_deliveries)),
        ("set aside", str(lag.set_aside)),
    ]
    show(table(f"events: {environment.name}", ("what", "count"), rows, right=("count",)))
    for event in lag.newest_set_aside:
        answer(
            f"set aside after {event.tries}: {event.event_type} {event.event_id}: {event.reason or 'no reason kept'}"
        )
    if lag.set_aside:
        say(f"hint: once a release can handle them: basec events retry --env {environment.name}")
    if not lag.group_exists:
        say("the engines' group is missing in Redis: it was emptied, or the engines never started")
        say(f"hint: basec events replay --env {environment.name}")


@app.command("replay", epilog="Examples: basec events replay --env local; basec events replay --env production")
def replay(env: str = CHANGE_ENV) -> None:
    """Send events again that a wiped Redis lost. Safe to repeat.

    Events that are neither finished nor in Redis are sent again; relay and engines restart. The engines skip finished
    events, so nothing is counted twice.
    """
    session = Session(resolve(env))
    environment = session.environment
    known = facts.load(environment)
    say(f"{environment.name}: looking for lost events, restarting relay and engines")
    done = outbox.replay(session, known)
    answer(_sent_again(done.sent_again))
    if done.given:
        answer(f"{done.given} were delivered to the engines and are not finished: a replay does not help those")
        say(f"hint: basec events status --env {environment.name}; basec logs infra engines --env {environment.name}")


@app.command("retry", epilog="Examples: basec events retry --env local; basec events retry --env production")
def retry(env: str = CHANGE_ENV) -> None:
    """Send events again that were set aside.

    Relay and engines set aside what can never be a message, or failed five times: `basec events status` shows it. Once
    a release can handle them, they get a new set of tries.
    """
    session = Session(resolve(env))
    environment = session.environment
    known = facts.load(environment)
    say(f"{environment.name}: marking the events that were set aside, restarting relay and engines")
    answer(_sent_again(outbox.retry(session, known).sent_again))


def _sent_again(count: int) -> str:
    return f"{count} {'event' if count == 1 else 'events'} will be sent again"
