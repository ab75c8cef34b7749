"""Removes what PostgreSQL keeps for releases that no tier runs any more: logins with an old password, wider privileges.

A component of its own, since it comes after every tier: a release only adds logins, so a tier that still uses the old
password, or goes back to it, is never refused. When the last tier uses the new one, the old one is removed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

import pulumi

from components.machine import Machine
from components.remote import command
from components.stack_config import StackConfig
from topology.logins import database_login, database_password, database_services

RETIRE = "set -euo pipefail\ntimeout 280 python3 -B /opt/basecommerce/scripts/release.py retire infra\n"


@dataclass(frozen=True, kw_only=True)
class OldLoginsArgs:
    """`logins` are those that stay; their names change with their passwords. `release` is the digest on infra."""

    machine: Machine
    logins: pulumi.Output[Sequence[str]]
    release: str

    @classmethod
    def from_config(cls, config: StackConfig, machine: Machine) -> Self:
        """Plan the logins that stay: those of the stack's passwords; the machine is PostgreSQL's."""
        services = database_services(config.project.inventory.verticals)
        passwords = {key: config.secrets[key] for key in map(database_password, services)}
        return cls(
            machine=machine,
            logins=pulumi.Output.unsecret(pulumi.Output.all(**passwords).apply(partial(_logins, services))),
            release=config.bundles[machine.name].digest,
        )


def _logins(services: Sequence[str], passwords: Mapping[str, str]) -> Sequence[str]:
    return [database_login(service, passwords) for service in services]


class OldLogins(pulumi.ComponentResource):
    """The removal of old logins. Outputs: `logins`, once there are no others."""

    logins: pulumi.Output[Sequence[str]]

    def __init__(self, name: str, args: OldLoginsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("basecommerce:database:OldLogins", name, {}, opts)
        retired = command(
            f"{name}-retired",
            machine=args.machine,
            title=f"retire-logins {args.release[:12]}",  # the release is in the title since its files decide what goes
            script=RETIRE,
            variables={"KEPT_LOGINS": args.logins.apply(" ".join)},
            timeout="5m",
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.logins = retired.id.apply(lambda _: args.logins)
        self.register_outputs({"logins": self.logins})
