"""Every TCP port from everywhere, at a pace at which no packet is lost."""

from __future__ import annotations

from tests.e2e import scan
from tests.e2e.exposure import Exposure, exposed
from tests.e2e.stack import TIERS, docker
from tests.e2e.vantage import addresses
from tests.nightly.runner import NightlyError, Run
from tests.nightly.stack import bring_up

ATTEMPTS = 3
"""Scans of one vantage point on a machine that is so busy that it loses packets all the same."""
ALL_PORTS = 65_535


def full_scans(run: Run) -> None:
    """Scan from each vantage point; a step is one of them."""
    done = dict(run.notes.figures.get("open", {}))
    bring_up(run.stack)
    run.say("up")
    for vantage in ("public", "cloudflare", "neighbour", *TIERS):
        if vantage in done:
            continue
        with exposed(run.stack) as exposure:
            wanted = exposure.wanted(vantage)
            found, hosts = scanned(exposure, vantage, wanted)
        assert found == wanted, f"{vantage}: open but not wanted {found - wanted}, wanted but not open {wanted - found}"
        done[vantage] = len(found)
        run.say(f"{vantage}: {len(found)} doors in {hosts} addresses")
        tried = run.notes.figures.get("ports_tried", 0) + hosts * ALL_PORTS
        run.notes.keep(open=done, ports_tried=tried, pace=" ".join(scan.SURE))


def scanned(exposure: Exposure, vantage: str, wanted: set[tuple[str, int]]) -> tuple[set[tuple[str, int]], int]:
    """Return the open doors that a vantage point finds, and the number of addresses that were tried.

    What one attempt finds is open, whatever the others lose. Raises NightlyError when none finds the canary.
    """
    container, targets = exposure.containers[vantage], [*exposure.targets(vantage)]
    if vantage in TIERS:
        own = addresses(exposure.stack, vantage)["vpc"]
        targets += exposure.detours(vantage)
    else:
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        own = docker("inspect", "--format", form, container).strip()
    found: set[tuple[str, int]] = set()
    with scan.canary(container):
        for _ in range(ATTEMPTS):
            found |= scan.every_port(container, [*targets, own], scan.SURE)
            if wanted | {(own, scan.CANARY_PORT)} <= found:
                break
    if (own, scan.CANARY_PORT) not in found:
        raise NightlyError(
            f"nightly: {vantage}: {ATTEMPTS} scans did not find their own canary: the machine is too busy\n"
            "hint: when it is quiet, make nightly PARTS=full-scans goes on from here"
        )
    return {pair for pair in found if pair[0] != own}, len(targets)
