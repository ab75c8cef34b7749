"""The firewall outside the droplets: the real wall, since neither Docker nor root on a droplet can get around it.

Keyed on one tag for each droplet and made before any droplet, so that no machine is ever born in the open. UFW and
Docker's chain inside the droplets are in `ufw_firewall.py`; `topology` plans both from the same table.
A list without rules admits nothing, in either direction.
Source: https://docs.digitalocean.com/products/networking/firewalls/details/features/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import pulumi
import pulumi_digitalocean as digitalocean

from components.stack_config import StackConfig
from topology.firewall import CloudRules, cloud_rules


@dataclass(frozen=True, kw_only=True)
class DropletRules:
    """The firewall of one droplet: its physical name, the tag it is keyed on, and its plan."""

    firewall_name: str
    tag: str
    rules: CloudRules


@dataclass(frozen=True, kw_only=True)
class CloudFirewallArgs:
    """`droplets` maps the inventory's droplet names to their plans."""

    droplets: Mapping[str, DropletRules]

    @classmethod
    def from_config(cls, config: StackConfig) -> Self:
        """Plan the firewalls of all droplets."""
        project = config.project
        plans = {
            name: DropletRules(
                firewall_name=project.physical_name(name),
                tag=project.droplet_tag(name),
                rules=cloud_rules(project, name),
            )
            for name in project.inventory.droplets
        }
        return cls(droplets=plans)


class CloudFirewall(pulumi.ComponentResource):
    """A tag and a firewall for each droplet. Outputs: `tags` (droplet name -> tag)."""

    tags: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: CloudFirewallArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("basecommerce:firewall:CloudFirewall", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        tags = {
            droplet: digitalocean.Tag(f"{name}-{droplet}-tag", name=plan.tag, opts=child)
            for droplet, plan in args.droplets.items()
        }
        for droplet, plan in args.droplets.items():
            digitalocean.Firewall(
                f"{name}-{droplet}",
                name=plan.firewall_name,
                tags=[tags[droplet].name],
                inbound_rules=_inbound(plan.rules),
                outbound_rules=_outbound(plan.rules),
                # The API refuses a rule whose source tag does not exist yet.
                opts=pulumi.ResourceOptions(parent=self, depends_on=list(tags.values())),
            )
        self.tags = {droplet: tag.name for droplet, tag in tags.items()}
        self.register_outputs({"tags": self.tags})


def _inbound(rules: CloudRules) -> list[digitalocean.FirewallInboundRuleArgs]:
    return [
        digitalocean.FirewallInboundRuleArgs(
            protocol=rule.protocol,
            port_range=rule.port_range,
            source_addresses=list(rule.source_addresses) or None,
            source_tags=list(rule.source_tags) or None,
        )
        for rule in rules.inbound
    ]


def _outbound(rules: CloudRules) -> list[digitalocean.FirewallOutboundRuleArgs]:
    return [
        digitalocean.FirewallOutboundRuleArgs(
            protocol=rule.protocol,
            port_range=rule.port_range,
            destination_addresses=list(rule.destination_addresses),
        )
        for rule in rules.outbound
    ]
