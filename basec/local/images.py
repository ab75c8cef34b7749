"""The images of a local stack: which ones the last `up` built, and whether all required ones exist."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from basec.environments import Environment
from basec.io.console import complain
from basec.io.files import NO_DOCUMENT, damaged, write_private
from basec.io.programs import Program
from topology.project import Project


def kept_images(environment: Environment) -> Mapping[str, Any] | None:
    """Return what the last `up` built, so that a preview need not build; None also for a damaged file."""
    file = environment.images_file
    try:
        return read_images(json.loads(file.read_text()))
    except FileNotFoundError:
        return None
    except NO_DOCUMENT as error:
        complain(damaged(environment.name, file, error, f"basec up --env {environment.name} rebuilds it").render())
        return None


def read_images(built: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the parts that we need of the local cloud's list of images. Raises KeyError, TypeError and ValueError."""
    return {
        "tag": str(built["tag"]),
        "for": built["for"],
        "services": dict(built["services"]),
        "references": list(built["references"]),
    }


def keep_images(environment: Environment, built: Mapping[str, Any]) -> None:
    """Store what was built, for `kept_images`."""
    write_private(environment.images_file, json.dumps(built, indent=2) + "\n")


def require_images(project: Project, built: Mapping[str, Any] | None) -> None:
    """Refuse images that were neither built nor pushed into the local registry. Raises ProgramError."""
    others = [] if built is None else sorted(set(project.images().values()) - set(built["references"]))
    if others:
        Program("localcloud", ["has", *others]).run()
