"""Visitors who look at the shop, log in and write, while a release changes under them; what they wrote is counted."""

from __future__ import annotations

import json
import threading
import time
import urllib.parse
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.e2e.stack import LocalStack

PAUSE_S = 0.25
"""Between two requests of a visitor: together under the edge's limits for one address."""


@dataclass
class Shopping:
    """Three visitors at once, each over and over; `bad` holds whatever was not the right answer."""

    stack: LocalStack
    bad: list[str] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    written: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Shopping:
        self.cookie = self.stack.cookie()
        self._threads = [
            threading.Thread(target=self._go_on, args=(each,)) for each in (self.look, self.write, self.enter)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join()

    def _go_on(self, does: Callable[[], None]) -> None:
        while not self.over.wait(PAUSE_S):
            does()

    def ask(self, name: str, wanted: int, where: str, headers: dict[str, str], body: str | None = None) -> bool:
        """Ask, and note an answer that is not the wanted one; return whether it was."""
        began, (method, path) = time.strftime("%H:%M:%S"), where.split()
        self.asked[name] += 1
        try:
            status = str(self.stack.request(method, path, headers=headers, body=body).status)
        except OSError as error:
            status = repr(error)
        if status != str(wanted):
            self.bad.append(f"{began} {name}: {status}")
        return status == str(wanted)

    def look(self) -> None:
        self.ask("dashboard", 200, "GET /web/dashboard", {"Cookie": self.cookie})
        self.ask("tenant", 200, "GET /tenant.json", {})
        self.ask("login page", 200, "GET /auth/login", {})

    def write(self) -> None:
        """Write a customer with a number of its own."""
        mark = uuid.uuid4().hex[:14]
        body = json.dumps({"tipo": "PF", "nome": mark, "documento": mark})
        bearer = f"Bearer {self.cookie.removeprefix('access_token=')}"
        headers = {"Authorization": bearer, "Content-Type": "application/json"}
        if self.ask("write", 201, "POST /api/v1/clientes/", headers, body):
            self.written.append(mark)

    def enter(self) -> None:
        """Log in, every seven seconds: the edge lets one address check ten passwords a minute."""
        user, password = self.stack.login()
        form = urllib.parse.urlencode({"email": user, "password": password})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        self.ask("login", 302, "POST /auth/login/form", headers, form)
        self.over.wait(7)

    def counted(self) -> tuple[int, int]:
        """Return how many of the customers are in the database, and how many times in all."""
        marks = ",".join(f"'{mark}'" for mark in self.written)
        found = self.stack.sql(
            f"SELECT count(DISTINCT nome), count(*) FROM clientes WHERE nome IN ({marks})"  # noqa: S608 - the marks are its own
        )
        distinct, rows = found.split("|")
        return int(distinct), int(rows)
