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

from components.remote import Access, command, command_text, read_script
from components.stack_config import StackConfig


@dataclass(frozen=True, kw_only=True)
class ImagePullArgs:
    """`images` are full references."""

    droplet_name: str
    droplet_id: pulumi.Input[str]
    access: Access
    images: Sequence[str]

    @classmethod
    def from_config(cls, config: StackConfig, name: str, *, droplet_id: pulumi.Input[str], access: Access) -> Self:
        """Name what the tier of a droplet of the inventory runs."""
        return cls(droplet_name=name, droplet_id=droplet_id, access=access, images=config.bundles[name].images)


class ImagePull(pulumi.ComponentResource):
    """A tier's images, on its droplet. Outputs: `images`, once they are there."""

    images: pulumi.Output[Sequence[str]]

    def __init__(self, name: str, args: ImagePullArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("basecommerce:images:ImagePull", name, {}, opts)

        def text(droplet_id: str) -> str:
            return command_text(
                droplet_id=droplet_id,
                title=f"pull-images {args.droplet_name}",
                script=read_script("pull-images.sh"),
                variables={},
                arguments=tuple(args.images),
            )

        pull = command(
            f"{name}-pull",
            access=args.access,
            text=pulumi.Output.from_input(args.droplet_id).apply(text),
            timeout="80m",  # five images, each of which ends by itself after 15 minutes
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.images = pull.id.apply(lambda _: args.images)
        self.register_outputs({"images": self.images})
