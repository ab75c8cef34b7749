"""`basec events`: the way of events from the outbox to the engines."""

from __future__ import annotations

import typer

from basec.arguments import AS_JSON, CHANGE_ENV, READ_ENV
from basec.console import answer, print_json, say, show, table
from basec.environments import resolve

app = typer.Typer(name="events", help="Count the waiting events, or send them again.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    root.add_typer(app)


@app.command("status", epilog="Examples: basec events status; basec events status --env local --json")
def status(
    env: str = READ_ENV,
    as_json: bool = AS_JSON,
) -> None:
    """Show how many events wait, and where."""
    from basec import facts, outbox

    environment = resolve(env)
    lag = outbox.lag(environment, facts.load(environment))
    if as_json:
        print_json(environment.name, lag.as_dict())
        return
    rows = [
        ("waiting for the relay", str(lag.unpublished)),
        ("oldest of them, seconds", str(lag.oldest_s)),
        ("in the stream", str(lag.stream_length)),
        ("not yet given to the engines", "-" if lag.group_lag is None else str(lag.group_lag)),
        ("given and not finished", str(lag.group_pending)),
    ]
    show(table(f"events: {environment.name}", ("what", "count"), rows, right=("count",)))
    if not lag.group_exists:
        say("the engines' group is missing in Redis: it was emptied, or the engines never started")
        say(f"hint: basec events replay --env {environment.name}")


@app.command("replay", epilog="Examples: basec events replay --env local; basec events replay --env production")
def replay(env: str = CHANGE_ENV) -> None:
    """Send unfinished events again, for a wiped Redis. Safe to repeat.

    Marks those rows of the outbox as unpublished and restarts relay and engines, which make stream and group anew.
    The engines skip what they have done, so nothing is counted twice.
    """
    from basec import facts, outbox

    environment = resolve(env)
    known = facts.load(environment)
    say(f"{environment.name}: marks unfinished events and restarts relay and engines")
    count = outbox.replay(environment, known)
    answer(f"{count} events are sent again")
