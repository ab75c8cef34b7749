"""`basec firewall`: the packet filter of the droplets."""

from __future__ import annotations

import typer

from basec.commands.arguments import ANY_HOST, AS_JSON, CHANGE_ENV, HOST, READ_ENV
from basec.environments import Environment, resolve
from basec.hosts import facts, firewall
from basec.hosts.services import host_of, hosts_of
from basec.io.console import answer, coloured, print_json, say, show, table
from basec.io.known_issues import with_pointers
from basec.session import Session
from topology.errors import ExitCode, RemoteError

app = typer.Typer(name="firewall", help="Compare the hosts' firewall with the rule table.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    root.add_typer(app)


@app.command("status", epilog="Examples: basec firewall status; basec firewall status edge --env local --json")
def status(
    host: str = ANY_HOST,
    env: str = READ_ENV,
    as_json: bool = AS_JSON,
) -> None:
    """Compare declared rules with those on the hosts. Exits 1 if one is missing or extra, 4 if a host is silent."""
    session = Session(resolve(env))
    environment = session.environment
    known = facts.load(environment)
    hosts = hosts_of(known, [host] if host else [], "firewall status {}")
    lines, silent = firewall.status(session, known, hosts)
    if as_json:
        told = {"rules": [line.as_dict() for line in lines], "no_answer": [error.message for error in silent]}
        print_json(environment.name, told)
    elif lines:
        _show(environment, lines)
    for error in silent:
        say(with_pointers(error.render()))
    if silent:
        raise typer.Exit(int(ExitCode.REMOTE))
    if any(line.state != "same" for line in lines):
        say(f"hint: basec firewall apply HOST --env {environment.name}")
        raise typer.Exit(int(ExitCode.FAILURE))


def _show(environment: Environment, lines: list[firewall.RuleLine]) -> None:
    """Print the rules; the lines that hold them in place only where one is missing or extra."""
    wrong = sum(line.state != "same" for line in lines)
    rows = [
        (line.host, line.chain, line.rule, coloured(line.state, good=line.state == "same"))
        for line in lines
        if line.chain != "frame" or line.state != "same"
    ]
    show(table(f"firewall: {environment.name}", ("host", "chain", "rule", "state"), rows))
    hidden = len(lines) - len(rows)
    more = f"; {hidden} supporting rules also correct (not listed)" if hidden else ""
    answer(f"{len(rows) - wrong} rules as declared, {wrong} missing or extra{more}")


@app.command(
    "apply", epilog="Examples: basec firewall apply edge --env local; basec firewall apply infra --env staging"
)
def apply(
    host: str = HOST,
    env: str = CHANGE_ENV,
) -> None:
    """Make a host's rules equal to the table. `up` does so only after a change of the table, not after one by hand."""
    session = Session(resolve(env))
    environment = session.environment
    known = facts.load(environment)
    target = host_of(known, host, "firewall apply {}")
    answer(firewall.apply(session, known, target))
    lines, silent = firewall.status(session, known, [target])
    if silent:
        raise silent[0]
    if any(line.state != "same" for line in lines):
        _show(environment, lines)
        raise RemoteError(
            f"{target.name}: firewall: the kernel's rules differ from UFW's files",
            f"basec ssh {target.name} --env {environment.name} -- sudo systemctl reboot",
        )
