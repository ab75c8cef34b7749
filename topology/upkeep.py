"""What still works but needs attention: reported at each preview and `up`, and never a reason to refuse."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from topology.errors import Problem
from topology.names import SETTINGS_KEY
from topology.project import Project

RANGES_MAX_AGE_DAYS = 90
"""The list changes rarely and on no fixed day; a missing range means error 522 for some visitors."""


def warnings(project: Project, today: datetime.date) -> Iterator[Problem]:
    """Yield a warning for what is old. A local stack has the address of its stand-in instead of Cloudflare's list."""
    age = (today - project.settings.cloudflare.ranges_date).days
    if not project.local and age > RANGES_MAX_AGE_DAYS:
        yield Problem(
            file=f"Pulumi.{project.stack}.yaml",
            path=f"{SETTINGS_KEY}.cloudflare.ranges_date",
            message=f"warning: the list of Cloudflare's ranges is {age} days old",
            hint=f"run `basec cloudflare ranges --refresh --env {project.stack}`",
        )
