"""`basec status`: is all healthy? Hosts, containers, memory against budget, disks, releases, templates, events."""

from __future__ import annotations

from dataclasses import asdict

import typer
from rich.table import Table
from rich.text import Text

from basec.commands.arguments import AS_JSON, HOSTS, READ_ENV
from basec.environments import resolve
from basec.hosts import facts, maintenance
from basec.hosts.status import Container, HostStatus, Report, read
from basec.io.console import answer, coloured, print_json, table
from basec.io.console import show as show_table
from basec.io.known_issues import HINT, pointer
from basec.session import Session
from topology.inventory import EDGE_ROLE

MIB = 1024 * 1024
DIGITS = 12
"""Of a digest."""


def register(app: typer.Typer) -> None:
    app.command("status", epilog="Examples: basec status --env local; basec status infra --env staging --json")(status)


def status(
    hosts: list[str] = HOSTS,
    env: str = READ_ENV,
    wide: bool = typer.Option(False, "--wide", help="Also digests and full image names, however long the lines get."),
    as_json: bool = AS_JSON,
) -> None:
    """Show the health of hosts and services. Exits 1 if something is not well, 4 if a host cannot be reached."""
    session = Session(resolve(env))
    report = read(session, facts.load(session.environment), hosts or [])
    if as_json:
        print_json(report.environment, asdict(report))
    else:
        show(report, wide=wide)
    raise typer.Exit(int(report.exit_code))


def show(report: Report, *, wide: bool) -> None:
    """Print two tables, a line for each problem, and the verdict."""
    show_table(host_table(report, wide=wide), whole=wide)
    answer("")
    show_table(container_table(report, wide=wide), whole=wide)
    answer("")
    edges = {host.name: host.maintenance for host in report.hosts if host.role == EDGE_ROLE and host.reachable}
    for line in maintenance.lines(edges):
        answer(line)
    for host in report.hosts:
        for problem in host.problems:
            answer(f"{host.name}: {problem}")
        if host.is_of_older_template:
            answer(f"{host.name}: created from an older template than a new machine")
    answer(verdict(report))
    more = "; ".join(dict.fromkeys(filter(None, (pointer(each) for host in report.hosts for each in host.problems))))
    if report.verdict == "unreachable":
        lost = (
            f"basec preview --env {report.environment} asks the cloud whether the machine is gone; "
            f"then basec up --refresh --env {report.environment} recreates it"
        )
        more = f"{lost}; more: {more}" if more else lost
    if more:
        answer(f"{HINT}{more}")


def verdict(report: Report) -> str:
    lost = sum(not host.reachable for host in report.hosts)
    problems = sum(len(host.problems) for host in report.hosts if host.reachable)
    counts = f"{_many(len(report.hosts), 'host')}, {_many(sum(len(h.containers) for h in report.hosts), 'container')}"
    if report.verdict == "well":
        return f"well: {counts}"
    parts = [f"{lost} not reached"] if lost else []
    parts += [_many(problems, "problem")] if problems else []
    return f"not well: {', '.join(parts)} ({counts})"


def host_table(report: Report, *, wide: bool) -> Table:
    columns = ("host", "state", "tag", "activated", "by", "memory", "limits", "disk", "data", "outbox", "booted")
    return table(
        f"hosts: {report.environment}",
        (*columns, "release", "template") if wide else columns,
        [_host_row(host)[: None if wide else len(columns)] for host in report.hosts],
        right=("activated", "memory", "limits", "disk", "data", "outbox", "booted"),
        optional=None if wide else ("booted", "limits", "outbox", "disk", "data", "memory", "by"),
    )


def _host_row(host: HostStatus) -> list[str | Text]:
    state = coloured(host.state, good=host.state == "well")
    if not host.reachable or host.memory is None:
        return [host.name, state, *["-"] * 11]
    disks = {"/" if disk.mount == "/" else "data": disk for disk in host.disks}
    shares = [
        "-"
        if disk is None
        else f"{disk.used_bytes / disk.total_bytes:.0%}"
        if disk.mounted
        else coloured("none", good=False)
        for disk in (disks.get("/"), disks.get("data"))
    ]
    outbox, release = host.outbox, host.release
    return [
        host.name,
        state,
        (", ".join(release.tags) or "-") if release else coloured("none", good=False),
        _ago(release.age_s if release else None),
        (release and release.by) or "-",
        f"{host.memory.used_bytes // MIB}/{host.memory.total_bytes // MIB}M",
        f"{host.limits_bytes // MIB}M {host.limits_bytes / host.memory.total_bytes:.0%}",
        *shares,
        "-" if outbox is None else f"{outbox.unpublished} {_age(outbox.oldest_s)}" if outbox.unpublished else "0",
        _ago(host.uptime_s),
        release.digest[:DIGITS] if release else "-",
        f"{host.template or '-'}{'*' * host.is_of_older_template}",
    ]


def container_table(report: Report, *, wide: bool) -> Table:
    image = ("restarts", "origin", "reference", "digest") if wide else ("restarts", "origin", "tag")
    return table(
        "containers",
        ("host", "service", "state", "started", "memory", *image),
        [_container_row(host, container, wide=wide) for host in report.hosts for container in host.containers],
        right=("started", "memory", "restarts"),
        optional=None if wide else ("restarts", "origin", "memory", "started"),
    )


def _container_row(host: HostStatus, container: Container, *, wide: bool) -> list[str | Text]:
    memory, image = container.memory, container.image
    used = "-" if memory.used_bytes is None else str(memory.used_bytes // MIB)
    row: list[str | Text] = [
        host.name,
        container.service,
        coloured(container.state, good=container.is_well),
        _ago(container.uptime_s),
        f"{used}/{memory.limit_bytes // MIB}M" if memory.limit_bytes else used,
        str(container.restarts),
    ]
    if image is None:
        return [*row, *["-"] * (3 if wide else 2)]
    digest = (image.digest or "-").removeprefix("sha256:")[:DIGITS]
    names = [image.reference, digest] if wide else [image.tag or "-"]
    return [*row, image.origin.replace("built locally", "local"), *names]


def _ago(seconds: float | None) -> str:
    return "-" if seconds is None else f"{_age(seconds)} ago"


def _age(seconds: float) -> str:
    """Return a duration in two or three characters, e.g. `36m`."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
