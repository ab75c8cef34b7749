"""The firewall on one droplet: UFW for the machine's own ports, Docker's user chain for published ones.

The wall outside is in `cloud_firewall.py`; this one also holds between machines of the private network. UFW is on from
the first boot (cloud-init); here 22 narrows to the bastion's address and the rest of the table is admitted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Self

import pulumi

from components.remote import Access, command, command_text, read_script
from components.stack_config import StackConfig
from topology.firewall import HostRule, docker_user_rules, rule_table, ufw_rules

Plan = Callable[[Mapping[str, str]], tuple[HostRule, ...]]
"""Gives rules once the private addresses (droplet name -> address) are known."""


@dataclass(frozen=True, kw_only=True)
class UfwFirewallArgs:
    """`addresses` are the private addresses of all droplets, this one's among them."""

    droplet_name: str
    droplet_id: pulumi.Input[str]
    access: Access
    addresses: Mapping[str, pulumi.Input[str]]
    machine_rules: Plan
    container_rules: Plan

    @classmethod
    def from_config(
        cls,
        config: StackConfig,
        name: str,
        *,
        droplet_id: pulumi.Input[str],
        access: Access,
        addresses: Mapping[str, pulumi.Input[str]],
    ) -> Self:
        """Plan the packet filter of a droplet of the inventory."""
        return cls(
            droplet_name=name,
            droplet_id=droplet_id,
            access=access,
            addresses=addresses,
            machine_rules=partial(ufw_rules, config.project, name),
            container_rules=partial(docker_user_rules, config.project, name),
        )


class UfwFirewall(pulumi.ComponentResource):
    """The packet filter of one droplet. Outputs: `table`, the rules as applied."""

    table: pulumi.Output[str]

    def __init__(self, name: str, args: UfwFirewallArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("basecommerce:firewall:UfwFirewall", name, {}, opts)

        def render(values: Mapping[str, str]) -> str:
            return rule_table(args.machine_rules(values), args.container_rules(values), values, args.droplet_name)

        def text(droplet_id: str) -> str:
            return command_text(
                droplet_id=droplet_id,
                title=f"apply-firewall {args.droplet_name}",
                script=read_script("lib.sh", "apply-firewall.sh"),
                variables={},
            )

        self.table = pulumi.Output.all(**args.addresses).apply(render)
        command(
            f"{name}-rules",
            access=args.access,
            text=pulumi.Output.from_input(args.droplet_id).apply(text),
            stdin=self.table,
            timeout="5m",
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"table": self.table})
