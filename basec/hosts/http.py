"""A small HTTP client of the shop: it connects to a given address, as a tenant's visitor would.

Browsers and curl resolve `*.localhost` on their own, other programs may not; so a local stack is always reached at
127.0.0.1. Certificates are verified everywhere, in a local stack by its own authority.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from basec.hosts.facts import Facts
from basec.local.cloud import StandIn
from topology.names import HTTP_PORT, HTTPS_PORT

TIMEOUT_S = 15


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer as it came: redirects are not followed, and repeated headers are all kept."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Return every value of a header, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str:
        return (self.all(name) or [""])[0]

    def json(self) -> Any:
        """Return the parsed body, None if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


class _Visitor(http.client.HTTPSConnection):
    """A TLS connection for a host name to a port of 127.0.0.1."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext) -> None:
        super().__init__(host, timeout=TIMEOUT_S, context=context)
        self._local_port, self._verifying = port, context

    @override
    def connect(self) -> None:
        """Connect, and check that the certificate is for the host. Raises OSError, of which ssl.SSLError is one."""
        plain = socket.create_connection(("127.0.0.1", self._local_port), timeout=TIMEOUT_S)
        self.sock = self._verifying.wrap_socket(plain, server_hostname=self.host)


def get(facts: Facts, host: str, path: str, headers: Mapping[str, str] | None = None) -> Answer:
    """GET a path of a public host name. Raises OSError or http.client.HTTPException."""
    return ask(facts, host, "GET", path, headers=headers)


def ask(
    facts: Facts,
    host: str,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
) -> Answer:
    """Ask a public host name. Raises OSError or http.client.HTTPException."""
    connection, name = _connection(facts.stand_in, host)
    try:
        connection.request(method, path, body, {"Host": name, "User-Agent": "basec-smoke", **(headers or {})})
        response = connection.getresponse()
        return Answer(status=response.status, headers=tuple(response.getheaders()), body=response.read())
    finally:
        connection.close()


def _connection(stand_in: StandIn | None, host: str) -> tuple[http.client.HTTPConnection, str]:
    """Build the connection of a request, and return it with the Host header that a browser would send."""
    if stand_in is None:
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, timeout=TIMEOUT_S, context=context), host
    if stand_in.https_port is None:
        plain = http.client.HTTPConnection("127.0.0.1", stand_in.http_port, timeout=TIMEOUT_S)
        return plain, host if stand_in.http_port == HTTP_PORT else f"{host}:{stand_in.http_port}"
    context = ssl.create_default_context(cafile=str(stand_in.ca_file))
    name = host if stand_in.https_port == HTTPS_PORT else f"{host}:{stand_in.https_port}"
    return _Visitor(host, stand_in.https_port, context), name
