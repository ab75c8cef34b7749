"""The log of an operation that failed: all messages of the engine, in one private file, without any secret.

`.basec/<env>/failed-run.log` holds only the last failed run. Inputs and outputs of resources are not in it: they are
in the state, and may hold unencrypted settings.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from basec.environments import Environment
from basec.io.files import write_private
from basec.secrets.stack_file import StackFile, full_key

NAME = "failed-run.log"
HIDDEN = "[secret]"
SHORT = 16
"""Lines of a secret at least this long are hidden one by one: a key is more often quoted by line than whole."""


class Mask:
    """Hides the values of a stack's own secrets; what providers mark as secret is hidden by the engine."""

    def __init__(self, secrets: Iterable[str]) -> None:
        texts = set()
        for secret in secrets:
            lines = (line.strip() for line in secret.splitlines())
            texts |= {secret.strip(), *(line for line in lines if len(line) >= SHORT)}
        self._texts = sorted(texts - {""}, key=len, reverse=True)

    @classmethod
    def of(cls, stack: StackFile) -> Mask:
        """Decrypt the stack's secrets, which takes a second. Raises ConfigurationError."""
        return cls(stack.secret(full_key(name)) for name in stack.secret_names)

    def clean(self, text: str) -> str:
        """Replace every secret, also as written with `\\n` for a new line."""
        for secret in self._texts:
            text = text.replace(secret, HIDDEN).replace(repr(secret)[1:-1], HIDDEN)
        return text


class RunLog:
    """Collects what one operation reported, one line per event."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, text: str) -> None:
        """Add a text with the current time."""
        self._lines.append(f"{time.strftime('%H:%M:%S')} {text}")

    def step(self, what: str, metadata: Any) -> None:
        """Add that a resource began, ended or failed."""
        self.add(f"{what} {getattr(metadata.op, 'value', metadata.op)} {metadata.urn}")

    def write(self, environment: Environment, title: str, mask: Mask) -> str:
        """Replace the file, and return a line with its path, or why there is none."""
        path = environment.facts_dir / NAME
        text = "\n".join([f"{time.strftime('%Y-%m-%d %H:%M:%S %z')} {title}", *self._lines, ""])
        try:
            environment.facts_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(path, mask.clean(text))
        except OSError as error:
            return f"log: {path.relative_to(environment.root)}: cannot be written: {error.strerror}"
        return f"log: {path.relative_to(environment.root)}"
