"""The whole platform in reading order. Stacks differ by their settings only, so nothing here asks which stack it is.

Loading and checking come first: a wrong setting is refused before any resource is declared.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pulumi
import pulumi_digitalocean as digitalocean

from components.account_project import AccountProject, AccountProjectArgs
from components.cloud_firewall import CloudFirewall, CloudFirewallArgs
from components.compose_stack import ComposeStack, ComposeStackArgs
from components.dns import Dns, DnsArgs
from components.droplet import Droplet, DropletArgs
from components.host import Host, HostArgs
from components.image_pull import ImagePull, ImagePullArgs
from components.monitoring import Monitoring, MonitoringArgs
from components.network import Network, NetworkArgs
from components.old_logins import OldLogins, OldLoginsArgs
from components.origin_http import OriginHttp, OriginHttpArgs
from components.origin_tls import OriginTls, OriginTlsArgs
from components.remote import access_by_droplet
from components.stack_config import StackConfig, load_stack_config
from components.ufw_firewall import UfwFirewall, UfwFirewallArgs
from components.zone_settings import ZoneSettings, ZoneSettingsArgs
from topology.cloud_init import template_digest
from topology.costs import machines_of
from topology.inventory import ROLES
from topology.secrets import ORIGIN_CERTIFICATE, PULL_AUTHORITIES

ROOT = Path(__file__).resolve().parent


def main() -> None:
    """Declare the stack. Raises RunError, which Pulumi shows without a traceback, for wrong settings."""
    config = load_stack_config(ROOT)
    project, bastion = config.project, config.project.inventory.bastion
    order = [name for role in ROLES for name in project.inventory.by_role(role)]  # infra, vertical, edge

    network = Network("network", NetworkArgs.from_config(config))
    firewall = CloudFirewall("cloud-firewall", CloudFirewallArgs.from_config(config))
    origin_tls = OriginTls("origin-tls", OriginTlsArgs.from_config(config))
    ssh_key = digitalocean.SshKey("login-key", name=project.physical_name("login"), public_key=config.login_key)

    droplets: dict[str, Droplet] = {}
    before: list[pulumi.Resource] = [network, firewall]  # no machine is born in the open
    for name in order:
        droplet_args = DropletArgs.from_config(config, name, vpc_id=network.id, ssh_key_id=ssh_key.id)
        droplets[name] = Droplet(name, droplet_args, pulumi.ResourceOptions(depends_on=before))
        before = [droplets[name]]

    ids = {name: droplet.id for name, droplet in droplets.items()}
    addresses = {name: droplet.private_ip for name, droplet in droplets.items()}
    public_address = droplets[bastion].address
    access = access_by_droplet(config, addresses, public_address)

    before = list(droplets.values())  # the bastion forwards to its peers' addresses
    ready: dict[str, list[pulumi.Resource]] = {}
    for name in sorted(order, key=lambda name: name != bastion):
        host_args = HostArgs.from_config(config, name, droplet_id=ids[name], access=access[name], addresses=addresses)
        host = Host(f"{name}-host", host_args, pulumi.ResourceOptions(depends_on=before))
        if name == bastion:  # the others are reached through it
            before = [host]
        ufw_args = UfwFirewallArgs.from_config(
            config, name, droplet_id=ids[name], access=access[name], addresses=addresses
        )
        image_args = ImagePullArgs.from_config(config, name, droplet_id=ids[name], access=access[name])
        # Neither waits for another machine; no container port opens before its rules.
        ready[name] = [
            UfwFirewall(f"{name}-ufw", ufw_args, pulumi.ResourceOptions(depends_on=[host])),
            ImagePull(f"{name}-images", image_args, pulumi.ResourceOptions(depends_on=[host])),
        ]

    # Cloudflare holds its client certificate before the edge asks for it.
    ready[bastion].append(origin_tls)
    http_args = OriginHttpArgs.from_config(config, droplet_id=ids[bastion], access=access[bastion])
    if http_args.serves:  # before Cloudflare is told to speak plain HTTP
        http_opts = pulumi.ResourceOptions(depends_on=list(ready[bastion]))
        ready[bastion].append(OriginHttp(f"{bastion}-http", http_args, http_opts))

    issued = {bastion: {ORIGIN_CERTIFICATE: origin_tls.certificate, PULL_AUTHORITIES: origin_tls.authorities}}
    stacks: dict[str, ComposeStack] = {}
    for name in order:
        stack_args = ComposeStackArgs.from_config(
            config,
            name,
            droplet_id=ids[name],
            access=access[name],
            addresses=addresses,
            issued=issued.get(name, {}),
        )
        after = pulumi.ResourceOptions(depends_on=[*before, *ready[name]])
        stacks[name] = ComposeStack(f"{name}-stack", stack_args, after)
        before = [stacks[name]]

    store = order[0]
    logins_args = OldLoginsArgs.from_config(config, store, droplet_id=ids[store], access=access[store])
    OldLogins(f"{store}-old-logins", logins_args, pulumi.ResourceOptions(depends_on=list(stacks.values())))

    zone_opts = pulumi.ResourceOptions(depends_on=before)
    before = [ZoneSettings("zone", ZoneSettingsArgs.from_config(config), zone_opts)]
    if not http_args.serves:  # after Cloudflare was told not to
        before = [OriginHttp(f"{bastion}-http", http_args, pulumi.ResourceOptions(depends_on=before))]
    dns = Dns("dns", DnsArgs.from_config(config, address=public_address), pulumi.ResourceOptions(depends_on=before))

    urns = [urn for droplet in droplets.values() for urn in droplet.urns]
    AccountProject("project", AccountProjectArgs.from_config(config, urns=urns))
    # Last: a check of a name that does not exist yet would send mail.
    alerts = MonitoringArgs.from_config(config, tags=list(firewall.tags.values()))
    Monitoring("monitoring", alerts, pulumi.ResourceOptions(depends_on=[dns]))

    export(config, droplets, stacks)


def export(config: StackConfig, droplets: dict[str, Droplet], stacks: dict[str, ComposeStack]) -> None:
    """Tell what the other commands and the next `up` need of this stack; README.md lists the names."""
    project = config.project
    billed = machines_of(project.inventory)
    pulumi.export("domain", project.settings.domain)
    pulumi.export("edge_reserved_ip", droplets[project.inventory.bastion].address)
    pulumi.export(
        "droplets",
        {
            name: {
                "id": droplet.id,
                "public_ip": droplet.public_ip,
                "private_ip": droplet.private_ip,
                "template_digest": template_digest(project, name),
                **asdict(billed[name]),
            }
            for name, droplet in droplets.items()
        },
    )
    pulumi.export("host_public_keys", config.host_keys)
    pulumi.export("ssh_user", project.settings.ssh.user)
    pulumi.export("releases", {config.bundles[name].tier: stack.digest for name, stack in stacks.items()})


if __name__ == "__main__":
    main()
