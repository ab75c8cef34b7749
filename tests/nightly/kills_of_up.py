"""`basec up` from nothing, killed in the middle again and again, and healed by the same command."""

from __future__ import annotations

import json
import random
import re
import secrets
import subprocess
import time
from collections import Counter

from tests.e2e.kills import kill
from tests.e2e.leftovers import left_behind
from tests.e2e.stack import STACK, TIERS, LocalStack, docker
from tests.nightly.runner import Run

KILLS = 20
KILLS_A_ROUND = 5
"""One bring-up from nothing is killed so often before it may end: 20 bring-ups would take three quarters of an hour."""
ROUNDS_MAX = 3 * KILLS // KILLS_A_ROUND
AGAIN_S = 10.0
"""What a second `up` takes until it gets to what the first had not done: checks, loading, preview."""
STEP = re.compile(r"^  (\w+) +(?:created|updated|replaced|read) ", re.MULTILINE)
"""A line of `up` for a resource that is made; it begins with the stage."""


def kills_of_up(run: Run) -> None:
    """Kill 20 times; a step is one bring-up with its kills."""
    figures, stack = run.notes.figures, run.stack
    if not figures:
        run.notes.keep(seed=secrets.randbelow(2**32), bring_up_s=bring_up_seconds(run), kills=0, rounds=0, after={})
    while figures["kills"] < KILLS:
        number = figures["rounds"]
        assert number < ROUNDS_MAX, f"{ROUNDS_MAX} bring-ups took only {figures['kills']} kills: they end too early"
        moments = moments_of(figures["seed"], number, min(KILLS_A_ROUND, KILLS - figures["kills"]))
        stack.init()
        after = killed(run, [moment * figures["bring_up_s"] for moment in moments])
        stack.up()
        healed(stack)
        stack.basec("down", "--env", STACK)
        left = left_behind(stack)
        assert not left, f"`down` left {', '.join(left)}"
        run.say(f"round {number}: healed, and gone without a trace")
        figures["rounds"] += 1
        run.notes.keep(kills=figures["kills"] + after.total(), after=dict(Counter(figures["after"]) + after))


def bring_up_seconds(run: Run) -> float:
    """Measure one bring-up that nobody kills: the moments are spread over as many seconds."""
    run.stack.init()
    started = time.monotonic()
    run.stack.up()
    seconds = time.monotonic() - started
    run.stack.basec("down", "--env", STACK)
    run.say(f"a bring-up takes {seconds:.0f} s here")
    return round(seconds, 1)


def moments_of(seed: int, number: int, count: int) -> list[float]:
    """Return ascending moments of one round, as parts of a bring-up: a random one in each of `count` equal slices."""
    dice = random.Random(f"{seed}-{number}")  # noqa: S311 - a test's dice, to be thrown again
    return [(slice_ + dice.random()) / count for slice_ in range(count)]


def killed(run: Run, moments: list[float]) -> Counter[str]:
    """Start `up` and kill it at each moment; count the kills by the stage that was the last to make something."""
    after: Counter[str] = Counter()
    reached = 0.0
    for number, moment in enumerate(moments):
        process = run.stack.start("up", "--env", STACK)
        try:
            output, _ = process.communicate(timeout=moment - reached + (AGAIN_S if number else 0))
        except subprocess.TimeoutExpired:
            kill(process)
            output, _ = process.communicate()
            stages = STEP.findall(output)
            after[stages[-1] if stages else "nothing"] += 1
            run.say(f"killed {moment:.0f} s into the bring-up, after {stages[-1] if stages else 'nothing'}")
        else:
            assert process.returncode == 0, f"`up` after {number} kills ended with {process.returncode}:\n{output}"
            run.say("it ended before the moment of its kill came")
            break
        reached = moment
    return after


def healed(stack: LocalStack) -> None:
    """Assert that a stack is whole: three droplets, nothing pending in the state, green."""
    label = f"label=basecommerce.cloud={STACK}"
    form = ("--format", "{{.Names}}", "--filter", label, "--filter", "label=basecommerce.kind=droplet")
    names = sorted(docker("ps", "--all", *form).split())
    assert names == sorted(stack.container(droplet) for droplet in TIERS), f"droplets: {names}"
    state = stack.root / ".local" / STACK / "state/.pulumi/stacks/basecommerce" / f"{STACK}.json"
    pending = json.loads(state.read_text())["checkpoint"]["latest"].get("pending_operations")
    assert not pending, f"{len(pending)} operations are pending"
    stack.basec("smoke", "--env", STACK)
