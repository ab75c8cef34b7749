"""How Cloudflare treats the zone: which TLS it uses to the edge, and what it requires of visitors.

A deleted setting stays at Cloudflare (the provider does nothing), so a destroyed stack leaves its zone as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import pulumi
import pulumi_cloudflare as cloudflare

from components.stack_config import StackConfig
from topology.settings import zone_settings


@dataclass(frozen=True, kw_only=True)
class ZoneSettingsArgs:
    """`values` are by Cloudflare's setting id, such as `min_tls_version`."""

    zone_id: str
    values: Mapping[str, str]

    @classmethod
    def from_config(cls, config: StackConfig) -> Self:
        """Plan the settings of the stack's zone."""
        settings = config.project.settings
        return cls(zone_id=settings.cloudflare.zone_id, values=zone_settings(settings))


class ZoneSettings(pulumi.ComponentResource):
    """One resource for each setting. Outputs: `values` by setting id."""

    values: pulumi.Output[Mapping[str, str]]

    def __init__(self, name: str, args: ZoneSettingsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("basecommerce:tls:ZoneSettings", name, {}, opts)
        settings = {
            key: cloudflare.ZoneSetting(
                f"{name}-{key.replace('_', '-')}",
                zone_id=args.zone_id,
                setting_id=key,
                value=value,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for key, value in args.values.items()
        }
        self.values = pulumi.Output.all(**{key: setting.value for key, setting in settings.items()})
        self.register_outputs({"values": self.values})
