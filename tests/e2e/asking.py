"""A visitor who goes on asking for the shop while something happens to it."""

from __future__ import annotations

import threading

from tests.e2e.stack import LocalStack

OK = 200


class Asking(threading.Thread):
    """A visitor who asks for the shop five times a second, and keeps whatever was no good answer."""

    def __init__(self, stack: LocalStack) -> None:
        super().__init__(daemon=True)
        self._stack = stack
        self._over = threading.Event()
        self.asked = 0
        self.bad: list[str] = []

    def run(self) -> None:
        while not self._over.wait(0.2):
            self.asked += 1
            try:
                status = self._stack.get("/health").status
            except OSError as error:
                self.bad.append(f"request {self.asked}: {error}")
            else:
                if status != OK:
                    self.bad.append(f"request {self.asked}: {status}")

    def __enter__(self) -> Asking:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()
