"""A small program with every resource type that the local cloud implements."""

from __future__ import annotations

from dataclasses import dataclass, field

import pulumi
import pulumi_cloudflare as cloudflare
import pulumi_command as command
import pulumi_digitalocean as digitalocean

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJCAmJbpsEAFh8uyKwEhhJeb2NLsHQmDRQ6IYAnwIVhF test"
STDIN_SECRET = "a-password-that-must-not-be-seen"
USER_DATA_SECRET = "#cloud-config\n# host-key-that-must-not-be-seen\n"
ZONE = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What tests change. Calling it declares the resources."""

    size: str = "s-1vcpu-1gb"
    text: str = "true"
    tags: tuple[str, ...] = ("shop", "stack:local")
    droplets: tuple[str, ...] = ("infra", "edge")
    ports: tuple[int, ...] = (80,)
    user_data: str = USER_DATA_SECRET
    volume_gib: int = 10
    triggers: tuple[str, ...] | None = None
    ignore: list[str] = field(default_factory=lambda: ["userData"])
    droplet_timeout: str | None = None

    def __call__(self) -> None:
        vpc = digitalocean.Vpc("net", name="net", region="nyc3", ip_range="10.77.1.0/24")
        key = digitalocean.SshKey("login", name="login", public_key=PUBLIC_KEY)
        tag = digitalocean.Tag("edge-tag", name="shop-local-edge")
        firewall = digitalocean.Firewall(
            "edge-fw",
            name="edge",
            tags=[tag.name],
            inbound_rules=[
                digitalocean.FirewallInboundRuleArgs(
                    protocol="tcp", port_range=str(port), source_addresses=["198.51.100.2/32"]
                )
                for port in self.ports
            ],
            outbound_rules=[
                digitalocean.FirewallOutboundRuleArgs(protocol="icmp", destination_addresses=["0.0.0.0/0"])
            ],
            # One thing after the other, as far as tests stop between them: what has no order may be made beside.
            opts=pulumi.ResourceOptions(depends_on=[vpc]),
        )
        previous: list[pulumi.Resource] = [firewall]
        machines: dict[str, digitalocean.Droplet] = {}
        for name in self.droplets:
            machines[name] = digitalocean.Droplet(
                name,
                name=f"shop-local-{name}",
                region="nyc3",
                size=self.size,
                image="debian-13-x64",
                vpc_uuid=vpc.id,
                ssh_keys=[key.id],
                user_data=pulumi.Output.secret(self.user_data),
                tags=list(self.tags),
                monitoring=True,
                opts=pulumi.ResourceOptions(
                    ignore_changes=self.ignore,
                    depends_on=previous,
                    custom_timeouts=pulumi.CustomTimeouts(create=self.droplet_timeout)
                    if self.droplet_timeout
                    else None,
                ),
            )
            previous = [machines[name]]
        infra, edge = machines["infra"], machines.get("edge", machines["infra"])
        volume = digitalocean.Volume("data", name="data", region="nyc3", size=self.volume_gib)
        attached = digitalocean.VolumeAttachment("data-on-infra", droplet_id=infra.id.apply(int), volume_id=volume.id)
        address = digitalocean.ReservedIp("front", region="nyc3")
        digitalocean.ReservedIpAssignment("front-on-edge", ip_address=address.ip_address, droplet_id=edge.id.apply(int))
        activate = command.remote.Command(
            "activate",
            connection=command.remote.ConnectionArgs(
                host=address.ip_address, user="basec", private_key="not-a-key", host_key=PUBLIC_KEY, dial_error_limit=3
            ),
            create=infra.id.apply(lambda droplet_id: f"# droplet {droplet_id}\n{self.text}"),
            stdin=pulumi.Output.secret(STDIN_SECRET),
            logging=command.remote.Logging.NONE,
            triggers=list(self.triggers) if self.triggers else None,
            add_previous_output_in_env=False,
            opts=pulumi.ResourceOptions(depends_on=[attached, edge], additional_secret_outputs=["stdout", "stderr"]),
        )
        cloudflare.DnsRecord(
            "wildcard",
            zone_id=ZONE,
            name="*.localhost",
            type="A",
            content=address.ip_address,
            proxied=True,
            ttl=1,
            opts=pulumi.ResourceOptions(depends_on=[activate]),
        )
        pulumi.export("private", infra.ipv4_address_private)
        pulumi.export("edge", address.ip_address)
