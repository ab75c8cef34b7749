"""A visitor's connection by https, on loopback."""

from __future__ import annotations

import http.client
import socket
import ssl
from pathlib import Path

from typing_extensions import override

TIMEOUT_S = 15


class Visitor(http.client.HTTPSConnection):
    """Speaks TLS for a host name with whoever listens on a port of 127.0.0.1, trusting one authority."""

    def __init__(self, host: str, port: int, ca_file: Path, timeout_s: float = TIMEOUT_S) -> None:
        self._local_port, self._trust = port, ssl.create_default_context(cafile=str(ca_file))
        super().__init__(host, timeout=timeout_s, context=self._trust)

    @override
    def connect(self) -> None:
        plain = socket.create_connection(("127.0.0.1", self._local_port), timeout=self.timeout)
        self.sock = self._trust.wrap_socket(plain, server_hostname=self.host)
