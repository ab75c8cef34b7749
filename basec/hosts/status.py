"""The state of an environment's droplets: all asked in parallel, one program over one SSH session each, and checked.

The dataclasses here are the shape of `basec status --json`, key by key.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from basec.hosts import onhost
from basec.hosts.agent import ensure_key
from basec.hosts.facts import Facts, HostFacts
from basec.hosts.maintenance import Maintenance, read_record
from basec.hosts.remote import ask_program
from basec.hosts.services import hosts_of
from basec.io.files import NO_DOCUMENT
from basec.session import Session
from topology.errors import ExitCode, RemoteError
from topology.fleet import service_of
from topology.settings import APPLICATIONS

PROGRAM = (Path(onhost.__file__).parent / "status.py").read_text()
TIMEOUT_S = 20
MEMORY_FULL = 0.9
"""Share of a container's limit or of a droplet's memory in use."""
LIMITS_FULL = 0.9
"""Sum of the limits as a share of the kernel's memory, which is some percent less than the size's name."""
ROOT_FULL = 0.9
VOLUME_FULL = 0.8
OUTBOX_LATE_S = 60.0
"""The relay's longest pause is 30 s."""
STOPPED = ("exited", "created")
"""Docker's states of a container that it does not restart: one that crashes is `restarting`."""
UNTOUCHED = "0001-01-01"
"""Docker's date for "never"."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes."""

    used_bytes: int
    total_bytes: int


@dataclass(frozen=True, kw_only=True)
class ContainerMemory:
    """Bytes; `used_bytes` is null if the container does not run, `limit_bytes` is 0 without a limit."""

    used_bytes: int | None
    limit_bytes: int


@dataclass(frozen=True, kw_only=True)
class Disk:
    """One mount point; both figures are 0 where nothing is mounted."""

    mount: str
    mounted: bool
    used_bytes: int
    total_bytes: int


@dataclass(frozen=True, kw_only=True)
class Release:
    """The active release: SHA-256 of its bundle, since when (UTC; its age by the host's own clock), and by whom.

    `tags` are those of our own images that its containers run: one, except during a change. `by` is
    null if no `basec up` activated it: plain `pulumi up` leaves no name.
    """

    digest: str
    since: str
    age_s: float
    tags: list[str]
    by: str | None


@dataclass(frozen=True, kw_only=True)
class Outbox:
    """Events that the relay has yet to send, and the age of the oldest in seconds."""

    unpublished: int
    oldest_s: float


@dataclass(frozen=True, kw_only=True)
class MetricsAgent:
    """DigitalOcean's agent: whether it runs, and whether its user reaches the metadata address, where it delivers."""

    running: bool
    let_out: bool

    @property
    def problem(self) -> str:
        """Return why no metric leaves the machine, or an empty string."""
        if self.running and self.let_out:
            return ""
        why = "cannot reach the metadata address" if self.running else "does not run"
        return f"the metrics agent {why}: no alert on CPU, memory or disk can fire"


@dataclass(frozen=True, kw_only=True)
class Image:
    """What a container runs; `origin` is `official`, `built locally` or the registry's name."""

    reference: str
    tag: str
    digest: str | None
    origin: str


@dataclass(frozen=True, kw_only=True)
class Container:
    """One service; `state` is `healthy`, `running` (no check), `starting`, `unhealthy`, `missing` or Docker's own."""

    service: str
    name: str
    state: str
    uptime_s: float | None
    restarts: int
    memory: ContainerMemory
    image: Image | None

    @property
    def is_well(self) -> bool:
        """Whether it works, as far as known."""
        return self.state in ("healthy", "running")


@dataclass(frozen=True, kw_only=True)
class HostStatus:
    """One droplet. If it cannot be reached, or its answer cannot be read, only the first five fields are known."""

    name: str
    role: str
    reachable: bool
    problems: list[str]
    template_for_new_machines: str | None
    template: str | None = None
    uptime_s: float | None = None
    clock_synchronised: bool | None = None
    memory: Memory | None = None
    limits_bytes: int = 0
    disks: list[Disk] = field(default_factory=list)
    release: Release | None = None
    containers: list[Container] = field(default_factory=list)
    outbox: Outbox | None = None
    metrics_agent: MetricsAgent | None = None
    maintenance: Maintenance | None = None

    @property
    def state(self) -> str:
        """Its state, in the words of the verdict."""
        return "unreachable" if not self.reachable else "not well" if self.problems else "well"

    @property
    def is_of_older_template(self) -> bool:
        """Whether a new machine would get different user data from this one's."""
        return self.template is not None and self.template_for_new_machines not in (self.template, None)


