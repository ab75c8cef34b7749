"""A droplet made ready over SSH: first boot finished, sshd set up for its peers, swap, data volume mounted.

Readiness is here and not in `droplet.py`, since a peer is reached through the bastion, which is made last. The bastion
first waits for the peer's sshd: a proxied connection retries its handshake on a dead socket.
UFW is in `ufw_firewall.py`; services are in `compose_stack.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import pulumi

from components.machine import Machine
from components.remote import READINESS_DIALS, command, read_script
from components.stack_config import StackConfig
from topology.cloud_init import (
    METADATA_UNIT,
    METADATA_UNIT_NAME,
    METRICS_AGENT_USER,
    PACKAGES,
    SSHD_ALGORITHMS,
    SSHD_LIMITS,
    SSHD_PEERS_FILE,
)
from topology.fleet import DATA_MOUNT
from topology.names import SSH_PORT

PEER_WAIT_S = 300
"""Seconds a peer may take from creation to sshd's greeting; DigitalOcean states 55 s for a create."""
SMALL_MEMORY_MIB = 1024
"""Droplets up to this size get swap of the same size: a release pulls and starts beside the running one."""
VOLUME_DEVICE = "/dev/disk/by-id/scsi-0DO_Volume_{name}"
"""Source: https://docs.digitalocean.com/products/volumes/how-to/mount/"""


@dataclass(frozen=True, kw_only=True)
class MountArgs:
    """Where a data volume goes: `volume_name` as DigitalOcean knows it, ext4 `label`, absolute `mount` point.

    The size is here so that a bigger volume runs the command again, which grows the file system.
    """

    volume_name: str
    size_gib: int
    label: str
    mount: str


@dataclass(frozen=True, kw_only=True)
class HostArgs:
    """`bastion_address` is private, as peers see the bastion."""

    machine: Machine
    authorized_key: pulumi.Input[str]
    bastion_address: pulumi.Input[str]
    memory_mib: int
    tier: str
    size: str
    # Only the bastion forwards, and only to these private addresses, by droplet name.
    forward_to: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    mount: MountArgs | None = None  # most droplets keep nothing

    @classmethod
    def from_config(cls, config: StackConfig, machine: Machine) -> Self:
        """Plan how a machine of the inventory is made ready."""
        project, name, addresses = config.project, machine.name, machine.addresses
        bastion, volume = project.inventory.bastion, project.droplet(name).volume
        peers = {peer: address for peer, address in addresses.items() if peer != bastion}
        return cls(
            machine=machine,
            authorized_key=config.login_key,
            bastion_address=addresses[bastion],
            memory_mib=project.size(name).memory_mib,
            tier=project.droplet(name).tier,
            size=project.droplet(name).size,
            forward_to=peers if name == bastion else {},
            mount=MountArgs(
                volume_name=project.physical_name(volume.name),
                size_gib=volume.size_gib,
                label=volume.label,
                mount=DATA_MOUNT,
            )
            if volume
            else None,
        )


def swap_mib(memory_mib: int) -> int:
    """Return the size of the swap file in MiB, 0 for none."""
    return memory_mib if memory_mib <= SMALL_MEMORY_MIB else 0


def sshd_peers(bastion_address: str, forward_to: tuple[str, ...]) -> str:
    """Render what sshd must know of its peers.

    All inner logins come from the bastion's one address, so sshd's penalty for a failed login would lock out everyone
    (PerSourcePenalties, on by default since OpenSSH 9.8: https://www.openssh.com/txt/release-9.8).
    """
    forwarding = ["AllowTcpForwarding no"]
    if forward_to:
        targets = " ".join(f"{address}:{SSH_PORT}" for address in forward_to)
        forwarding = ["AllowTcpForwarding local", f"PermitOpen {targets}"]
    exempt = f"PerSourcePenaltyExemptList {bastion_address},127.0.0.1"
    return "\n".join(["# Written by `basec up`; edits are lost.", *forwarding, exempt, *SSHD_LIMITS, *SSHD_ALGORITHMS])


class Host(pulumi.ComponentResource):
    """A ready droplet. Outputs: `droplet_id`, known once the machine is ready."""

    droplet_id: pulumi.Output[str]

    def __init__(self, name: str, args: HostArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("basecommerce:host:Host", name, {}, opts)
        machine, mount = args.machine, args.mount
        before: list[pulumi.Resource] = []
        if machine.at_bastion is not None:
            before.append(
                command(
                    f"{name}-reachable",
                    machine=machine.at_bastion,
                    title=f"wait-peer {machine.name}",
                    script=read_script("lib.sh", "wait-peer.sh"),
                    variables={
                        "PEER_NAME": machine.name,
                        "PEER_ADDRESS": machine.target.address,
                        "PEER_PORT": str(SSH_PORT),
                        "WAIT_SECONDS": str(PEER_WAIT_S),
                    },
                    timeout="6m",
                    opts=pulumi.ResourceOptions(parent=self),
                )
            )
        ready = command(
            f"{name}-ready",
            machine=machine,
            title=f"prepare-host {machine.name}",
            script=read_script("lib.sh", "upkeep.sh", "prepare-host.sh"),
            variables={
                "LOGIN_USER": machine.user,
                "AUTHORIZED_KEY": args.authorized_key,
                "SSHD_PEERS_FILE": SSHD_PEERS_FILE,
                "SSHD_PEERS": pulumi.Output.all(args.bastion_address, *args.forward_to.values()).apply(
                    lambda known: sshd_peers(known[0], tuple(known[1:]))
                ),
                "PACKAGES": " ".join(PACKAGES),
                "TIER": args.tier,
                # No script reads it. A new size reboots the machine: this runs again, and later steps wait for it.
                "DROPLET_SIZE": args.size,
                "SWAP_MIB": str(swap_mib(args.memory_mib)),
                "SCRUB_SCRIPT": read_script("scrub-user-data.sh"),
                "METRICS_AGENT_USER": METRICS_AGENT_USER,
                "METADATA_UNIT_NAME": METADATA_UNIT_NAME,
                "METADATA_UNIT": METADATA_UNIT,
                "VOLUME_DEVICE": VOLUME_DEVICE.format(name=mount.volume_name) if mount else "",
                "VOLUME_SIZE_GIB": str(mount.size_gib) if mount else "",
                "VOLUME_LABEL": mount.label if mount else "",
                "VOLUME_MOUNT": mount.mount if mount else "",
            },
            dials=READINESS_DIALS,
            timeout="30m",  # 30 dials of 6 s with pauses of 5 s, then the script's own waits: under 27 minutes
            # No data flows from the wait; sshd must answer before the first byte goes through the bastion.
            opts=pulumi.ResourceOptions(parent=self, depends_on=before),
        )
        self.droplet_id = pulumi.Output.all(machine.droplet_id, ready.id).apply(lambda ids: str(ids[0]))
        self.register_outputs({"droplet_id": self.droplet_id})
