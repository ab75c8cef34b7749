"""What an account has that no program of ours made: `<state>/account.json`, written by tests that need it.

`{"fresh": true}`        no region has a VPC yet, so that the first one becomes its region's default
`{"ssh_keys": ["..."]}`  public keys that the account has already
`{"records": [{"zone_id": "...", "name": "...", "type": "CNAME"}]}`  DNS records of the zone

Without the file: an account used before, with a default VPC in each region, no key, and an empty zone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.errors import CloudError


@dataclass(frozen=True)
class Account:
    """The document, read again for each question."""

    document: Mapping[str, Any]

    @classmethod
    def of(cls, state: Path) -> Account:
        """Read the account of a cloud."""
        path = state / "account.json"
        return cls(json.loads(path.read_text()) if path.exists() else {})

    @property
    def is_fresh(self) -> bool:
        """Whether the first VPC becomes the default of its region."""
        return bool(self.document.get("fresh"))

    def check_key(self, public_key: str, ours: Iterable[object]) -> None:
        """Raise CloudError for an existing key, `ours` included. The comment after a key does not count."""
        there = [*ours, *self.document.get("ssh_keys", [])]
        if public_key.split()[:2] in [str(key).split()[:2] for key in there]:
            raise CloudError("Error creating SSH Key: 422 SSH Key is already in use on your account")

    def check_record(self, zone_id: str, name: str) -> None:
        """Raise CloudError for an A record beside a CNAME; beside another A record it is taken."""
        for record in self.document.get("records", []):
            if (record["zone_id"], record["name"], record["type"]) == (zone_id, name, "CNAME"):
                raise CloudError(f"A CNAME record with that host already exists. (81054) A {name}")


def check_vpc_goes(*, default: bool) -> None:
    """Raise CloudError for the default VPC of a region."""
    if default:
        raise CloudError("403 Can not delete default VPCs")