@dataclass(frozen=True, kw_only=True)
class Report:
    """All of it; `verdict` is `well`, `not well` or `unreachable`."""

    environment: str
    verdict: str
    hosts: list[HostStatus]

    @property
    def exit_code(self) -> ExitCode:
        """0 well, 1 something is not well, 4 a host cannot be reached."""
        return {"well": ExitCode.OK, "not well": ExitCode.FAILURE}.get(self.verdict, ExitCode.REMOTE)


def read(session: Session, facts: Facts, names: Sequence[str]) -> Report:
    """Ask the given hosts, or all. Raises UsageError for an unknown one; unreachable ones are in the report."""
    hosts = hosts_of(facts, names, "status {}")
    ensure_key(session)  # once, before the threads would all start an agent
    with ThreadPoolExecutor(max_workers=len(hosts)) as pool:
        found = list(pool.map(lambda host: _ask(session, host), hosts))
    verdict = "not well" if any(host.problems for host in found) else "well"
    if not all(host.reachable for host in found):
        verdict = "unreachable"
    return Report(environment=session.environment.name, verdict=verdict, hosts=found)


def _ask(session: Session, host: HostFacts) -> HostStatus:
    try:
        document = ask_program(session, host.name, PROGRAM, [host.tier], timeout_s=TIMEOUT_S)
    except RemoteError as error:
        lines = [line.strip() for line in error.message.removeprefix(f"{host.name}: ").splitlines()]
        problem = " ".join([lines[0], *lines[-1:]]) if len(lines) > 1 else lines[0]
        return _unknown(host, problem, reachable=False)
    try:
        return judge(host, document)
    except Exception as error:  # whatever the error: the other hosts are shown
        said = " ".join(str(error).split())
        return _unknown(host, f"its answer cannot be read: {type(error).__name__}: {said}", reachable=True)


def _unknown(host: HostFacts, problem: str, *, reachable: bool) -> HostStatus:
    new = host.template or None
    return HostStatus(
        name=host.name, role=host.role, reachable=reachable, problems=[problem], template_for_new_machines=new
    )


def judge(host: HostFacts, document: dict[str, Any]) -> HostStatus:
    """Build the status of a host from the output of the program on it."""
    containers = list(_in_use([_container(raw, document["now"]) for raw in document["containers"]]))
    found = {container.service for container in containers}
    problems = [*document["failed"], *(f"{unit} failed" for unit in document["failed_units"])]
    try:
        order = _expected(document["compose"]) if document["release"] else []
    except (*NO_DOCUMENT, yaml.YAMLError):
        order = []
        problems.append("compose.yaml of its release is damaged: basec up restores it")
    if not document["failed"]:
        containers += [_missing(service) for service in order if service not in found]
    containers.sort(key=lambda c: (order.index(c.service) if c.service in order else len(order), c.name))
    memory = Memory(**document["memory"])
    limits_bytes = sum(container.memory.limit_bytes for container in containers)
    disks = [Disk(**disk) for disk in document["disks"]]
    release = _release(document, containers, {*APPLICATIONS, host.tier})
    outbox = Outbox(**document["outbox"]) if document["outbox"] and "relay" in found else None
    agent = MetricsAgent(**document["metrics_agent"])
    if release is None:
        problems.append("no release is active")
    problems += [*_container_problems(containers), *_machine_problems(memory, limits_bytes, disks)]
    if agent.problem:
        problems.append(agent.problem)
    if document["clock_synchronised"] is False:
        problems.append("the clock is not synchronised")
    if outbox is not None and outbox.oldest_s > OUTBOX_LATE_S:
        problems.append(f"{outbox.unpublished} events wait in the outbox, the oldest for {outbox.oldest_s:.0f} s")
    return HostStatus(
        name=host.name,
        role=host.role,
        reachable=True,
        problems=problems,
        template=document["template"],
        template_for_new_machines=host.template or None,
        uptime_s=document["uptime_s"],
        clock_synchronised=document["clock_synchronised"],
        memory=memory,
        limits_bytes=limits_bytes,
        disks=disks,
        release=release,
        containers=containers,
        outbox=outbox,
        metrics_agent=agent,
        maintenance=read_record(document["maintenance"]),
    )


