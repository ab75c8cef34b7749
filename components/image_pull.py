"""A tier's images on its droplet, pulled as soon as the machine is ready.

Downloads need no order: while PostgreSQL starts on infra, vertical and edge fetch what they will run. It is a component
of its own because `depends_on` of a ComposeStack holds for all its children. The activation pulls as well, so that an
image that was removed by hand comes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import pulumi

from components.machine import Machine
from components.remote import command, read_script
from components.stack_config import StackConfig


@dataclass(frozen=True, kw_only=True)
class ImagePullArgs:
    """`images` are full references."""

    machine: Machine
    images: Sequence[str]

    @classmethod
    def from_config(cls, config: StackConfig, machine: Machine) -> Self:
        """Plan the images of a machine's tier."""
        return cls(machine=machine, images=config.bundles[machine.name].images)


class ImagePull(pulumi.ComponentResource):
    """A tier's images, on its droplet. Outputs: `images`, once they are there."""

    images: pulumi.Output[Sequence[str]]

    def __init__(self, name: str, args: ImagePullArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("basecommerce:images:ImagePull", name, {}, opts)
        pull = command(
            f"{name}-pull",
            machine=args.machine,
            title=f"pull-images {args.machine.name}",
            script=read_script("pull-images.sh"),
            arguments=tuple(args.images),
            timeout="80m",  # five images; each pull ends by itself after 15 minutes
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.images = pull.id.apply(lambda _: args.images)
        self.register_outputs({"images": self.images})
