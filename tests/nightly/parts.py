"""The parts of the nightly run. A new one is an entry here and a function that takes a `Run`."""

from __future__ import annotations

from dataclasses import dataclass

JUDGED = ("cloud-init/", "components/", "compose/")
"""What a part judges if it names nothing else: what droplets are made of and what runs on them."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One long test on a stack of its own."""

    name: str
    proves: str
    minutes: int
    """About how long it takes on two cores."""
    function: str
    """`module:function`. Imported only to run it: `--outdated` has to answer within a second."""
    judges: tuple[str, ...] = JUDGED
    """Paths of the repository; a result stands while their content is what it was."""


PARTS = {
    part.name: part
    for part in (
        Part(
            name="full-scans",
            proves="every TCP port of every droplet, tried slowly from each vantage point, is as the inventory says",
            minutes=12,
            function="tests.nightly.scans:full_scans",
            judges=(*JUDGED, "inventory.yaml"),
        ),
        Part(
            name="kills-of-up",
            proves="`basec up` from nothing, killed 20 times at random moments, is healed by the same command",
            minutes=15,
            function="tests.nightly.kills_of_up:kills_of_up",
        ),
        Part(
            name="kills-of-services",
            proves="no acknowledged write is lost or done twice when the process of any service is killed",
            minutes=10,
            function="tests.nightly.kills_of_services:kills_of_services",
        ),
        Part(
            name="reboots",
            proves="each droplet comes back by itself after 5 reboots and power cuts, and its doors stay as they were",
            minutes=15,
            function="tests.nightly.reboots:reboots",
        ),
        Part(
            name="watchdog",
            proves="a container that stops serving is restarted within the waits that are shipped",
            minutes=5,
            function="tests.nightly.watchdog:watchdog",
        ),
    )
}
