"""A small HTTP client for checks: it connects where it is told and sends the Host header of a tenant.

Browsers and curl resolve `*.localhost` by themselves, other programs may not; so a local stack is always reached at
127.0.0.1.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from basec.facts import Facts

TIMEOUT_S = 15


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer as it came: redirects are not followed, and repeated headers are all there."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Give every value of a header, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str:
        return (self.all(name) or [""])[0]

    def json(self) -> Any:
        """Parse the body, or answer None for what is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


def get(facts: Facts, host: str, path: str, headers: Mapping[str, str] | None = None) -> Answer:
    """GET a path of a public host name. Raises OSError or http.client.HTTPException."""
    if facts.http_port is None:
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, timeout=TIMEOUT_S, context=ssl.create_default_context()
        )
        name = host
    else:
        connection = http.client.HTTPConnection("127.0.0.1", facts.http_port, timeout=TIMEOUT_S)
        name = host if facts.http_port == 80 else f"{host}:{facts.http_port}"
    try:
        connection.request("GET", path, headers={"Host": name, "User-Agent": "basec-smoke", **(headers or {})})
        response = connection.getresponse()
        return Answer(status=response.status, headers=tuple(response.getheaders()), body=response.read())
    finally:
        connection.close()
