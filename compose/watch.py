"""The watch over a release that has just begun to serve: whether it stays, or goes back.

What is watched: the containers that the release started, each application's answer through its own HAProxy, and the
errors that HAProxy counts. When: release.py. For how long: `release_watch_seconds` of the stack's settings.
Shipped in every bundle and run as root by Debian's own Python: standard library only.
"""

from __future__ import annotations

import math
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from colours import PROXY, Pair, service_of
from containers import Containers
from programs import LINES_ABOVE, ReleaseError, say
from tier_files import Release, seconds_of, variable

PERIOD_S = 2  # between two looks
PROBE_TIMEOUT_S = 5
FAILS, FAILS_S = 3, 5  # probes in a row, over seconds: a handler that blocks for 2 s fails none
ERRORS, ERRORS_SHARE = 3, 0.01  # answers with 5xx, and of all its answers: the least that sends a release back
CHANCE = 1e-5  # that errors as many as these are no more than before: a watch looks 30 times, and goes back for nothing
SILENCE_S = 5  # without figures from HAProxy
STATE = (
    "{{.Name}} {{.State.StartedAt}} {{.RestartCount}} {{.State.OOMKilled}} {{.State.Status}} "
    "{{if .State.Health}}{{.State.Health.Status}}{{else}}-{{end}}"
)
OUTPUT = 200  # characters of a failed probe's output
ADDRESS = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
PROBE = 'set -a; . "$0"; HEALTH_ORIGIN="http://$1" exec python3 -B "$2"'


class GoBackError(ReleaseError):
    """A reason to bring the release before back."""


@dataclass(frozen=True)
class State:
    """What Docker says of one container."""

    started: float
    restarts: int
    out_of_memory: bool
    status: str
    health: str

    def wrong(self, before: State) -> str:
        """Return what has happened to it since; empty if nothing has."""
        if self.out_of_memory:
            return "was killed for memory"
        if self.restarts > before.restarts or self.status != "running" or self.started > before.started:
            return f"ended and is {self.status}"
        return "is unhealthy" if self.health == "unhealthy" else ""


@dataclass(frozen=True)
class Figures:
    """Answers of one colour since HAProxy read its configuration: with 5xx, and in all."""

    errors: int = 0
    answers: int = 0

    def since(self, before: Figures) -> Figures:
        """Return the difference; all of it if HAProxy began to count anew."""
        if self.answers < before.answers:
            return self
        return Figures(self.errors - before.errors, self.answers - before.answers)

    def too_many(self, old: Figures) -> bool:
        """Return whether there are more errors than the version before would have had, by more than chance.

        Fisher's exact test in Poisson's form: if both fail as often, each error is the new one's with the probability
        of its share of all answers. Pages that always fail come in uneven numbers, and a version that has answered
        little is not known to make no errors.
        """
        if self.errors < ERRORS or self.errors < ERRORS_SHARE * self.answers or not old.answers:
            return False
        share, total = self.answers / (self.answers + old.answers), self.errors + old.errors
        return sum(_binomial(total, errors, share) for errors in range(self.errors, total + 1)) < CHANCE


def _binomial(tries: int, hits: int, share: float) -> float:
    """Return the probability of so many hits."""
    ways = math.lgamma(tries + 1) - math.lgamma(hits + 1) - math.lgamma(tries - hits + 1)
    return math.exp(ways + hits * math.log(share) + (tries - hits) * math.log(1 - share))


@dataclass
class Failing:
    """Probes of one service that failed: in a row, since when, and in all."""

    times: int = 0
    since: float = 0.0
    total: int = 0