def _in_use(containers: Sequence[Container]) -> Iterator[Container]:
    """Yield the containers without those that are kept for a way back: of two colours, the stopped one."""
    shown = {container.service for container in containers if container.state not in STOPPED}
    for container in containers:
        if container.state not in STOPPED or container.service not in shown:
            yield container
        shown.add(container.service)


def _expected(compose: str) -> list[str]:
    """Return the services that a compose file always starts."""
    services = yaml.safe_load(compose)["services"]
    return list(dict.fromkeys(service_of(name) for name, service in services.items() if not service.get("profiles")))


def _release(
    document: dict[str, Any], containers: Sequence[Container], applications: Collection[str]
) -> Release | None:
    if not document["release"]:
        return None
    ours = {each.image.tag for each in containers if each.image and each.image.tag and each.service in applications}
    age_s = document["now"] - _epoch(document["release"]["since"])
    return Release(**document["release"], age_s=age_s, tags=sorted(ours))


def _missing(service: str) -> Container:
    nothing = ContainerMemory(used_bytes=None, limit_bytes=0)
    return Container(service=service, name="", state="missing", uptime_s=None, restarts=0, memory=nothing, image=None)


def _container(raw: dict[str, Any], now: float) -> Container:
    running = raw["state"] == "running"
    started = raw["started"]
    return Container(
        service=service_of(raw["service"]),
        name=raw["name"],
        state=(raw["health"] or "running") if running else raw["state"],
        uptime_s=now - _epoch(started) if running and not started.startswith(UNTOUCHED) else None,
        restarts=raw["restarts"],
        memory=ContainerMemory(**raw["memory"]),
        image=image_of(**raw["image"]),
    )


def _epoch(stamp: str) -> float:
    """Return the seconds of a time as Docker writes it: UTC, with nanoseconds."""
    return datetime.fromisoformat(stamp[:19]).replace(tzinfo=UTC).timestamp()


def image_of(*, reference: str, digest: str | None, built_locally: bool) -> Image:
    """Build an image's description with its origin: without a digest it came from no registry."""
    name, _, tag = reference.partition("@")[0].rpartition(":")
    if not name or "/" in tag:  # no tag: the colon was a port's, or there was none
        name, tag = reference.partition("@")[0], ""
    first = name.split("/")[0]
    registry = first if "." in first or ":" in first else "docker.io"
    origin = "official" if registry == "docker.io" else registry
    if built_locally or digest is None:
        origin = "built locally"
    return Image(reference=reference, tag=tag, digest=digest, origin=origin)


def _container_problems(containers: Sequence[Container]) -> Iterator[str]:
    for container in containers:
        memory = container.memory
        if not container.is_well:
            yield f"{container.service} is {container.state}"
        if memory.limit_bytes and (memory.used_bytes or 0) >= MEMORY_FULL * memory.limit_bytes:
            yield f"{container.service} uses {(memory.used_bytes or 0) / memory.limit_bytes:.0%} of its memory limit"


def _machine_problems(memory: Memory, limits_bytes: int, disks: Sequence[Disk]) -> Iterator[str]:
    if memory.used_bytes >= MEMORY_FULL * memory.total_bytes:
        yield f"{memory.used_bytes / memory.total_bytes:.0%} of the memory is in use"
    if limits_bytes > LIMITS_FULL * memory.total_bytes:
        yield f"the containers' limits add up to {limits_bytes / memory.total_bytes:.0%} of the memory"
    for disk in disks:
        if not disk.mounted:
            yield f"{disk.mount} is not mounted"
        elif disk.used_bytes >= (ROOT_FULL if disk.mount == "/" else VOLUME_FULL) * disk.total_bytes:
            yield f"{disk.mount} is {disk.used_bytes / disk.total_bytes:.0%} full"
