"""Remote commands in dry mode: recorded, and not run."""

from __future__ import annotations

from collections.abc import Mapping

from localcloud.backend import Progress
from localcloud.command.backend import Backend, Result
from localcloud.config import CloudConfig
from localcloud.provider.values import Value


def backend(config: CloudConfig) -> Backend:
    """Build the back-end."""
    del config
    return Backend(scripts=Scripts())


class Scripts:
    """Scripts that print nothing."""

    async def run(self, connection: Mapping[str, Value], script: str, stdin: str | None, progress: Progress) -> Result:
        """Run nothing; the event log has the script's text."""
        del connection, script, stdin
        await progress("recorded")
        return Result(stdout="", stderr="")
