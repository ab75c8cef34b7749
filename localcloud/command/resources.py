"""`command:remote:Command` with the semantics of pulumi-command 1.2.1: a script over SSH at create, update and delete.

Copied: `update` (otherwise `create`) runs on any changed input, `triggers` replace (new first, then the old `delete`),
the text goes to the remote user's shell as is, outputs are kept without their last newline, a refresh reads nothing.
Stricter: a host key is required, and what would silently have no effect on our machines is refused.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from typing import ClassVar

from typing_extensions import override

from localcloud.command import rules
from localcloud.command.backend import Backend
from localcloud.provider.handler import Created, Found, Handler, Job, Package, Values
from localcloud.provider.plain import text
from localcloud.provider.schema import Kind, Property, only
from localcloud.provider.values import Secret, reveal


def package() -> Package:
    """All types of this provider."""
    return Package("command", [RemoteCommand()])


_HOP: Mapping[str, Property] = {
    "host": Property(kind=Kind.STRING, required=True),
    "port": Property(kind=Kind.NUMBER, check=rules.check_port),
    "user": Property(kind=Kind.STRING),
    "privateKey": Property(kind=Kind.STRING, required=True),
    "privateKeyPassword": Property(kind=Kind.STRING),
    "hostKey": Property(kind=Kind.STRING, required=True),
    "dialErrorLimit": Property(kind=Kind.INTEGER, check=rules.check_limit),
    "perDialTimeout": Property(kind=Kind.INTEGER, check=rules.check_seconds),
}


class RemoteCommand(Handler[Backend]):
    """A script on a droplet."""

    type_name = "command:remote:Command"
    timeout_s = 900.0
    delete_before_replace = False  # as the original: the new `create` runs first, then the old `delete`
    properties: ClassVar[Mapping[str, Property]] = {
        "connection": Property(
            kind=Kind.MAP, required=True, items={**_HOP, "proxy": Property(kind=Kind.MAP, items=_HOP)}
        ),
        "create": Property(kind=Kind.STRING),
        "update": Property(kind=Kind.STRING),
        "delete": Property(kind=Kind.STRING),
        "stdin": Property(kind=Kind.STRING),
        "triggers": Property(kind=Kind.LIST, replace=True),
        "logging": Property(kind=Kind.STRING, required=True, check=only("none")),
        "addPreviousOutputInEnv": Property(kind=Kind.BOOLEAN, check=only(False)),
        "environment": Property(
            kind=Kind.MAP,
            check=rules.refuse("sshd accepts no environment (AcceptEnv): send values by `stdin`"),
        ),
    }

    @override
    def volatile_outputs(self, changed: Iterable[str]) -> Iterable[str]:
        return ("stdout", "stderr")

    @override
    def event_details(self, inputs: Values) -> Values:
        """Return host, script and a digest of stdin; a secret script is left out."""
        script, stdin = inputs.get("create"), reveal(inputs.get("stdin"))
        connection = reveal(inputs.get("connection"))
        return {
            "host": connection.get("host") if isinstance(connection, dict) else None,
            "text": "[secret]" if isinstance(script, Secret) else script,
            "stdin_sha256": hashlib.sha256(stdin.encode()).hexdigest() if isinstance(stdin, str) else None,
        }

    @override
    async def create(self, job: Job[Backend], inputs: Values) -> Created:
        # The original's id: the resource's name and eight hex digits.
        return Created(id=job.name + secrets.token_hex(4), outputs=await self._run(job, inputs, text(inputs, "create")))

    @override
    async def update(self, job: Job[Backend], resource_id: str, old: Values, new: Values, state: Values) -> Values:
        script = text(new, "update") or text(new, "create")
        if not script:
            return {"stdout": text(state, "stdout"), "stderr": text(state, "stderr")}
        return await self._run(job, new, script)

    @override
    async def read(self, job: Job[Backend], resource_id: str, inputs: Values, state: Values) -> Found | None:
        outputs = {key: value for key, value in state.items() if key in ("stdout", "stderr")}
        return Found(inputs=inputs, outputs=outputs)

    @override
    async def delete(self, job: Job[Backend], resource_id: str, inputs: Values, state: Values) -> None:
        await self._run(job, inputs, text(inputs, "delete"))

    @staticmethod
    async def _run(job: Job[Backend], inputs: Values, script: str) -> Values:
        if not script:
            return {"stdout": "", "stderr": ""}
        connection = inputs.get("connection")
        stdin = inputs.get("stdin")
        result = await job.backend.scripts.run(
            connection if isinstance(connection, dict) else {},
            script,
            stdin if isinstance(stdin, str) else None,
            job.progress,
        )
        return {"stdout": result.stdout, "stderr": result.stderr}
