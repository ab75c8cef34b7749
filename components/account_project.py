"""The stack's project in the DigitalOcean account: what bills, lists and permissions are grouped by.

Droplets and volumes are put into it one by one (`ProjectResources`) and never by the project's own `resources`: that
list must be complete, and the API returns a reserved IP of the stack as `do:floatingip:...`, so each `up` would try to
move the address out, which the API refuses while it is assigned to a droplet. The account decides where the address is
listed. Source: https://github.com/digitalocean/terraform-provider-digitalocean/issues/1264

A project takes no VPCs, firewalls, tags, keys or alerts.
Source: https://docs.digitalocean.com/reference/terraform/reference/resources/project_resources/
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import pulumi
import pulumi_digitalocean as digitalocean

from components.stack_config import StackConfig
from topology.monitoring import account_environment


@dataclass(frozen=True, kw_only=True)
class AccountProjectArgs:
    """`urns` are DigitalOcean's names of resources, such as `do:droplet:4000`."""

    project_name: str
    description: str
    environment: str
    urns: Sequence[pulumi.Input[str]]

    @classmethod
    def from_config(cls, config: StackConfig, *, urns: Sequence[pulumi.Input[str]]) -> Self:
        """Plan the stack's project."""
        project = config.project
        return cls(
            project_name=project.physical_name("platform"),
            description=f"Stack {project.stack} of BaseCommerce: {project.settings.domain}",
            environment=account_environment(project),
            urns=urns,
        )


class AccountProject(pulumi.ComponentResource):
    """A project, and what is in it. Outputs: `id`."""

    id: pulumi.Output[str]

    def __init__(self, name: str, args: AccountProjectArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("basecommerce:project:AccountProject", name, {}, opts)
        project = digitalocean.Project(
            f"{name}-group",
            name=args.project_name,
            description=args.description,
            purpose="Web Application",
            environment=args.environment,
            opts=pulumi.ResourceOptions(parent=self),
        )
        digitalocean.ProjectResources(
            f"{name}-members",
            project=project.id,
            resources=args.urns,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.id = project.id
        self.register_outputs({"id": self.id})
