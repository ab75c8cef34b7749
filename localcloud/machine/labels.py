"""The labels that everything of a cloud carries; `down` and adoption go by them."""

from __future__ import annotations

from collections.abc import Mapping

CLOUD = "basecommerce.cloud"
URN = "basecommerce.urn"
KIND = "basecommerce.kind"
ID = "basecommerce.id"
SPEC = "basecommerce.spec"


def arguments(labels: Mapping[str, str]) -> tuple[str, ...]:
    """Write labels as arguments of a `docker ... create`."""
    return tuple(word for name, value in sorted(labels.items()) for word in ("--label", f"{name}={value}"))
