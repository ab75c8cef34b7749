"""A zone's TLS: its settings and its client certificate for origins, read from the cloud's documents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.errors import NO_DOCUMENT, damaged

ZONE_SETTING = "zone_setting"
ORIGIN_PULLS_SETTING = "origin_pulls_setting"
ORIGIN_PULLS_CERTIFICATE = "origin_pulls_certificate"
KINDS = (ZONE_SETTING, ORIGIN_PULLS_SETTING, ORIGIN_PULLS_CERTIFICATE)
"""Kinds of documents that change what the stand-in does."""
DEFAULTS = {"ssl": "flexible", "always_use_https": "off", "min_tls_version": "1.0"}
"""Defaults of a zone."""
TLS_VERSIONS = ("1.0", "1.1", "1.2", "1.3")


@dataclass(frozen=True)
class Zone:
    """One zone's TLS."""

    strict: bool = False
    """Whether https requests go to a verified origin by https; otherwise all go by plain HTTP."""
    always_use_https: bool = False
    min_tls_version: str = DEFAULTS["min_tls_version"]
    client_bundle: str = ""
    """Certificate and key, in PEM, to show to origins; empty: none."""

    @property
    def protocols(self) -> str:
        """Return nginx's protocols for visitors. Each version is `TLSv1.x`, but the first is `TLSv1`."""
        allowed = TLS_VERSIONS[TLS_VERSIONS.index(self.min_tls_version) :]
        return " ".join(f"TLSv{version.removesuffix('.0')}" for version in allowed)


def read_zones(state: Path) -> dict[str, Zone]:
    """Return the settings by zone id; a zone without settings is left out. Raises CloudError."""
    settings: dict[str, dict[str, str]] = {}
    for document in _documents(state, ZONE_SETTING):
        settings.setdefault(document["zoneId"], {})[document["settingId"]] = document["value"]
    shown = {d["zoneId"] for d in _documents(state, ORIGIN_PULLS_SETTING) if d["enabled"]}
    # The last uploaded one is used.
    uploaded = sorted(_documents(state, ORIGIN_PULLS_CERTIFICATE), key=lambda document: str(document["uploadedOn"]))
    bundles = {d["zoneId"]: f"{d['certificate'].strip()}\n{d['privateKey'].strip()}\n" for d in uploaded}
    zones: dict[str, Zone] = {}
    for zone_id in {*settings, *shown}:
        values = {**DEFAULTS, **settings.get(zone_id, {})}
        zones[zone_id] = Zone(
            strict=values["ssl"] == "strict",
            always_use_https=values["always_use_https"] == "on",
            min_tls_version=values["min_tls_version"],
            client_bundle=bundles.get(zone_id, "") if zone_id in shown else "",
        )
    return zones


def _documents(state: Path, kind: str) -> Iterator[dict[str, Any]]:
    for path in sorted((state / f"documents-{kind}").glob("[!.]*.json")):
        try:
            yield dict(json.loads(path.read_bytes())["document"].items())
        except NO_DOCUMENT as error:
            raise damaged(path, error, "remove it, then basec up --refresh recreates it") from None
