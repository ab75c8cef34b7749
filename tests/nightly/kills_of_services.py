"""kill -9 of each service's process, in turn, while customers are created."""

from __future__ import annotations

import time

from tests.e2e.stack import TIERS, LocalStack
from tests.nightly.load import Load
from tests.nightly.runner import Run
from tests.nightly.stack import bring_up

ROUNDS = 3
HEALTHY_S = 60.0
"""Until all services are healthy again; promised in docs/host-upkeep.md."""
STEADY_S = 3.0
"""Of load before each kill, and after the service is back."""
FORM = "{{.Name}} {{.State.StartedAt}} {{.State.Health.Status}}"
# The process in the container and not the container, which Docker would take for a stop by hand. Below the `init` of
# those that have one.
KILL = """
pid=$(docker inspect --format '{{{{.State.Pid}}}}' {container})
[ "$(cat /proc/$pid/comm)" != docker-init ] || pid=$(pgrep --parent "$pid" | head -n 1)
kill -KILL "$pid"
"""


def kills_of_services(run: Run) -> None:
    """Kill each service's process three times; a step is one kill."""
    figures, stack = run.notes.figures, run.stack
    bring_up(stack)
    run.say("up")
    services = [service for droplet in TIERS for service in sorted(services_of(stack, droplet))]
    turns = [(droplet, container) for _ in range(ROUNDS) for droplet, container in services]
    for droplet, container in turns[figures.get("kills", 0) :]:
        with Load(stack, stack.token()) as load:
            time.sleep(STEADY_S)
            seconds = killed(stack, droplet, container)
            time.sleep(STEADY_S)
        load.verify()
        gap = load.longest_gap()
        run.say(f"{container}: healthy after {seconds:.1f} s; {dict(load.answers)}, at most {gap:.1f} s without a 201")
        worst = figures.get("healthy_after_s_at_most", {})
        gaps = figures.get("without_a_write_s_at_most", {})
        run.notes.keep(
            kills=figures.get("kills", 0) + 1,
            writes_acknowledged=figures.get("writes_acknowledged", 0) + len(load.acknowledged),
            writes_refused=figures.get("writes_refused", 0) + load.answers.total() - len(load.acknowledged),
            lost=0,
            twice=0,
            healthy_after_s_at_most={**worst, container: max(worst.get(container, 0.0), round(seconds, 1))},
            without_a_write_s_at_most={**gaps, container: max(gaps.get(container, 0.0), round(gap, 1))},
        )
    stack.smoke_until_green()


def services_of(stack: LocalStack, droplet: str) -> set[tuple[str, str]]:
    """List a droplet's running containers, each with the droplet."""
    return {(droplet, name) for name in stack.inside(droplet, "docker ps --format '{{.Names}}'").split()}


def killed(stack: LocalStack, droplet: str, container: str) -> float:
    """Kill a service's process; give the seconds until it runs anew and every service of the stack is healthy."""
    before = looked_at(stack, droplet)[container][0]
    stack.inside(droplet, KILL.format(container=container))
    started = time.monotonic()
    while True:
        seen = {each: looked_at(stack, each) for each in TIERS}
        sick = [name for found in seen.values() for name, (_, health) in found.items() if health != "healthy"]
        seconds = time.monotonic() - started
        if not sick and seen[droplet][container][0] != before:
            return seconds
        assert seconds < HEALTHY_S, f"{container} was killed; {HEALTHY_S:.0f} s later not healthy: {sick}"
        time.sleep(0.2)


def looked_at(stack: LocalStack, droplet: str) -> dict[str, tuple[str, str]]:
    """Return by container when it was started, and its health."""
    lines = stack.inside(droplet, f"docker ps --all --quiet | xargs docker inspect --format '{FORM}'").splitlines()
    words = (line.split() for line in lines)
    return {name.removeprefix("/"): (started, health) for name, started, health in words}
