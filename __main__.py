"""The whole platform in reading order. Stacks differ by their settings only, so nothing here asks which stack it is.

Loading and checking come first: a wrong setting is refused before any resource is declared.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pulumi
import pulumi_digitalocean as digitalocean

from components.cloud_firewall import CloudFirewall, CloudFirewallArgs, DropletRules
from components.compose_stack import ComposeStack, ComposeStackArgs
from components.dns import Dns, DnsArgs
from components.droplet import Droplet, DropletArgs, VolumeArgs
from components.host import Host, HostArgs, MountArgs
from components.network import Network, NetworkArgs
from components.remote import Access, Endpoint
from components.ufw_firewall import UfwFirewall, UfwFirewallArgs
from topology.bundle import Bundle, build_bundle
from topology.cloud_init import render_user_data, template_digest
from topology.errors import ConfigurationError
from topology.firewall import cloud_rules, docker_user_rules, ufw_rules
from topology.inventory import load_inventory
from topology.keys import public_key
from topology.project import PROJECT, Project, load_project, required_secrets
from topology.secrets import check_secrets, service_secrets
from topology.settings import OPTIONAL_SECRET_KEYS, SECRET_KEYS, host_key_secret

ROOT = Path(__file__).resolve().parent


def main() -> None:
    """Declare the stack. Raises RunError, which Pulumi shows without a traceback, for wrong settings."""
    try:
        project = _load()
        bundles = {name: build_bundle(project, project.droplet(name).role) for name in project.inventory.droplets}
    except ConfigurationError as error:
        raise pulumi.RunError(error.render()) from None
    _declare(project, bundles)


def _load() -> Project:
    try:
        known = required_secrets(load_inventory(ROOT / "inventory.yaml"))
    except ConfigurationError:
        known = SECRET_KEYS  # load_project reports the inventory with everything else
    keys = {name: name if ":" in name else f"{PROJECT}:{name}" for name in (*known, *OPTIONAL_SECRET_KEYS)}
    values = {name: value for name, key in keys.items() if (value := pulumi.runtime.get_config(key))}
    raw = pulumi.Config(PROJECT).get_object("settings")
    project = load_project(ROOT, pulumi.get_stack(), raw, tuple(values))
    check_secrets(project, values)
    return project


def _declare(project: Project, bundles: Mapping[str, Bundle]) -> None:
    settings, inventory = project.settings, project.inventory
    config = pulumi.Config(PROJECT)
    # Pulumi's own settings of the providers are not ours to pass on.
    keys = [name for name in required_secrets(inventory) if ":" not in name]
    secrets = {name: config.require_secret(name) for name in keys}
    # A public key is derived from its secret, but is none itself.
    host_keys = {name: _public(secrets[host_key_secret(name)]) for name in inventory.droplets}
    login_key = _public(secrets["login_private_key"])
    order = [name for role in ("infra", "vertical", "edge") for name in inventory.by_role(role)]
    bastion = inventory.bastion

    network_args = NetworkArgs(
        vpc_name=project.physical_name("vpc"), region=settings.region, ip_range=settings.vpc_ip_range
    )
    network = Network("network", network_args)
    rules = {
        name: DropletRules(
            firewall_name=project.physical_name(name), tag=project.droplet_tag(name), rules=cloud_rules(project, name)
        )
        for name in order
    }
    firewall = CloudFirewall("cloud-firewall", CloudFirewallArgs(droplets=rules))
    ssh_key = digitalocean.SshKey("login-key", name=project.physical_name("login"), public_key=login_key)

    droplets: dict[str, Droplet] = {}
    before: list[pulumi.Resource] = [network, firewall]  # no machine is born in the open
    for name in order:
        spec = project.droplet(name)
        volume = spec.volume
        args = DropletArgs(
            droplet_name=project.physical_name(name),
            region=settings.region,
            size=spec.size,
            image=spec.image,
            tags=project.tags(name),
            vpc_id=network.id,
            ssh_key_id=ssh_key.id,
            user_data=pulumi.Output.all(login_key, secrets[host_key_secret(name)]).apply(
                partial(_user_data, project, name)
            ),
            protect=settings.protect,
            reserved_ip=spec.reserved_ip,
            volume=VolumeArgs(name=project.physical_name(volume.name), size_gib=volume.size_gib) if volume else None,
        )
        droplets[name] = Droplet(name, args, pulumi.ResourceOptions(depends_on=before))
        before = [droplets[name]]

    addresses = {name: droplet.private_ip for name, droplet in droplets.items()}
    bastion_endpoint = Endpoint(address=droplets[bastion].address, host_key=host_keys[bastion])
    access = {
        name: Access(
            user=settings.ssh.user,
            private_key=secrets["login_private_key"],
            target=Endpoint(address=addresses[name], host_key=host_keys[name]),
            bastion=bastion_endpoint,
        )
        for name in order
    }
    access[bastion] = Access(user=settings.ssh.user, private_key=secrets["login_private_key"], target=bastion_endpoint)

    before = list(droplets.values())  # the bastion forwards to its peers' addresses
    for name in (bastion, *(other for other in order if other != bastion)):
        volume = project.droplet(name).volume
        host = Host(
            f"{name}-host",
            HostArgs(
                droplet_name=name,
                droplet_id=droplets[name].id,
                access=access[name],
                authorized_key=login_key,
                bastion_address=addresses[bastion],
                memory_mib=project.size(name).memory_mib,
                forward_to={other: addresses[other] for other in order if other != bastion} if name == bastion else {},
                mount=MountArgs(volume_name=project.physical_name(volume.name), label=volume.label, mount=volume.mount)
                if volume
                else None,
            ),
            pulumi.ResourceOptions(depends_on=before),
        )
        before = [host]

    stacks: dict[str, ComposeStack] = {}
    for name in order:
        ufw = UfwFirewall(
            f"{name}-ufw",
            UfwFirewallArgs(
                droplet_name=name,
                droplet_id=droplets[name].id,
                access=access[name],
                addresses=addresses,
                machine_rules=partial(ufw_rules, project, name),
                container_rules=partial(docker_user_rules, project, name),
            ),
            pulumi.ResourceOptions(depends_on=before),
        )
        stacks[name] = ComposeStack(
            f"{name}-stack",
            ComposeStackArgs(
                droplet_name=name,
                droplet_id=droplets[name].id,
                access=access[name],
                bundle=bundles[name],
                addresses=addresses,
                secrets=secrets,
                secret_files=partial(service_secrets, project, project.droplet(name).role),
            ),
            pulumi.ResourceOptions(depends_on=[ufw]),  # no container port opens before its rules
        )
        before = [stacks[name]]

    dns_args = DnsArgs(zone_id=settings.cloudflare.zone_id, domain=settings.domain, address=droplets[bastion].address)
    Dns("dns", dns_args, pulumi.ResourceOptions(depends_on=before))

    pulumi.export("domain", settings.domain)
    pulumi.export("url", f"https://{settings.domain}")
    pulumi.export("edge_reserved_ip", droplets[bastion].address)
    pulumi.export(
        "droplets",
        {
            name: {
                "id": droplet.id,
                "public_ip": droplet.public_ip,
                "private_ip": droplet.private_ip,
                "template_digest": template_digest(project, name),
            }
            for name, droplet in droplets.items()
        },
    )
    pulumi.export("host_public_keys", host_keys)
    pulumi.export("ssh_user", settings.ssh.user)
    pulumi.export("releases", {bundles[name].tier: stack.digest for name, stack in stacks.items()})


def _user_data(project: Project, name: str, keys: list[str]) -> str:
    login_key, host_key = keys
    return render_user_data(project, name, login_key, host_key)


def _public(private_key: pulumi.Output[str]) -> pulumi.Output[str]:
    return pulumi.Output.unsecret(private_key.apply(public_key))


if __name__ == "__main__":
    main()
