"""Every TCP port from everywhere, at a pace at which no packet is lost."""

from __future__ import annotations

from tests.e2e import scan
from tests.e2e.exposure import Exposure
from tests.e2e.stack import TIERS, docker
from tests.e2e.vantage import addresses
from tests.nightly.runner import Run
from tests.nightly.stack import bring_up, exposed

SLOW: scan.Pace = ("--min-rate", "10000", "--max-rate", "10000", "--max-retries", "1")
"""Packets a second: `make test` sends ten times as many. 6.6 s for an address, twice that if packets are dropped."""
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
            found, hosts = scanned(exposure, vantage)
        wanted = exposure.wanted(vantage)
        assert found == wanted, f"{vantage}: open but not wanted {found - wanted}, wanted but not open {wanted - found}"
        done[vantage] = len(found)
        run.say(f"{vantage}: {len(found)} doors in {hosts} addresses")
        tried = run.notes.figures.get("ports_tried", 0) + hosts * ALL_PORTS
        run.notes.keep(open=done, ports_tried=tried, pace=" ".join(SLOW))


def scanned(exposure: Exposure, vantage: str) -> tuple[set[tuple[str, int]], int]:
    """Give the open doors that a vantage point finds, and the number of addresses that were tried."""
    container, targets = exposure.containers[vantage], [*exposure.targets(vantage)]
    if vantage in TIERS:
        own = addresses(exposure.stack, vantage)["vpc"]
        targets += exposure.detours(vantage)
    else:
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        own = docker("inspect", "--format", form, container).strip()
    with scan.canary(container):
        found = scan.every_port(container, [*targets, own], SLOW)
    assert (own, scan.CANARY_PORT) in found, f"{vantage}: the scan did not find its own canary"
    return {pair for pair in found if pair[0] != own}, len(targets)
