"""A droplet as commands reach it: its name and id, how to log in, and where its peers are.

The one argument that tells a component that works over SSH about its droplet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import pulumi

from components.droplet import Droplet
from components.stack_config import StackConfig
from topology.names import LOGIN_KEY


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One sshd: where it answers and the public key (`ssh-ed25519 AAAA...`) that it must prove."""

    address: pulumi.Input[str]
    host_key: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A droplet of the inventory that exists. `addresses` are the private ones of all droplets, its own included."""

    name: str
    droplet_id: pulumi.Input[str]
    user: str
    private_key: pulumi.Output[str]
    addresses: Mapping[str, pulumi.Input[str]]
    target: Endpoint
    bastion: Endpoint | None = None  # None: the droplet is the bastion itself

    @property
    def at_bastion(self) -> Self | None:
        """The same machine, for a command about it that runs on the bastion; None for the bastion itself."""
        return replace(self, target=self.bastion, bastion=None) if self.bastion else None


def machines_of(config: StackConfig, droplets: Mapping[str, Droplet]) -> dict[str, Machine]:
    """Return the way to each droplet: straight to the bastion's public address, through it to the private others."""
    bastion = config.project.inventory.bastion
    addresses = {name: droplet.private_ip for name, droplet in droplets.items()}
    entry = Endpoint(address=droplets[bastion].address, host_key=config.host_keys[bastion])
    return {
        name: Machine(
            name=name,
            droplet_id=droplet.id,
            user=config.project.settings.ssh.user,
            private_key=config.secrets[LOGIN_KEY],
            addresses=addresses,
            target=entry if name == bastion else Endpoint(address=addresses[name], host_key=config.host_keys[name]),
            bastion=None if name == bastion else entry,
        )
        for name, droplet in droplets.items()
    }
