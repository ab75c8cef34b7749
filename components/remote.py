"""SSH connections and remote commands: the one place that builds either.

Facts about pulumi-command 1.2.1 that shape it (read in its source, https://github.com/pulumi/pulumi-command):
a connection without `host_key` checks nothing; output is stored in clear unless named in `additional_secret_outputs`;
`triggers` replaces and then runs the OLD `delete`; without `update`, a changed input runs `create` again.
So every command here is idempotent, has neither triggers nor delete, checks both hops and logs nothing.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
from pulumi_command import remote

from components.machine import Machine
from topology.names import SSH_PORT

SCRIPTS = Path(__file__).parent / "scripts"


@dataclass(frozen=True, kw_only=True)
class Dials:
    """How long the provider tries: pauses lie between, from 0.1 s, times 1.5, to 5 s."""

    errors: int
    """Failed dials that are allowed; one more, and it gives up."""
    timeout_s: int
    """Of one dial, until the TCP connection is there."""


READINESS_DIALS = Dials(errors=30, timeout_s=6)
"""A machine that boots refuses connections for a while: about two minutes of pauses."""
DIALS = Dials(errors=9, timeout_s=2)
"""A machine that was ready answers, or fails within 30 s: ten dials and 7.5 s of pauses. If sshd resets connections
(crowded by strangers, or a penalty) only the pauses take time: few dials would fail within half a second."""


def read_script(*names: str) -> str:
    """Join files of `components/scripts/` into one script; `command_text` puts variables before it."""
    return "\n".join((SCRIPTS / name).read_text() for name in names)


def command_text(
    *, droplet_id: str, title: str, script: str, variables: Mapping[str, str], arguments: tuple[str, ...] = ()
) -> str:
    """Render what sshd passes to the login shell: the script, run by root's bash, with standard input free for data.

    The droplet's id is part of the text: a replaced droplet must run its commands again, and an unchanged command
    never runs. The script travels in argv, so it must hold no secret: those go through standard input.
    """
    body = "".join(f"{key}={shlex.quote(value)}\n" for key, value in variables.items()) + script
    words = shlex.join((body, title.split(" ", maxsplit=1)[0], *arguments))
    return f"# droplet {droplet_id}\n# {title}\nexec sudo -n bash -c {words}\n"


def command(
    name: str,
    *,
    machine: Machine,
    title: str,
    script: str,
    opts: pulumi.ResourceOptions,
    variables: Mapping[str, pulumi.Input[str]] | None = None,
    arguments: tuple[str, ...] = (),
    stdin: pulumi.Input[str] | None = None,
    dials: Dials = DIALS,
    timeout: str = "10m",
) -> remote.Command:
    """Declare one remote command. `timeout` is Pulumi's form (`90s`, `10m`); the scripts keep shorter ones."""

    def text(values: Mapping[str, Any]) -> str:
        known = {name: values["variables"][name] for name in variables or {}}  # in the order given, not as they resolve
        return command_text(
            droplet_id=values["droplet_id"], title=title, script=script, variables=known, arguments=arguments
        )

    return remote.Command(
        name,
        connection=_connection(machine, dials),
        create=pulumi.Output.all(droplet_id=machine.droplet_id, variables=pulumi.Output.all(**(variables or {}))).apply(
            text
        ),
        stdin=stdin,
        logging=remote.Logging.NONE,
        add_previous_output_in_env=False,
        opts=pulumi.ResourceOptions.merge(
            opts,
            pulumi.ResourceOptions(
                additional_secret_outputs=["stdout", "stderr"],
                custom_timeouts=pulumi.CustomTimeouts(create=timeout, update=timeout),
            ),
        ),
    )


def _connection(machine: Machine, dials: Dials) -> remote.ConnectionArgs:
    proxy = None
    if machine.bastion is not None:
        proxy = remote.ProxyConnectionArgs(
            host=machine.bastion.address,
            port=SSH_PORT,
            user=machine.user,
            private_key=machine.private_key,
            host_key=machine.bastion.host_key,
            dial_error_limit=dials.errors,
            per_dial_timeout=dials.timeout_s,
        )
    return remote.ConnectionArgs(
        host=machine.target.address,
        port=SSH_PORT,
        user=machine.user,
        private_key=machine.private_key,
        host_key=machine.target.host_key,
        dial_error_limit=dials.errors,
        per_dial_timeout=dials.timeout_s,
        proxy=proxy,
    )
