"""The labels of everything in a cloud; `down` and adoption use them."""

from __future__ import annotations

from collections.abc import Mapping

from localcloud.naming import NAMESPACE

CLOUD = f"{NAMESPACE}.cloud"
URN = f"{NAMESPACE}.urn"
KIND = f"{NAMESPACE}.kind"
ID = f"{NAMESPACE}.id"
SPEC = f"{NAMESPACE}.spec"


def arguments(labels: Mapping[str, str]) -> tuple[str, ...]:
    """Return labels as arguments of a `docker ... create`."""
    return tuple(word for name, value in sorted(labels.items()) for word in ("--label", f"{name}={value}"))
