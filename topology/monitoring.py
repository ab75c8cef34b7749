"""What is watched, and when a person is told: alerts on droplets and on the public health page, as plain plans."""

from __future__ import annotations

from dataclasses import dataclass

from topology.project import Project
from topology.settings import AlertSettings, Settings

WINDOW = "5m"
"""How long a droplet is over its limit before a mail goes out. DigitalOcean takes 5m, 10m, 30m or 1h."""

DOWN_PERIOD = "2m"
"""How long the health page is down everywhere: the shortest that DigitalOcean takes."""

CERTIFICATE_DAYS = 14
"""Cloudflare renews the certificate that visitors see; two weeks before its end it did not, and a person has time."""

REGIONS = ("us_east", "eu_west")
"""Two places, so that one probe's own trouble is no outage; us_east is next to the shop."""

HEALTH_PATH = "/health"


@dataclass(frozen=True, kw_only=True)
class DropletAlert:
    """One alert for all droplets: more than `percent` of something for `WINDOW`."""

    name: str
    type: str
    percent: int


@dataclass(frozen=True, kw_only=True)
class HealthAlert:
    """One alert on the health page. `threshold` is in ms or days, by type; 1 where the type has none."""

    name: str
    type: str
    period: str
    comparison: str
    threshold: int


def droplet_alerts(alerts: AlertSettings) -> tuple[DropletAlert, ...]:
    """Plan the alerts on droplets. DigitalOcean's figure of disks is of the root disk alone, never of a volume.

    Source: https://docs.digitalocean.com/products/monitoring/how-to/set-up-alerts/
    """
    metric = "v1/insights/droplet"
    return (
        DropletAlert(name="cpu", type=f"{metric}/cpu", percent=alerts.cpu_percent),
        DropletAlert(name="memory", type=f"{metric}/memory_utilization_percent", percent=alerts.memory_percent),
        DropletAlert(name="disk", type=f"{metric}/disk_utilization_percent", percent=alerts.disk_percent),
    )


def health_alerts(alerts: AlertSettings) -> tuple[HealthAlert, ...]:
    """Plan the alerts on the health page: gone everywhere, slow, its certificate near its end.

    Source of types and units: https://docs.digitalocean.com/reference/doctl/reference/monitoring/uptime/alert/create/
    """
    return (
        # Neither has a meaning here; DigitalOcean fills in these, and what is left out would differ after each refresh.
        HealthAlert(name="down", type="down_global", period=DOWN_PERIOD, comparison="less_than", threshold=1),
        HealthAlert(name="slow", type="latency", period=WINDOW, comparison="greater_than", threshold=alerts.latency_ms),
        HealthAlert(
            name="certificate", type="ssl_expiry", period="1h", comparison="less_than", threshold=CERTIFICATE_DAYS
        ),
    )


def health_url(settings: Settings) -> str:
    """Give the public health page, which the edge answers under every name.

    Always https: visitors reach Cloudflare by it in each mode of TLS, while Cloudflare may answer http with a redirect
    of its own, without asking the edge.
    """
    return f"https://{settings.domain}{HEALTH_PATH}"


def account_environment(project: Project) -> str:
    """Give DigitalOcean's word for the stack's environment: Development, Staging or Production."""
    return project.settings.environment.capitalize()
