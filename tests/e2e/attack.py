"""Ask the edge for the worst that it allows, as twelve visitors at once; run in the network of the Cloudflare stand-in.

Reads its order from standard input as JSON: `address` and `port` of the edge, `client` and `authority` (files of the
certificate to show and of the one to trust), `seconds`, and the `token` of a user, as whom one of the twelve asks.
Writes how often each status came, by location, as JSON. 0 is no answer; who hangs up is not counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import ssl
import sys
import time
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

HOST = "demo.localhost"
ADDRESSES = tuple(f"203.0.113.{number}" for number in range(1, 11))
PREFIXES = ("2001:db8:1:1", "2001:db8:1:2")
WORKERS, LOGIN_WORKERS = 12, 2
"""Of each visitor: those that do not log in are as many as the edge gives one requests at once."""
PAUSE_S = 0.2
"""Between two requests of a worker; 600 a second in all, whatever their answer."""
HELD_S = 3.0
"""How long the last byte of a body is kept back."""
ANSWER_S = 60.0
SMALL, LARGE = 8 * 1024, 64 * 1024
"""The largest bodies: anywhere, and below /api/ and /web/."""
JSON, FORM = "application/json", "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Attack:
    """One kind of request."""

    location: str
    method: str
    path: str
    body: bytes = b""
    kind: str = ""


def nested(size: int, start: str = '{"x":[', end: str = "1]}") -> bytes:
    """Fill an object that lacks every field with deep lists: the most memory and time that a byte can cost."""
    lists = "[" * 100 + "]" * 100 + ","
    return (start + lists * ((size - len(start) - len(end)) // len(lists)) + end).encode()


def flat(size: int) -> bytes:
    return b"[" + b"[]," * ((size - 3) // 3) + b"1]"


WRONG = urllib.parse.urlencode({"email": "admin@demo.example.com", "password": "wrong"}).encode()
LOGINS = (
    Attack("/auth/", "POST", "/auth/login", nested(SMALL), JSON),
    Attack("/auth/", "POST", "/auth/login/form", WRONG, FORM),
)
"""Asked for by workers of their own, since the edge lets them wait."""
OTHERS = (
    Attack("/auth/", "POST", "/auth/users", flat(SMALL), JSON),
    Attack("/auth/", "POST", "/auth/validate/", nested(SMALL), JSON),
    Attack("/tenant.json", "GET", "/tenant.json"),
    Attack("/tenant.json", "POST", "/tenant.json", flat(SMALL), JSON),
    Attack("/api/", "POST", "/api/v1/clientes/", nested(LARGE), JSON),
    Attack("/api/", "POST", "/api/v1/cotacoes/", flat(LARGE), JSON),
    Attack("/api/", "PUT", "/api/v1/pedidos/1", nested(SMALL), JSON),
    Attack("/web/", "POST", "/web/dashboard", b"a=b&" * (LARGE // 4), FORM),
    Attack("/web/", "GET", "/web/dashboard"),
    Attack("/web/static/", "GET", "/web/static/app.css"),
    Attack("/", "POST", "/upload", flat(SMALL), JSON),
)


def visitors() -> tuple[Iterator[str], ...]:
    """Return each visitor's addresses: one of IPv4 over and over, or any of a /64."""
    ipv4 = (itertools.repeat(address) for address in ADDRESSES)
    ipv6 = ((f"{prefix}:{random.getrandbits(16):x}::{random.getrandbits(16) | 1:x}" for _ in itertools.count())
            for prefix in PREFIXES)  # fmt: skip
    return (*ipv4, *ipv6)


async def ask(order: dict[str, Any], trust: ssl.SSLContext, address: str, attack: Attack, manner: str) -> int:
    """Send one request as Cloudflare would for a visitor, and give the answer's status."""
    token = f"Authorization: Bearer {order['token']}\r\n" if address == ADDRESSES[0] else ""
    content = f"Content-Type: {attack.kind}\r\nContent-Length: {len(attack.body)}\r\n" if attack.body else ""
    head = f"{attack.method} {attack.path} HTTP/1.1\r\nHost: {HOST}\r\nCF-Connecting-IP: {address}\r\n"
    whole = f"{head}X-Forwarded-Proto: https\r\nConnection: close\r\n{token}{content}\r\n".encode() + attack.body
    reader, writer = await asyncio.open_connection(
        order["address"], order["port"], ssl=trust, server_hostname="localhost"
    )
    try:
        if manner == "holds":
            writer.write(whole[:-1])
            await asyncio.sleep(HELD_S)
            whole = whole[-1:]
        writer.write(whole)
        await writer.drain()
        if manner == "hangs up":
            return 0
        line = await asyncio.wait_for(reader.readline(), ANSWER_S)
        while await reader.read(65536):
            pass
        return int(line.split()[1])
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def work(order: dict[str, Any], trust: ssl.SSLContext, addresses: Iterator[str], first: int, counts: Any) -> None:
    """Ask for one kind after the other; of seven, one keeps its last byte back and one hangs up."""
    attacks = LOGINS if first < LOGIN_WORKERS else OTHERS
    until = time.monotonic() + order["seconds"]
    for number in itertools.count(first):
        attack, manner = attacks[number % len(attacks)], {0: "holds", 1: "hangs up"}.get(number % 7, "waits")
        if time.monotonic() > until:
            return
        status = 0
        with contextlib.suppress(OSError, IndexError, TimeoutError, asyncio.IncompleteReadError):
            status = await ask(order, trust, next(addresses), attack, manner)
        if manner != "hangs up":
            counts[attack.location][str(status)] += 1
        await asyncio.sleep(PAUSE_S)


async def attacked(order: dict[str, Any]) -> dict[str, Counter[str]]:
    trust = ssl.create_default_context(cafile=order["authority"])
    trust.load_cert_chain(order["client"])
    counts: dict[str, Counter[str]] = {attack.location: Counter() for attack in OTHERS}
    async with asyncio.TaskGroup() as group:
        for addresses in visitors():
            for worker in range(WORKERS):
                group.create_task(work(order, trust, addresses, worker, counts))
    return counts


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(attacked(json.load(sys.stdin)))))
