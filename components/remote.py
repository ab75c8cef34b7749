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

import pulumi
from pulumi_command import remote

from components.stack_config import StackConfig

SSH_PORT = 22

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
"""A machine that was ready answers, or it is known within 30 s: ten dials and 7.5 s of pauses. Where sshd resets them
(crowded by strangers, or a penalty) the pauses are all there is: few dials would be over in half a second."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One sshd: where it answers and the public key (`ssh-ed25519 AAAA...`) that it must prove."""

    address: pulumi.Input[str]
    host_key: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class Access:
    """How the program logs in to one droplet: directly, or through the bastion."""

    user: str
    private_key: pulumi.Output[str]
    target: Endpoint
    bastion: Endpoint | None = None  # None: the droplet is the bastion itself

    def connection(self, dials: Dials) -> remote.ConnectionArgs:
        """Build the provider's form."""
        proxy = None
        if self.bastion is not None:
            proxy = remote.ProxyConnectionArgs(
                host=self.bastion.address,
                port=SSH_PORT,
                user=self.user,
                private_key=self.private_key,
                host_key=self.bastion.host_key,
                dial_error_limit=dials.errors,
                per_dial_timeout=dials.timeout_s,
            )
        return remote.ConnectionArgs(
            host=self.target.address,
            port=SSH_PORT,
            user=self.user,
            private_key=self.private_key,
            host_key=self.target.host_key,
            dial_error_limit=dials.errors,
            per_dial_timeout=dials.timeout_s,
            proxy=proxy,
        )


def access_by_droplet(
    config: StackConfig, addresses: Mapping[str, pulumi.Input[str]], bastion_address: pulumi.Input[str]
) -> dict[str, Access]:
    """Give the way into each droplet: straight to the bastion's public address, through it to the private others."""
    user, private_key = config.project.settings.ssh.user, config.secrets["login_private_key"]
    bastion = config.project.inventory.bastion
    entry = Endpoint(address=bastion_address, host_key=config.host_keys[bastion])
    access = {
        name: Access(
            user=user,
            private_key=private_key,
            target=Endpoint(address=address, host_key=config.host_keys[name]),
            bastion=entry,
        )
        for name, address in addresses.items()
    }
    return {**access, bastion: Access(user=user, private_key=private_key, target=entry)}


def read_script(*names: str) -> str:
    """Join files of `components/scripts/` to one script; variables are put before it by `command_text`."""
    return "\n".join((SCRIPTS / name).read_text() for name in names)


def command_text(
    *, droplet_id: str, title: str, script: str, variables: Mapping[str, str], arguments: tuple[str, ...] = ()
) -> str:
    """Render what sshd hands to the login shell: the script, run by root's bash, standard input left free for data.

    The droplet's id is part of the text: a replaced droplet must run its commands again, and an unchanged command
    never runs. The script travels in argv, so it must hold no secret: those go through standard input.
    """
    body = "".join(f"{key}={shlex.quote(value)}\n" for key, value in variables.items()) + script
    words = shlex.join((body, title.split(" ", maxsplit=1)[0], *arguments))
    return f"# droplet {droplet_id}\n# {title}\nexec sudo -n bash -c {words}\n"


def command(
    name: str,
    *,
    access: Access,
    text: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
    stdin: pulumi.Input[str] | None = None,
    dials: Dials = DIALS,
    timeout: str = "10m",
) -> remote.Command:
    """Declare one remote command. `timeout` is Pulumi's form (`90s`, `10m`); the scripts keep shorter ones."""
    return remote.Command(
        name,
        connection=access.connection(dials),
        create=text,
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
