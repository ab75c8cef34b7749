"""`basec maintenance`: a page instead of the shop."""

from __future__ import annotations

from dataclasses import asdict

import typer
from typer._click import Context
from typer.core import TyperGroup

from basec.commands.arguments import AS_JSON, CHANGE_ENV, READ_ENV
from basec.environments import Environment, resolve
from basec.hosts import facts, maintenance
from basec.io.console import answer, complain, print_json, say
from basec.io.known_issues import with_pointers
from basec.session import Session
from topology.errors import ExitCode


class StatusFirst(TyperGroup):
    """Without a subcommand it is `status`."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Put `status` before options that are not the group's own."""
        named = bool(args) and (args[0] in ctx.help_option_names or not args[0].startswith("-"))
        return super().parse_args(ctx, args if named or ctx.resilient_parsing else ["status", *args])


app = typer.Typer(name="maintenance", help="Show visitors a page instead of the shop.", cls=StatusFirst)


def register(root: typer.Typer) -> None:
    root.add_typer(app)


@app.command("status", epilog="Examples: basec maintenance status; basec maintenance status --env staging --json")
def status(env: str = READ_ENV, as_json: bool = AS_JSON) -> None:
    """Show whether it is on, since when and by whom. Also without the word `status`."""
    session = Session(resolve(env))
    outcome = maintenance.read(session, facts.load(session.environment))
    found = {change.host: change.after for change in outcome.changes}
    if as_json:
        edges = [{"name": name, "maintenance": each and asdict(each)} for name, each in found.items()]
        told = {"hosts": edges, "no_answer": [error.message for error in outcome.failed]}
        print_json(session.environment.name, told)
    else:
        for line in maintenance.lines(found) or (["maintenance  off"] if found else []):
            answer(line)
    _report(outcome)


@app.command(
    "on",
    epilog="Examples: basec maintenance on --env local; "
    'basec maintenance on --message "Voltamos às 15h." --env production',
)
def on(
    env: str = CHANGE_ENV,
    message: str = typer.Option("", "--message", metavar="TEXT", help="What visitors read on the page: plain text."),
) -> None:
    """Show visitors a page instead of the shop. From the next request they get 503.

    Health checks, SSH and `basec` go on. With it on already, the message is replaced.
    """
    session, text = Session(resolve(env)), maintenance.checked_message(message)
    outcome = maintenance.turn_on(session, facts.load(session.environment), text)
    for change in outcome.changes:
        _say_on(session.environment, change)
    _report(outcome)
    if any(change.works is False for change in outcome.changes):
        raise typer.Exit(int(ExitCode.REMOTE))
    say(f"hint: basec maintenance off --env {session.environment.name}")


def _say_on(environment: Environment, change: maintenance.Change) -> None:
    if change.works is False:
        complain(
            f"{change.host}: maintenance: nginx does not show the page: its release is older than this command\n"
            f"hint: basec up --env {environment.name}, then the same command again"
        )
    elif change.after is not None:
        again = "still on" if change.before else "on"
        answer(f"{change.host}: maintenance is {again} {change.after.line}")
        if change.works is None:
            say(f"{change.host}: nginx does not answer now; visitors get the page once it runs")


@app.command("off", epilog="Examples: basec maintenance off --env local; basec maintenance off --env production")
def off(env: str = CHANGE_ENV) -> None:
    """Serve the shop again, from the next request."""
    session = Session(resolve(env))
    outcome = maintenance.turn_off(session, facts.load(session.environment))
    for change in outcome.changes:
        was = f"off; it was on {change.before.line}" if change.before else "off, and was off before"
        answer(f"{change.host}: maintenance is {was}")
    _report(outcome)


def _report(outcome: maintenance.Outcome) -> None:
    """Print the edges that failed. Raises typer.Exit if there are any."""
    for error in outcome.failed:
        complain(with_pointers(error.render()))
    if outcome.failed:
        raise typer.Exit(int(ExitCode.REMOTE))
