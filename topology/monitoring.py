"""What is watched, and when it raises an alert: on droplets and on the public health page, as plain plans."""

from __future__ import annotations

from dataclasses import dataclass

from topology.project import Project
from topology.settings import AlertSettings, Settings

WINDOW = "5m"
"""How long a droplet is over its limit before a mail goes out. DigitalOcean accepts 5m, 10m, 30m or 1h."""

DOWN_PERIOD = "2m"
"""How long the health page is down everywhere: the shortest that DigitalOcean accepts."""

CERTIFICATE_DAYS = 14
"""Cloudflare renews the certificate that visitors see. If it has not done so by then, two weeks are left to act."""

REGIONS = ("us_east", "eu_west")
"""Two places, so that trouble of one probe is not taken for an outage; us_east is next to the shop."""

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
    """Plan the alerts on the health page: down everywhere, slow, its certificate near expiry.

    Source of types and units: https://docs.digitalocean.com/reference/doctl/reference/monitoring/uptime/alert/create/
    """
    return (
        # Comparison and threshold mean nothing here, but DigitalOcean fills them in: if left out, each refresh differs.
        HealthAlert(name="down", type="down_global", period=DOWN_PERIOD, comparison="less_than", threshold=1),
        HealthAlert(name="slow", type="latency", period=WINDOW, comparison="greater_than", threshold=alerts.latency_ms),
        HealthAlert(
            name="certificate", type="ssl_expiry", period="1h", comparison="less_than", threshold=CERTIFICATE_DAYS
        ),
    )


def health_url(settings: Settings) -> str:
    """Return the URL of the public health page, which the edge serves under every name.

    Always https: it works in each mode of TLS, while Cloudflare may redirect http without asking the edge.
    """
    return f"https://{settings.domain}{HEALTH_PATH}"


def account_environment(project: Project) -> str:
    """Return DigitalOcean's word for the stack's environment: Development, Staging or Production."""
    return project.settings.environment.capitalize()
