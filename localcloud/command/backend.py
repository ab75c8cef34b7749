"""The back-end of remote commands: nothing runs in dry mode, SSH in real mode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from localcloud.backend import Progress
from localcloud.provider.values import Value


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a script printed, without the last newline."""

    stdout: str
    stderr: str


class Scripts(Protocol):
    async def run(
        self, connection: Mapping[str, Value], script: str, stdin: str | None, progress: Progress
    ) -> Result: ...


@dataclass(frozen=True, kw_only=True)
class Backend:
    """The only part."""

    scripts: Scripts
