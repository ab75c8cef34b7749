"""The firewall on one droplet: UFW for the machine's own ports, Docker's user chain for published ones.

The firewall outside is in `cloud_firewall.py`; this one also holds between machines of the private network. UFW is on
from the first boot (cloud-init); here port 22 narrows to the bastion's address and the rest of the table is admitted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Self

import pulumi

from components.machine import Machine
from components.remote import command, read_script
from components.stack_config import StackConfig
from topology.firewall import HostRule, docker_user_rules, rule_table, ufw_rules

Plan = Callable[[Mapping[str, str]], tuple[HostRule, ...]]
"""Returns rules for the private addresses (droplet name -> address), once they are known."""


@dataclass(frozen=True, kw_only=True)
class UfwFirewallArgs:
    """The rules are functions, since addresses are known late."""

    machine: Machine
    machine_rules: Plan
    container_rules: Plan

    @classmethod
    def from_config(cls, config: StackConfig, machine: Machine) -> Self:
        """Plan the packet filter of a machine of the inventory."""
        return cls(
            machine=machine,
            machine_rules=partial(ufw_rules, config.project, machine.name),
            container_rules=partial(docker_user_rules, config.project, machine.name),
        )


class UfwFirewall(pulumi.ComponentResource):
    """The packet filter of one droplet. Outputs: `table`, the rules as applied."""

    table: pulumi.Output[str]

    def __init__(self, name: str, args: UfwFirewallArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("basecommerce:firewall:UfwFirewall", name, {}, opts)

        machine = args.machine

        def render(addresses: Mapping[str, str]) -> str:
            return rule_table(args.machine_rules(addresses), args.container_rules(addresses), addresses, machine.name)

        self.table = pulumi.Output.all(**machine.addresses).apply(render)
        command(
            f"{name}-rules",
            machine=machine,
            title=f"apply-firewall {machine.name}",
            script=read_script("lib.sh", "apply-firewall.sh"),
            stdin=self.table,
            timeout="5m",
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"table": self.table})
