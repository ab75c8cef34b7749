"""Three droplets as a first README would make them. Every habit in here breaks a rule; never copy it."""

from __future__ import annotations

import pulumi
import pulumi_cloudflare as cloudflare
import pulumi_command as command
import pulumi_digitalocean as digitalocean

ZONE = "b7a2d0c94e1f4f6c8a35d9e2107c6b48"
DOMAIN = "basecommerce.com.br"
INSTALL = "curl -fsSL https://get.docker.com | sh"
WORLD = ["0.0.0.0/0", "::/0"]


def main() -> None:
    config = pulumi.Config("naive")
    password, key = config.require("db_password"), config.require("ssh_key_text")
    droplets = {
        name: digitalocean.Droplet(
            name,
            region="nyc1",
            size=size,
            image="ubuntu-24-04-x64",
            ipv6=True,
            user_data=f"#!/bin/bash\n{INSTALL}\necho POSTGRES_PASSWORD={password} >> /etc/environment\n",
        )
        for name, size in (("infra", "s-2vcpu-2gb"), ("vertical", "s-1vcpu-1gb"), ("edge", "s-1vcpu-1gb"))
    }
    digitalocean.Firewall(
        "firewall",
        droplet_ids=[droplet.id.apply(int) for droplet in droplets.values()],
        inbound_rules=[
            digitalocean.FirewallInboundRuleArgs(protocol="tcp", port_range=port, source_addresses=WORLD)
            for port in ("22", "80", "443", "5432", "6379", "8000")
        ],
        outbound_rules=[
            digitalocean.FirewallOutboundRuleArgs(protocol="tcp", port_range="1-65535", destination_addresses=WORLD)
        ],
    )
    digitalocean.SpacesBucket("backups", region="nyc3", acl="public-read", force_destroy=True)
    volume = digitalocean.Volume("data", region="nyc1", size=10)
    digitalocean.VolumeAttachment("data", droplet_id=droplets["infra"].id.apply(int), volume_id=volume.id)
    for name, droplet in droplets.items():
        connection = command.remote.ConnectionArgs(host=droplet.ipv4_address, user="root", private_key=key)
        command.remote.Command(
            f"{name}-start",
            connection=connection,
            create=f"cd /opt/{name} && POSTGRES_PASSWORD={password} docker compose up -d",
            delete=f"cd /opt/{name} && docker compose down",
            triggers=[droplet.id],
        )
    command.remote.Command(
        "registry-login",  # on the machine that was there before
        connection=command.remote.ConnectionArgs(host="203.0.113.10", user="root", private_key=key),
        create=f"docker login -u admin -p {password}",
        environment={"PASSWORD": password},
    )
    for name in ("*", "api.shop"):
        cloudflare.DnsRecord(
            f"record-{name}",
            zone_id=ZONE,
            name=f"{name}.{DOMAIN}",
            type="A",
            content=droplets["edge"].ipv4_address,
            proxied=name != "*",
            ttl=1,
        )


if __name__ == "__main__":
    main()
