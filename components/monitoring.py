"""Alerts: droplets that run short of CPU, memory or disk, and the shop's health page as the internet sees it.

One alert per metric covers all droplets of the stack, by the tags of their firewalls; the mail names the droplet. The
figures come from an agent that `monitoring=True` installs on each droplet (`droplet.py`). What is watched, and the
limits, are planned in `topology/monitoring.py`.

The account must have verified the addresses: the API refuses others with `invalid email`. Source:
https://github.com/digitalocean/openapi/pull/830
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import pulumi
import pulumi_digitalocean as digitalocean

from components.stack_config import StackConfig
from topology.monitoring import REGIONS, WINDOW, DropletAlert, HealthAlert, droplet_alerts, health_alerts, health_url


@dataclass(frozen=True, kw_only=True)
class MonitoringArgs:
    """`tags` are those of the droplets, as resources, so that they exist first; `prefix` begins every shown name."""

    prefix: str
    emails: tuple[str, ...]
    tags: Sequence[pulumi.Input[str]]
    on_droplets: tuple[DropletAlert, ...]
    health_url: str
    on_health: tuple[HealthAlert, ...]

    @classmethod
    def from_config(cls, config: StackConfig, *, tags: Sequence[pulumi.Input[str]]) -> Self:
        """Plan the stack's alerts."""
        project = config.project
        alerts = project.settings.alerts
        return cls(
            prefix=project.physical_name(""),
            emails=alerts.emails,
            tags=tags,
            on_droplets=droplet_alerts(alerts),
            health_url=health_url(project.settings),
            on_health=health_alerts(alerts),
        )


class Monitoring(pulumi.ComponentResource):
    """Alerts on droplets, an uptime check, and alerts on it. Outputs: `check_id`."""

    check_id: pulumi.Output[str]

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("basecommerce:monitoring:Monitoring", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        for plan in args.on_droplets:
            digitalocean.MonitorAlert(
                f"{name}-{plan.name}",
                description=f"{args.prefix}{plan.name}: over {plan.percent} % for {WINDOW}",
                type=plan.type,
                compare="GreaterThan",
                value=plan.percent,
                window=WINDOW,
                tags=args.tags,
                alerts=digitalocean.MonitorAlertAlertsArgs(emails=list(args.emails)),
                opts=child,
            )
        check = digitalocean.UptimeCheck(
            f"{name}-health",
            name=f"{args.prefix}health",
            target=args.health_url,
            type="https",
            regions=list(REGIONS),
            opts=child,
        )
        for alert in args.on_health:
            digitalocean.UptimeAlert(
                f"{name}-health-{alert.name}",
                name=f"{args.prefix}health-{alert.name}",
                check_id=check.id,
                type=alert.type,
                period=alert.period,
                comparison=alert.comparison,
                threshold=alert.threshold,
                notifications=[digitalocean.UptimeAlertNotificationArgs(emails=list(args.emails))],
                opts=child,
            )
        self.check_id = check.id
        self.register_outputs({"check_id": self.check_id})
