"""The limits of the edge and of HAProxy, read from the files that are shipped, and what was measured, from the ADR."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

COMPOSE = Path(__file__).parents[2] / "compose"
ADR = COMPOSE.parent / "docs/adr/0012-limits-of-the-edge.md"
TIERS = {"auth": "edge", "construction": "vertical"}
KIB, MIB = 1024, 1024 * 1024
UNITS = {"k": KIB, "m": MIB}


def size(text: str) -> int:
    """Read a size of nginx or compose in bytes, such as `64k`."""
    return int(text[:-1]) * UNITS[text[-1]]


def nginx() -> str:
    return (COMPOSE / "edge/nginx/nginx.conf").read_text()


def service(tier: str, name: str) -> dict[str, Any]:
    """Return a service's definition; both colours of one have the same."""
    services = yaml.safe_load((COMPOSE / tier / "compose.yaml").read_text())["services"]
    found: dict[str, Any] = services.get(name) or services[f"{name}-blue"]
    return found


def tmpfs(tier: str, name: str) -> int:
    """Add up what a service's files in memory may hold, in bytes."""
    return sum(size(found[1]) for found in re.finditer(r"size=(\w+)", str(service(tier, name)["tmpfs"])))


@dataclass(frozen=True, kw_only=True)
class Location:
    """What one location admits."""

    application: str
    """Who is asked; empty where the edge answers itself."""
    body: int
    """Bytes."""
    rate: float
    """Requests a second of a visitor."""
    burst: int
    """Further requests at once."""
    bursts: dict[str, int]
    """By zone."""
    at_once: dict[str, int]
    """Requests, by zone of `limit_conn`."""


def rates() -> dict[str, float]:
    """Return requests a second by zone."""
    seconds = {"s": 1, "m": 60}
    found = re.findall(r"limit_req_zone \S+ zone=(\w+):\w+ rate=(\d+)r/([sm])", nginx())
    return {zone: int(rate) / seconds[unit] for zone, rate, unit in found}


def locations() -> dict[str, Location]:
    """Return every location of the table by its name; what it does not say is inherited, as nginx does."""
    table = (COMPOSE / "edge/nginx/locations.conf").read_text()
    found = {}
    for name, text in re.findall(r"^location (.+?) \{\n(.*?)^\}", table, re.MULTILINE | re.DOTALL):
        application = re.search(r"proxy_pass http://(\w+)", text)
        bursts = {zone: int(burst) for zone, burst in re.findall(r"limit_req zone=(\w+) burst=(\d+)", text)}
        first = next(iter(bursts), "")
        found[name] = Location(
            application=application[1] if application else "",
            body=size(said(text, "client_max_body_size") or said(nginx(), "client_max_body_size")),
            rate=rates().get(first, 0.0),
            burst=bursts.get(first, 0),
            bursts=bursts,
            at_once={zone: int(most) for zone, most in re.findall(r"limit_conn (\w+) (\d+);", text)},
        )
    return found


def said(text: str, directive: str) -> str:
    """Return the value of a directive, or nothing."""
    found = re.search(rf"^\s*{directive} ([^;]+);", text, re.MULTILINE)
    return found[1] if found else ""


def haproxy() -> str:
    return (COMPOSE / "vertical/haproxy/haproxy.cfg").read_text()


def lanes() -> dict[str, int]:
    """Return how many requests at once each of HAProxy's backends lets through to construction."""
    found = re.findall(r"^backend (\w+)\n(?:.*\n)*?    server .* maxconn (\d+)", haproxy(), re.MULTILINE)
    return {name: int(most) for name, most in found}


def measured(row: str) -> dict[str, float]:
    """Return a row of the ADR's first table by application. Raises AssertionError if it is not there."""
    found = re.search(rf"^\| {re.escape(row)} \| ([\d.]+) \| ([\d.]+) \|$", ADR.read_text(), re.MULTILINE)
    assert found, row
    return {name: float(figure) for name, figure in zip(TIERS, found.groups(), strict=True)}


IDLE_MIB = measured("memory without a request, MiB")
BLOW_UP = measured("memory for each byte of the worst body, bytes")
CPU_S = measured("CPU for a MiB of the worst body, s")
PASSWORD_S = measured("CPU for a password, s")["auth"]
