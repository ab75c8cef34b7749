"""One droplet with what is bound to it: its reserved address and its data volume. Cloud resources only.

No command runs here: `depends_on=[droplet]` waits for all children, and reaching a peer needs the bastion, which is
made last. What happens inside the machine is in `host.py`.

Everything that would replace the machine when changed later (image, region, SSH keys, user data, monitoring, agent,
VPC) is set at birth. Source: `ForceNew` in digitalocean/resource_droplet.go of the Terraform provider.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import pulumi
import pulumi_digitalocean as digitalocean

from components.stack_config import StackConfig
from topology.cloud_init import render_user_data


@dataclass(frozen=True, kw_only=True)
class VolumeArgs:
    """A block volume; it only ever grows. Its file system is made by Host, so that no API field can wipe it."""

    name: str
    size_gib: int


@dataclass(frozen=True, kw_only=True)
class DropletArgs:
    """`tags[0]` must already exist (`cloud_firewall.py`): the firewalls are keyed on it."""

    droplet_name: str
    region: str
    size: str
    image: str
    tags: tuple[str, ...]
    vpc_id: pulumi.Input[str]
    ssh_key_id: pulumi.Input[str]
    user_data: pulumi.Output[str]
    protect: bool
    reserved_ip: bool = False  # without one the droplet has no address that outlives it; peers need none
    volume: VolumeArgs | None = None  # most droplets keep nothing

    @classmethod
    def from_config(
        cls, config: StackConfig, name: str, *, vpc_id: pulumi.Input[str], ssh_key_id: pulumi.Input[str]
    ) -> Self:
        """Plan a droplet of the inventory. Its user data is a secret, since the host key is part of it."""
        project, spec = config.project, config.project.droplet(name)

        def user_data(keys: list[str]) -> str:
            return render_user_data(project, name, *keys)

        return cls(
            droplet_name=project.physical_name(name),
            region=project.settings.region,
            size=spec.size,
            image=spec.image,
            tags=project.tags(name),
            vpc_id=vpc_id,
            ssh_key_id=ssh_key_id,
            user_data=pulumi.Output.all(config.login_key, config.host_private_keys[name]).apply(user_data),
            protect=project.settings.protect,
            reserved_ip=spec.reserved_ip,
            volume=VolumeArgs(name=project.physical_name(spec.volume.name), size_gib=spec.volume.size_gib)
            if spec.volume
            else None,
        )


class Droplet(pulumi.ComponentResource):
    """A machine. Outputs: `id`, `public_ip`, `private_ip`, and `address`: the reserved one, otherwise `public_ip`.

    `urns` are its entries in the account: the droplet and its volume.
    """

    id: pulumi.Output[str]
    public_ip: pulumi.Output[str]
    private_ip: pulumi.Output[str]
    address: pulumi.Output[str]
    urns: list[pulumi.Output[str]]

    def __init__(self, name: str, args: DropletArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("basecommerce:droplet:Droplet", name, {}, opts)
        # A volume and an address belong to one machine at a time: let go before attaching anew.
        attachment = pulumi.ResourceOptions(parent=self, delete_before_replace=True)

        droplet = digitalocean.Droplet(
            f"{name}-droplet",
            name=args.droplet_name,
            region=args.region,
            size=args.size,
            image=args.image,
            vpc_uuid=args.vpc_id,
            ssh_keys=[args.ssh_key_id],
            user_data=args.user_data,
            tags=list(args.tags),
            monitoring=True,
            ipv6=False,  # the firewalls' tables are IPv4; a second way in would need a second table
            resize_disk=False,  # a bigger disk can never shrink again
            graceful_shutdown=True,
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=args.protect,
                # An edit of these applies to new machines; a running one is changed over SSH. The agent of the panel's
                # console is not requested: it comes anyway, and a request makes its failure one of the droplet.
                ignore_changes=["userData", "sshKeys", "image", "dropletAgent"],
                # Name, volume and reserved address can belong to one machine at a time.
                delete_before_replace=True,
                custom_timeouts=pulumi.CustomTimeouts(create="10m", update="10m", delete="10m"),
            ),
        )
        self.id = droplet.id
        self.private_ip = droplet.ipv4_address_private
        self.public_ip = droplet.ipv4_address
        self.address = self.public_ip
        self.urns = [droplet.droplet_urn]

        # The provider's attachments require the id as a number; the droplet has it as a string.
        number = droplet.id.apply(int)
        if args.volume is not None:
            volume = digitalocean.Volume(
                f"{name}-volume",
                name=args.volume.name,
                region=args.region,
                size=args.volume.size_gib,
                # Its name is unique in a region, also if the engine replaces it by `--replace` and asks no provider.
                opts=pulumi.ResourceOptions(parent=self, protect=args.protect, delete_before_replace=True),
            )
            self.urns.append(volume.volume_urn)
            digitalocean.VolumeAttachment(
                f"{name}-volume-attachment",
                droplet_id=number,
                volume_id=volume.id,
                opts=attachment,
            )
        if args.reserved_ip:
            kept = pulumi.ResourceOptions(parent=self, protect=args.protect)
            reserved = digitalocean.ReservedIp(f"{name}-reserved-ip", region=args.region, opts=kept)
            digitalocean.ReservedIpAssignment(
                f"{name}-reserved-ip-assignment",
                droplet_id=number,
                ip_address=reserved.ip_address,
                opts=attachment,
            )
            self.address = reserved.ip_address
        self.register_outputs(
            {
                "id": self.id,
                "public_ip": self.public_ip,
                "private_ip": self.private_ip,
                "address": self.address,
                "urns": self.urns,
            }
        )
