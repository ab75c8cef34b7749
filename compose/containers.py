"""The containers of a tier: what docker compose reports of a release, and pull, up, explain.

When each is done, and what follows from a failure: release.py. What is on the disk: tier_files.py.
Shipped in every bundle and run as root by Debian's own Python: standard library only.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from colours import CHOICES, PROXY, Choices, Pair, Proxy, choose, service_of
from programs import LINES_ABOVE, LOG_LINES, Programs, ReleaseError, say
from tier_files import Release, TierFiles, seconds_of, variable

PULL_DEADLINE = 900  # seconds for one image
HEALTH_DEADLINE = 180  # seconds until all containers are healthy
MAY_RECOVER = ("running", "restarting")
"""States of a container that may soon serve: a check may be late, and a service that found no Redis restarts."""
RECOVERY_WAIT = 25  # seconds: two health checks of a container that was unhealthy before
RELOAD_WAIT = 10  # seconds until a server has read its configuration again
ENDING_WAIT = 35  # seconds for requests that a server had before it read its configuration again; HAProxy ends at 30
POLL_S = 0.1  # between two looks
TRIAL_DEADLINE = 60  # seconds for one service's trial of its configuration
TRIALS = {
    "nginx": (["nginx", "-t", "-q", "-c", "/etc/nginx/{current}/nginx.conf"], r"\[emerg\].*"),
    "haproxy": (
        ["haproxy", "-c", "-f", "/etc/basecommerce/colours.cfg", "-f", "/etc/basecommerce/{current}/haproxy.cfg"],
        r"\[ALERT\].*",
    ),
    "postgres": (
        ["postgres", "-C", "data_directory", "-c", "config_file=/etc/basecommerce/postgresql.conf"],
        r"LOG:  (?!skipping).*",
    ),
    # Redis has no command for this: it starts without port and data, and passes if it still runs after a second.
    "redis": (
        [
            *("sh", "-c"),
            "redis-server /etc/basecommerce/redis.conf --port 0 --unixsocket /tmp/trial --dir /tmp --save '' "
            "--appendonly no & sleep 1; kill $!",
        ],
        r">>> .*\n.*",
    ),
}
"""How a service tries its own configuration in a container that serves nobody, and the decisive part of its output.

`{current}` is what the release has for it to read (`x-live`), since the link still names what it reads now."""
PROOF = "set -a; . /run/secrets/env; exec python3 /etc/basecommerce/health.py release"
PROOF_DEADLINE = 30  # seconds
FIRST_PROCESS = "{{.State.Pid}} {{.State.StartedAt}}"
HEALTH_OUTPUT = "{{if .State.Health}}{{range .State.Health.Log}}{{println .Output}}{{end}}{{end}}"


@dataclass(frozen=True)
class Container:
    """The container of one service: state and health in Docker's words; `missing` when there is none."""

    name: str
    state: str
    health: str  # empty for a moment after each start; every service has a check (rule BC18)

    @property
    def serves(self) -> bool:
        """Whether it runs, and its check has passed."""
        return self.state == "running" and self.health == "healthy"

    @property
    def condition(self) -> str:
        """State and health in one line."""
        return f"{self.state} {self.health}".rstrip()


