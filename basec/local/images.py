"""The images of a local stack: which are asked for, which the last `up` built, and whether all are there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from basec.environments import Environment
from basec.io.console import complain
from basec.io.files import NO_DOCUMENT, damaged
from basec.io.programs import Program
from basec.local.rendering import TEMPLATE
from basec.secrets.stack_file import SETTINGS_KEY, read_mapping
from topology.project import Project


def asked_tag(environment: Environment) -> str:
    """Give the template's `images.tag`, once its settings were checked."""
    settings = read_mapping(environment.root / TEMPLATE)["config"][SETTINGS_KEY]
    return str(settings["images"]["tag"])


def kept_images(environment: Environment) -> Mapping[str, Any] | None:
    """Give what the last `up` built, so that a preview does not have to build any; a damaged file is as none."""
    file = environment.images_file
    try:
        built = json.loads(file.read_text())
        return {"tag": str(built["tag"]), "for": built["for"], "services": dict(built["services"]),
                "references": list(built["references"])}  # fmt: skip
    except FileNotFoundError:
        return None
    except NO_DOCUMENT as error:
        complain(damaged(environment.name, file, error, f"basec up --env {environment.name} makes it anew").render())
        return None


def require_images(project: Project, built: Mapping[str, Any] | None) -> None:
    """Refuse images that were neither built nor pushed into the local registry. Raises ProgramError."""
    others = [] if built is None else sorted(set(project.images().values()) - set(built["references"]))
    if others:
        Program("localcloud", ["has", *others]).run()
