"""Droplets that are rebooted and cut off from power, each several times."""

from __future__ import annotations

import time

from tests.e2e.exposure import exposed
from tests.e2e.stack import BACK_TIMEOUT_S, TIERS, LocalStack, docker
from tests.e2e.vantage import reserved_address
from tests.nightly.runner import Run
from tests.nightly.stack import bring_up

TIMES = 5


def reboots(run: Run) -> None:
    """Restart each droplet five times, every second time as a power cut; a step is one restart."""
    figures, stack = run.notes.figures, run.stack
    bring_up(stack)
    run.say("up")
    reserved = reserved_address(stack)
    turns = [(number, droplet) for number in range(TIMES) for droplet in TIERS]
    for number, droplet in turns[figures.get("restarts", 0) :]:
        cut = number % 2 == 0
        started = time.monotonic()
        restart(stack, droplet, cut=cut)
        stack.smoke_until_green()
        seconds = round(time.monotonic() - started, 1)
        # A tier's unit is active once all its services are healthy; smoke asks fewer of them.
        active = f"systemctl is-active ufw docker basecommerce-{droplet}"
        stack.inside(droplet, f"timeout {BACK_TIMEOUT_S} sh -c 'until {active}; do sleep 1; done'")
        stack.inside("infra", "findmnt --noheadings /mnt/data")
        assert reserved_address(stack) == reserved, f"{droplet}: the reserved address is another"
        with exposed(stack) as exposure:
            exposure.holds()
        run.say(f"{droplet}: {'power cut' if cut else 'reboot'}, green after {seconds} s, doors as before")
        worst = figures.get("green_after_s_at_most", {})
        run.notes.keep(
            restarts=figures.get("restarts", 0) + 1,
            power_cuts=figures.get("power_cuts", 0) + cut,
            green_after_s_at_most={**worst, droplet: max(worst.get(droplet, 0.0), seconds)},
        )


def restart(stack: LocalStack, droplet: str, *, cut: bool) -> None:
    """Restart a droplet in order, or as a power cut does."""
    container = stack.container(droplet)
    if cut:
        docker("kill", container)
        docker("start", container)
    else:
        docker("restart", "--time", "30", container)
