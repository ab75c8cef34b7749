"""The last output of `up` of a local stack: the shop's address, who may log in, and what to type next."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from rich.panel import Panel
from rich.text import Text

from basec.io.console import answer, show


@dataclass(frozen=True, kw_only=True)
class WayIn:
    """How to use a local stack that is up."""

    environment: str
    url: str
    user: str
    password: str
    authority: str
    """The file with the authority that signed its certificates, from the clone's root."""

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """Name and value of each line."""
        base = f"bin/basec {{}} --env {self.environment}"
        return (
            ("url", self.url),
            ("user", self.user),
            ("password", self.password),
            ("trust", base.format("trust")),
            ("", f"or: curl --cacert {self.authority} {self.url}"),
            ("next", base.format("status")),
            ("", base.format("logs")),
            ("", base.format("down")),
        )

    def show(self) -> None:
        """Draw a box in a terminal, and plain lines in a pipe."""
        if not sys.stdout.isatty():
            for name, value in self.lines:
                answer(f"{name:<9} {value}".rstrip())
            return
        text = Text()
        for name, value in self.lines:
            text.append(f"{name:<10}", style="dim").append(
                f"{value}\n", style="bold" if name in ("url", "password") else ""
            )
        text.rstrip()
        show(Panel(text, title=f"{self.environment} is up", border_style="green", expand=False))
