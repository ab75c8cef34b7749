"""The whole platform in reading order. Stacks differ by their settings only, so nothing here asks which stack it is.

Loading and checking come first: a wrong setting is refused before any resource is declared.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
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
from components.machine import machines_of
from components.monitoring import Monitoring, MonitoringArgs
from components.network import Network, NetworkArgs
from components.old_logins import OldLogins, OldLoginsArgs
from components.origin_http import OriginHttp, OriginHttpArgs
from components.origin_tls import OriginTls, OriginTlsArgs
from components.stack_config import StackConfig, load_stack_config
from components.ufw_firewall import UfwFirewall, UfwFirewallArgs
from components.zone_settings import ZoneSettings, ZoneSettingsArgs
from topology.cloud_init import template_digest
from topology.costs import billed_machines
from topology.secrets import ORIGIN_CERTIFICATE, PULL_AUTHORITIES

ROOT = Path(__file__).resolve().parent


def main() -> None:
    """Declare the stack. Raises RunError, which Pulumi shows without a traceback, for wrong settings."""
    config = load_stack_config(ROOT)
    project = config.project
    stages, bastion = project.inventory.stages, project.inventory.bastion

    # The walls: no machine is born in the open.
    network = Network("network", NetworkArgs.from_config(config))
    firewall = CloudFirewall("cloud-firewall", CloudFirewallArgs.from_config(config))
    origin_tls = OriginTls("origin-tls", OriginTlsArgs.from_config(config))
    ssh_key = digitalocean.SshKey("login-key", name=project.physical_name("login"), public_key=config.login_key)

    # The machines, stage by stage: infra, vertical, edge.
    droplets: dict[str, Droplet] = {}
    for stage in stages:
        walls_and_earlier = after(network, firewall, *droplets.values())
        for name in stage:
            droplet_args = DropletArgs.from_config(config, name, vpc_id=network.id, ssh_key_id=ssh_key.id)
            droplets[name] = Droplet(name, droplet_args, walls_and_earlier)
    machines = machines_of(config, droplets)

    # Each is made ready by SSH. The bastion first: the others are reached through it, by addresses that it must know.
    gate = Host(f"{bastion}-host", HostArgs.from_config(config, machines[bastion]), after(*droplets.values()))
    inner = {
        name: Host(f"{name}-host", HostArgs.from_config(config, machine), after(gate))
        for name, machine in machines.items()
        if name != bastion
    }
    hosts = {bastion: gate, **inner}

    # What a tier needs on its own machine, whatever others do: rules before a port opens, images before they run.
    needs: dict[str, list[pulumi.Resource]] = {
        name: [
            UfwFirewall(f"{name}-ufw", UfwFirewallArgs.from_config(config, machine), after(hosts[name])),
            ImagePull(f"{name}-images", ImagePullArgs.from_config(config, machine), after(hosts[name])),
        ]
        for name, machine in machines.items()
    }
    edges = project.inventory.edges
    plain_http = {
        edge: partial(OriginHttp, f"{edge}-http", OriginHttpArgs.from_config(config, machines[edge])) for edge in edges
    }
    for edge in edges:
        needs[edge].append(origin_tls)  # Cloudflare holds its client certificate before the edge asks for it
        if config.serves_plain_http:  # before Cloudflare is set to use it
            needs[edge].append(plain_http[edge](after(*needs[edge])))

    # The tiers, stage by stage: each finds what it speaks to.
    certificates = {ORIGIN_CERTIFICATE: origin_tls.certificate, PULL_AUTHORITIES: origin_tls.authorities}
    issued = dict.fromkeys(edges, certificates)
    tiers: dict[str, ComposeStack] = {}
    for stage in stages:
        earlier = tuple(tiers.values())
        for name in stage:
            tier_args = ComposeStackArgs.from_config(config, machines[name], issued=issued.get(name))
            tiers[name] = ComposeStack(f"{name}-stack", tier_args, after(gate, *earlier, *needs[name]))
    store = project.inventory.store
    OldLogins(f"{store}-old-logins", OldLoginsArgs.from_config(config, machines[store]), after(*tiers.values()))

    # The world: how Cloudflare connects to the edge, the names, and alerts when they do not answer.
    zone = ZoneSettings("zone", ZoneSettingsArgs.from_config(config), after(*tiers.values()))
    spoken: list[pulumi.Resource] = [zone]
    if not config.serves_plain_http:  # closed when Cloudflare does not use it any more
        spoken = [close(after(zone)) for close in plain_http.values()]
    dns = Dns("dns", DnsArgs.from_config(config, address=droplets[bastion].address), after(*spoken))
    # Last: a check of a name that does not exist yet would send mail.
    Monitoring("monitoring", MonitoringArgs.from_config(config, tags=list(firewall.tags.values())), after(dns))
    urns = [urn for droplet in droplets.values() for urn in droplet.urns]
    AccountProject("project", AccountProjectArgs.from_config(config, urns=urns))

    export(config, droplets, tiers)


def after(*resources: pulumi.Resource) -> pulumi.ResourceOptions:
    """Return options that let a component wait for all of these, with all their children."""
    return pulumi.ResourceOptions(depends_on=list(resources))


def export(config: StackConfig, droplets: dict[str, Droplet], tiers: dict[str, ComposeStack]) -> None:
    """Export what other commands and the next `up` need of this stack; docs/topology.md lists the names."""
    project = config.project
    billed = billed_machines(project.inventory)
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
    pulumi.export("releases", {config.bundles[name].tier: tier.digest for name, tier in tiers.items()})


if __name__ == "__main__":
    main()