class Containers:
    """The compose project of one tier."""

    def __init__(self, tier: str, files: TierFiles, programs: Programs) -> None:
        """Nothing is asked or started yet."""
        self.tier = tier
        self.files = files
        self.programs = programs
        self.choices = Choices(files.live.directory / PROXY / CHOICES)
        self._services: dict[Release, dict[str, dict[str, Any]]] = {}  # what is asked once in a run
        self._pairs: dict[Release, list[Pair]] = {}
        # By container that was sent a signal: its first process, and the workers of before.
        self._before: dict[str, tuple[str, set[str]]] = {}

    def compose(
        self, release: Release, *arguments: str, deadline: float = 60, text: str = "", override: str = ""
    ) -> str:
        """Run docker compose on the release, for `deadline` seconds at most.

        Its standard input is `text`, or `override`: YAML that changes the release's compose file for this run.
        """
        bundle, variables = self.files.bundle(release), self.files.variables_file(release)
        argv = ["docker", "compose", "--ansi", "never", "-p", self.tier, "--project-directory", str(bundle)]
        argv += ["--env-file", str(bundle / ".env"), "--env-file", str(variables), "-f", str(bundle / "compose.yaml")]
        argv += ["-f", "-"] if override else []
        shown = f"docker compose {' '.join(arguments)}"
        return self.programs.run([*argv, *arguments], deadline, shown, override or text)

    # ---- questions -------------------------------------------------------------------------------------

    def services(self, release: Release) -> dict[str, dict[str, Any]]:
        """Return the services of the release as compose sees them, `migrate` included."""
        if release not in self._services:
            document = json.loads(self.compose(release, "--profile", "migrate", "config", "--format", "json"))
            self._services[release] = dict(document["services"])
        return self._services[release]

    def states(self, release: Release) -> list[Container]:
        """List the container of each service that should run, by name."""
        text = self.compose(release, "ps", "-a", "--format", "json").strip()
        rows = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
        found = {row["Service"]: row for row in rows}
        return [
            Container(name, row.get("State", "missing"), row.get("Health", ""))
            for name, row in ((name, found.get(name, {})) for name in self.lasting(release))
        ]

    def pairs(self, release: Release) -> list[Pair]:
        """Return the services with two colours, and the colour that the release has: the same in all of a run."""
        if release not in self._pairs:
            services = self.services(release)
            if all(service_of(name) == name for name in services):
                self._pairs[release] = []
            else:
                hashes = dict(map(str.split, self.compose(release, "config", "--hash", "*").splitlines()))
                made = {name: label for name, label, _ in self._rows("com.docker.compose.config-hash")}
                self._pairs[release] = choose(services, hashes, made, self.choices.read())
        return self._pairs[release]

    def lasting(self, release: Release) -> list[str]:
        """Return the compose services that the release runs, by name: of two colours, one."""
        idle = {pair.idle for pair in self.pairs(release)}
        return sorted(
            name for name, service in self.services(release).items() if name not in idle and not service.get("profiles")
        )

    def running(self) -> set[str]:
        """Return the compose services that have a container which runs, or would again, of whatever release."""
        rows = self._rows("com.docker.compose.oneoff")
        return {name for name, is_one_off, state in rows if state in MAY_RECOVER and is_one_off == "False"}

    def _rows(self, label: str) -> list[list[str]]:
        """Return compose service, a label's value and state of each container of the tier."""
        form = f'{{{{.Label "com.docker.compose.service"}}}} {{{{.Label "{label}"}}}} {{{{.State}}}}'
        chosen = ["--filter", f"label=com.docker.compose.project={self.tier}"]
        listed = self.programs.run(["docker", "ps", "-a", *chosen, "--format", form], 30)
        return [line.split() for line in listed.splitlines()]

    def proxy(self) -> Proxy:
        """Return the tier's HAProxy."""
        return Proxy(f"{self.tier}-{PROXY}-1", self.programs)

    def memory_mib(self, service: str) -> int:
        """Return what the processes of a service's container hold in memory, in MiB; 0 if it does not run."""
        with contextlib.suppress(ReleaseError):
            listed = self.programs.run(["docker", "top", f"{self.tier}-{service}-1", "-o", "pid,rss"], 30)
            return sum(int(row.split()[1]) for row in listed.splitlines()[1:]) // 1024
        return 0

    def unhealthy(self, release: Release) -> list[Container]:
        """List those that do not serve."""
        return [container for container in self.states(release) if not container.serves]

    def state(self, service: str) -> str:
        """Return the state of a service's container, in Docker's words; `missing` when there is none."""
        with contextlib.suppress(ReleaseError):
            inspect = ["docker", "inspect", "--format", "{{.State.Status}}", f"{self.tier}-{service}-1"]
            return self.programs.run(inspect, 30).strip()
        return "missing"

    # ---- steps -----------------------------------------------------------------------------------------

    def pull(self, release: Release) -> None:
        """Fetch every image of the release that is not here yet."""
        for image in sorted({service["image"] for service in self.services(release).values()}):
            try:
                self.programs.run(["docker", "image", "inspect", "--format", "{{.Id}}", image], 30)
            except ReleaseError:
                say(f"{self.tier}: pulls {image}")
                self.programs.run(["docker", "pull", "--quiet", image], PULL_DEADLINE)

    def try_out(self, release: Release) -> None:
        """Let each service check its new configuration, before anything that runs is touched.

        Raises ReleaseError with the message of the first service that refuses it.
        """
        variables = self.files.variables(release)
        for name in sorted(set(self.services(release)) & set(TRIALS)):
            words, decisive = TRIALS[name]
            current = variables.get(f"{variable(name)}_CURRENT", "")
            program, *arguments = [word.replace("{current}", current) for word in words]
            try:
                self.run_once(release, "trial", ["--entrypoint", program, name, *arguments], TRIAL_DEADLINE)
            except ReleaseError as error:
                found = re.search(decisive, str(error))
                said = " ".join((found.group() if found else str(error).splitlines()[-1]).split())
                said = said.replace(f"/{current}/", "/") if current else said  # as the files are in the repository
                raise ReleaseError(
                    f"{self.tier}: {name}: refuses its new configuration\n  {said}",
                    f"correct compose/{self.tier}/{name}/ and run the same command again",
                ) from None

    def run_once(self, release: Release, purpose: str, arguments: Sequence[str], deadline: float) -> None:
        """Run a service's container to its end, `deadline` seconds at most.

        The container of a killed run is removed first: two at once would race, and what it began is rolled back.
        """
        container, override = f"{self.tier}-{purpose}", self._without_address(release, arguments)
        with contextlib.suppress(ReleaseError):  # there is none: the usual case
            self.programs.run(["docker", "rm", "-f", container], 60)
        run = ["--profile", "migrate", "run", "--rm", "-T", "--no-deps", "--name", container]
        self.compose(release, *run, *arguments, deadline=deadline, override=override)

    def _without_address(self, release: Release, arguments: Sequence[str]) -> str:
        """Return what takes a service's fixed address away, which its running container has; empty if it has none."""
        for name, service in self.services(release).items():
            for network, each in (service.get("networks") or {}).items():
                if name in arguments and (each or {}).get("ipv4_address"):
                    return f"services: {{{name}: {{networks: !override {{{network}: null}}}}}}\n"
        return ""

    def up(self, release: Release, *services: str) -> None:
        """Start these services, or all that the release runs, and wait until they are healthy."""
        wait = ["up", "-d", "--wait", "--wait-timeout", str(HEALTH_DEADLINE)]
        failed: ReleaseError | None = None
        try:
            self.compose(release, *wait, *(services or self.lasting(release)), deadline=HEALTH_DEADLINE + 60)
        except ReleaseError as error:
            if "is unhealthy" not in str(error):
                raise
            failed = error
        # A result from before may still stand, such as HAProxy's while construction comes back: the next check decides.
        deadline = time.monotonic() + RECOVERY_WAIT
        while (bad := self.unhealthy(release)) and time.monotonic() < deadline:
            if failed is None and (services or any(container.state not in MAY_RECOVER for container in bad)):
                break  # it has ended
            time.sleep(1)
        if bad and failed:
            raise failed
        if bad and not services:
            names = ", ".join(f"{container.name} is {container.condition}" for container in bad)
            raise ReleaseError(f"{self.tier}: health: {names}", LINES_ABOVE)

    def reload(self, release: Release) -> None:
        """Let each running service with `x-live` read what is current, if it has not. Raises ReleaseError."""
        for service, live in self.files.description(self.files.bundle(release)).live.items():
            container = self.compose(release, "ps", "-q", service).strip()
            if not container:
                continue
            first, started = self.programs.run(["docker", "inspect", "--format", FIRST_PROCESS, container], 30).split()
            if not self.files.live.has_read(service, container, seconds_of(started)):
                say(f"{self.tier}: {service} reads its new configuration")
                self._before[container] = first, self._workers(container, first)
                self._signal(release, service, live.signal, (container, first))
            self.files.live.record(service, container)

    def remove_orphans(self, release: Release) -> None:
        """Remove containers of services that the release has not, when nobody asks them any more.

        Servers that read their configuration again end the requests that they had before it, by the old one.
        """
        known = self.services(release).keys()
        if not {name for name, *_ in self._rows("com.docker.compose.oneoff")} - known:
            return
        deadline = time.monotonic() + ENDING_WAIT
        for container, (first, before) in self._before.items():
            while self._workers(container, first) & before and time.monotonic() < deadline:
                time.sleep(POLL_S)
        self.compose(release, "up", "-d", "--no-recreate", "--remove-orphans", *self.lasting(release), deadline=120)

    def _signal(self, release: Release, service: str, signal: str, running: tuple[str, str]) -> None:
        """Send the signal and wait for a process that was not there before: it serves by the new configuration."""
        _, before = self._before[running[0]]
        self.programs.run(["docker", "kill", "--signal", signal, running[0]], 30)
        deadline = time.monotonic() + RELOAD_WAIT
        while not self._workers(*running) - before:
            if time.monotonic() > deadline:
                said = self.compose(release, "logs", "--no-color", "--no-log-prefix", "--tail", "5", service)
                raise ReleaseError(
                    f"{self.tier}: {service}: has not read its new configuration after {RELOAD_WAIT:g} s\n"
                    f"  {' '.join(said.split())}",
                    LINES_ABOVE,
                )
            time.sleep(POLL_S)

    def _workers(self, container: str, first: str) -> set[str]:
        """Return the numbers of the processes that the container's first process started."""
        listed = self.programs.run(["docker", "top", container, "-o", "pid,ppid"], 30)
        return {row[0] for row in map(str.split, listed.splitlines()) if row[1:] == [first]}

    def prove(self, release: Release, *services: str) -> None:
        """Ask these services, or all, for what their visitors need. Raises ReleaseError with what one does not serve.

        Services that can be asked have a folder of their name, without a colour, in the bundle, with a health.py.
        """
        folders = {path.parent.name for path in self.files.bundle(release).glob("*/health.py")}
        for name in (name for name in services or self.lasting(release) if service_of(name) in folders):
            try:
                self.compose(release, "exec", "-T", name, "sh", "-c", PROOF, deadline=PROOF_DEADLINE)
            except ReleaseError as error:
                said = str(error).splitlines()[-1].strip()
                raise ReleaseError(f"{self.tier}: {service_of(name)}: healthy, but: {said}", LINES_ABOVE) from None

    def explain(self, release: Release) -> None:
        """Print state, last health check and last log lines of what does not serve."""
        with contextlib.suppress(ReleaseError):
            for container in (c for c in self.unhealthy(release) if c.state != "missing"):
                say(f"{self.tier}: {service_of(container.name)}: {container.condition}")
                name, tail = container.name, ["--no-color", "--no-log-prefix", "--tail", str(LOG_LINES)]
                identity = self.compose(release, "ps", "-a", "-q", name).strip()
                inspect = ["docker", "inspect", "--format", HEALTH_OUTPUT, identity]
                checks = self.programs.run(inspect, 30) if identity else ""
                logs = self.compose(release, "logs", *tail, name)
                lines = [f"  health: {line}" for line in checks.strip().splitlines()[-1:]]
                lines += [f"  log: {line}" for line in logs.splitlines()[-LOG_LINES:]]
                print(self.programs.clean("\n".join(lines)), file=sys.stderr, flush=True)

    def remove_images(self, images: Iterable[str]) -> None:
        """Remove the images, except those that cannot be removed: used by hand, never pulled here, or gone already."""
        for image in images:
            with contextlib.suppress(ReleaseError):
                self.programs.run(["docker", "image", "rm", image], 60)
