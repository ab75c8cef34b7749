"""A small, steady load of writes: each has an id of its own, so that it can be looked for afterwards."""

from __future__ import annotations

import http.client
import json
import secrets
import threading
import time
from collections import Counter
from itertools import pairwise
from types import TracebackType

from tests.e2e.stack import LocalStack

WRITERS = 4
EVERY_S = 1.0
"""Between two writes of one writer: 4 a second in all, and the edge lets 10 pass."""


class Load:
    """Creates customers through the edge while the block runs."""

    def __init__(self, stack: LocalStack, token: str) -> None:
        self.stack, self.mark = stack, secrets.token_hex(5)
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.answers: Counter[int] = Counter()
        """By status; 0 for none at all."""
        self.acknowledged: dict[str, float] = {}
        """By id, when the answer came (time.monotonic)."""
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(n,), daemon=True) for n in range(WRITERS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _write(self, writer: int) -> None:
        number = 0
        self._over.wait(writer * EVERY_S / WRITERS)
        while not self._over.is_set():
            number, next_at = number + 1, time.monotonic() + EVERY_S
            name = f"{self.mark}-{writer}-{number}"
            body = json.dumps({"tipo": "PF", "nome": name, "documento": name})
            try:
                status = self.stack.request("POST", "/api/v1/clientes/", headers=self.headers, body=body).status
            except (OSError, http.client.HTTPException):
                status = 0
            if status == 201:
                self.acknowledged[name] = time.monotonic()
            self.answers[status] += 1
            self._over.wait(max(0.0, next_at - time.monotonic()))

    def verify(self) -> None:
        """Assert, once the block has ended, that each acknowledged write is there once, and none is there twice.

        A row cannot be there twice, since the id is unique in the table. A write that somebody on the way sent twice is
        refused the second time: 409 for an id that was used once only.
        """
        rows = self.stack.sql(f"SELECT nome FROM clientes WHERE nome LIKE '{self.mark}-%'").split()  # noqa: S608 - ours
        there = Counter(rows)
        lost = [name for name in self.acknowledged if not there[name]]
        assert not lost, f"{len(lost)} of {len(self.acknowledged)} acknowledged writes are lost: {lost[:3]}"
        twice = [name for name, count in there.items() if count > 1]
        assert not twice, f"{len(twice)} writes are there twice: {twice[:3]}"
        assert not self.answers[409], f"{self.answers[409]} writes were sent twice by somebody on the way"

    def longest_gap(self) -> float:
        """Return the longest time in seconds without an acknowledged write."""
        times = sorted(self.acknowledged.values())
        return max((later - sooner for sooner, later in pairwise(times)), default=0.0)
