"""The waits of the watchdog match the operators' page: end-to-end tests run with shorter ones."""

from __future__ import annotations

import re
from pathlib import Path

import watchdog
import yaml

ROOT = Path(__file__).parents[2]


def test_the_watchdog_waits_as_long_as_the_page_says() -> None:
    (line,) = re.findall(r"^\| watchdog \|.*$", (ROOT / "docs/host-upkeep.md").read_text(), re.MULTILINE)
    said = [int(number) for number in re.findall(r"(\d+)(?: to (?=\d)| s)", line)]
    (period,) = re.findall(r"OnUnitActiveSec=(\d+)s", (ROOT / "components/scripts/upkeep.sh").read_text())
    services = yaml.safe_load((ROOT / "compose/vertical/compose.yaml").read_text())["services"]
    health = services["construction-blue"]["healthcheck"]
    interval, timeout = (int(health[key].removesuffix("s")) for key in ("interval", "timeout"))
    until = [health["retries"] * interval, health["retries"] * (interval + timeout)]
    assert said == [int(period), watchdog.UNHEALTHY_S, *until]
    assert "three times an hour" in line
    assert (watchdog.RESTARTS, watchdog.PERIOD_S) == (3, 3600)


def test_every_application_that_serves_is_looked_at_as_often() -> None:
    served = (*("construction-blue", "construction-green", "haproxy"), *("nginx", "haproxy", "auth-blue", "auth-green"))
    for tier, name in zip(["vertical"] * 3 + ["edge"] * 4, served, strict=True):
        health = yaml.safe_load((ROOT / f"compose/{tier}/compose.yaml").read_text())["services"][name]["healthcheck"]
        assert (health["interval"], health["timeout"], health["retries"]) == ("10s", "5s", 3), f"{tier}/{name}"
