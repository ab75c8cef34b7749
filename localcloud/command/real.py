"""Remote commands in real mode: by SSH."""

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
    """Scripts on machines, each over its own connection."""

    async def run(self, connection: Mapping[str, Value], script: str, stdin: str | None, progress: Progress) -> Result:
        """Run a script in the remote user's shell. Raises CloudError."""
        from localcloud.command.ssh import run  # noqa: PLC0415 - asyncssh takes 0.4 s; previews never need it

        return await run(connection, script, stdin, progress)
