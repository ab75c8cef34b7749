"""`basec status`: is it well? Hosts, containers, memory against budget, disks, releases, templates, events."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from basec.arguments import AS_JSON, HOSTS, READ_ENV
from basec.console import answer, print_json, table, width
from basec.console import show as show_table
from basec.environments import resolve

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from basec.status import Container, HostStatus, Report

MIB = 1024 * 1024
WIDE = 120
"""Columns from which on digests are shown in full length and images by their whole name."""


def register(app: typer.Typer) -> None:
    app.command("status", epilog="Examples: basec status --env local; basec status infra --env staging --json")(status)


def status(
    hosts: list[str] = HOSTS,
    env: str = READ_ENV,
    as_json: bool = AS_JSON,
) -> None:
    """Show how hosts and services are. Exits 1 if something is not well, 4 if a host cannot be reached."""
    from basec import facts
    from basec.status import read

    environment = resolve(env)
    report = read(environment, facts.load(environment), hosts or [])
    if as_json:
        print_json(report.environment, asdict(report))
    else:
        show(report)
    raise typer.Exit(int(report.exit_code))


def show(report: Report) -> None:
    """Print two tables, a line for each problem, and the verdict."""
    wide = width() >= WIDE
    show_table(host_table(report, wide=wide))
    answer("")
    show_table(container_table(report, wide=wide))
    answer("")
    for host in report.hosts:
        for problem in host.problems:
            answer(f"{host.name}: {problem}")
    answer(verdict(report))


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
    length = 12 if wide else 8
    rows = [_host_row(host, length) for host in report.hosts]
    columns = ("host", "up", "memory", "limits", "disk", "data", "outbox", "release", "template")
    return table(
        f"hosts: {report.environment}", columns, rows, right=("up", "memory", "limits", "disk", "data", "outbox")
    )


def _host_row(host: HostStatus, length: int) -> list[str | Text]:
    if not host.reachable or host.memory is None:
        return [host.name, _coloured("no", "red"), *["-"] * 7]
    disks = {"/" if disk.mount == "/" else "data": disk for disk in host.disks}
    shares = [
        "-"
        if disk is None
        else f"{disk.used_bytes / disk.total_bytes:.0%}"
        if disk.mounted
        else _coloured("none", "red")
        for disk in (disks.get("/"), disks.get("data"))
    ]
    template = (host.template or "-")[:length]
    if host.template and host.template_for_new_machines not in (host.template, None):
        template += "*"
    outbox = host.outbox
    return [
        host.name,
        _age(host.uptime_s),
        f"{host.memory.used_bytes // MIB}/{host.memory.total_bytes // MIB}M",
        f"{host.limits_bytes // MIB}M {host.limits_bytes / host.memory.total_bytes:.0%}",
        *shares,
        "-" if outbox is None else f"{outbox.unpublished} {_age(outbox.oldest_s)}" if outbox.unpublished else "0",
        host.release.digest[:length] if host.release else _coloured("none", "red"),
        template,
    ]


def container_table(report: Report, *, wide: bool) -> Table:
    image = ("restarts", "reference", "digest") if wide else ("tag",)
    rows = [_container_row(host, container, wide=wide) for host in report.hosts for container in host.containers]
    columns = ("host", "service", "state", "up", "memory", "image", *image)
    return table("containers", columns, rows, right=("up", "memory", "restarts"))


def _container_row(host: HostStatus, container: Container, *, wide: bool) -> list[str | Text]:
    memory, image = container.memory, container.image
    used = "-" if memory.used_bytes is None else str(memory.used_bytes // MIB)
    row: list[str | Text] = [
        host.name,
        container.service,
        _coloured(container.state, "green" if container.is_well else "red"),
        _age(container.uptime_s),
        f"{used}/{memory.limit_bytes // MIB}M" if memory.limit_bytes else used,
    ]
    if not wide:
        return [*row, image.origin.replace("built locally", "local") if image else "-", image.tag if image else "-"]
    digest = image.digest.removeprefix("sha256:")[:12] if image and image.digest else "-"
    return [*row, image.origin if image else "-", str(container.restarts), image.reference if image else "-", digest]


def _age(seconds: float | None) -> str:
    """Write a duration in its two or three most telling characters, e.g. `36m`."""
    if seconds is None:
        return "-"
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:.0f}s"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _coloured(text: str, colour: str) -> Text:
    from rich.text import Text

    return Text(text, style=colour)