@dataclass
class Watch:
    """One release; made before it starts anything."""

    containers: Containers
    release: Release
    began: float = field(default_factory=time.time)
    old: Mapping[str, Figures] = field(default_factory=dict)
    """What the version before has answered, by service."""

    def look_before(self) -> None:
        """Keep the figures of the colours that serve now."""
        serving = self.containers.choices.read()
        known = [pair for pair in self.containers.pairs(self.release) if pair.service in serving]
        if known and PROXY in self.containers.running():
            self.old = {pair.service: self._figures(pair, serving[pair.service]) for pair in known}

    def run(self, seconds: float) -> None:
        """Look until the time is over. Raises GoBackError with the first reason."""
        if not seconds:
            return
        before = {name: state for name, state in self._states().items() if state.started >= self.began}
        if not before:
            return
        say(f"{self.containers.tier}: watches {', '.join(sorted(before))} for {seconds:g} s")
        pairs = [pair for pair in self.containers.pairs(self.release) if pair.container in before]
        start = {pair.service: self._figures(pair, pair.colour) for pair in pairs}
        failing = {pair.service: Failing() for pair in pairs}
        looked = heard = time.monotonic()
        until, probes = looked + seconds, 0
        while looked < until:
            self._judge_states(before)
            for pair in pairs:
                self._judge_probe(pair, failing[pair.service])
            probes += 1
            try:
                found = {pair.service: self._figures(pair, pair.colour).since(start[pair.service]) for pair in pairs}
                heard = time.monotonic()
            except ReleaseError as error:
                self._judge_silence(heard, error)
            else:
                for name, figures in found.items():
                    self._judge_answers(name, figures, probes, failing[name].total)
            time.sleep(max(0.0, min(looked + PERIOD_S, until) - time.monotonic()))
            looked = time.monotonic()

    def _judge_states(self, before: Mapping[str, State]) -> None:
        """Raise GoBackError for a container that ended, or is unhealthy."""
        for name, state in self._states().items():
            if name in before and (wrong := state.wrong(before[name])):
                raise GoBackError(f"{self.containers.tier}: {service_of(name)}: {wrong}", LINES_ABOVE)

    def _judge_silence(self, heard: float, error: ReleaseError) -> None:
        """Raise GoBackError when HAProxy has not given figures for a while."""
        if time.monotonic() - heard > SILENCE_S:
            where, said = f"{self.containers.tier}: {PROXY}", str(error).splitlines()[0]
            raise GoBackError(f"{where}: gives no figures for {SILENCE_S} s: {said}", LINES_ABOVE) from None

    def _states(self) -> dict[str, State]:
        """Return what Docker says of the release's containers, by compose service."""
        head = f"/{self.containers.tier}-"
        names = [f"{head[1:]}{name}-1" for name in self.containers.lasting(self.release)]
        listed = self.containers.programs.run(["docker", "inspect", "--format", STATE, *names], 30)
        found = {}
        for name, started, restarts, out_of_memory, status, health in map(str.split, listed.splitlines()):
            state = State(seconds_of(started), int(restarts), out_of_memory == "true", status, health)
            found[name.removeprefix(head).removesuffix("-1")] = state
        return found

    def _figures(self, pair: Pair, colour: str) -> Figures:
        """Ask HAProxy what a colour has answered."""
        errors = answers = 0
        for row in self.containers.proxy().servers(pair.service):
            if row["svname"] == colour:
                errors += int(row["hrsp_5xx"] or 0)
                answers += sum(int(row[f"hrsp_{kind}"] or 0) for kind in ("1xx", "2xx", "3xx", "4xx", "5xx", "other"))
        return Figures(errors, answers)

    def _judge_answers(self, service: str, figures: Figures, probes: int, failed: int) -> None:
        """Raise GoBackError for too many errors. Probes are judged apart: they are neither answers nor errors here."""
        errors = max(figures.errors - failed, 0)
        net, old = Figures(errors, max(figures.answers - probes, errors)), self.old.get(service, Figures())
        if net.too_many(old):
            said = f"{net.errors} of {net.answers} answers were errors (5xx)"
            before = f"the version before had {old.errors} of {old.answers}"
            raise GoBackError(f"{self.containers.tier}: {service}: {said}; {before}", LINES_ABOVE)

    def _judge_probe(self, pair: Pair, failing: Failing) -> None:
        """Ask for what needs the database, through HAProxy; raise GoBackError when that fails again and again."""
        said = self._probe(pair)
        if not said:
            failing.times = 0
            return
        now = time.monotonic()
        failing.since = failing.since if failing.times else now
        failing.times += 1
        failing.total += 1
        if failing.times >= FAILS and now - failing.since >= FAILS_S:
            where = f"{self.containers.tier}: {pair.service}"
            raise GoBackError(f"{where}: {failing.times} probes in a row failed: {said}", LINES_ABOVE)

    def _probe(self, pair: Pair) -> str:
        """Run the service's own check from the droplet; return what it says if it fails."""
        files = self.containers.files
        check = files.bundle(self.release) / pair.service / "health.py"
        secrets = files.variables(self.release).get(f"SECRET_{variable(pair.service)}_ENV", "")
        port = pair.addresses[pair.colour].rpartition(":")[2]
        try:
            inspect = ["docker", "inspect", "--format", ADDRESS, self.containers.proxy().container]
            address = self.containers.programs.run(inspect, 30).split()[0]
            command = ["sh", "-c", PROBE, secrets, f"{address}:{port}", str(check)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            return f"no answer within {PROBE_TIMEOUT_S} s"
        except (ReleaseError, IndexError) as error:
            return str(error).splitlines()[0]
        said = " ".join((done.stdout or done.stderr).split())[-OUTPUT:]
        return "" if done.returncode == 0 else said or "no reason given"
