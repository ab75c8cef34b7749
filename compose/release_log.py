"""What was activated on this droplet, and how each ended: for people, also long after the releases are gone.

Which release is active decides state.json alone (tier_files.py). Read by `basec releases`, which also knows who it was:
`basec up` leaves the name (basec/hosts/onhost/sign.py).
Shipped in every bundle and run as root by Debian's own Python: standard library only.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from atomic_files import write
from tier_files import time_text

KEEP = 30  # records
ACTIVE, WENT_BACK, REFUSED, KILLED = "active", "went back", "refused", "killed"
"""How an activation ended: it stays; the one before was brought back; nothing that ran was touched; nobody decided."""
Record = dict[str, Any]


class ReleaseLog:
    """The file of one tier."""

    def __init__(self, path: Path) -> None:
        """Nothing is read or written yet."""
        self.path = path

    def read(self) -> list[Record]:
        """Return the records, the newest first; none if the file is damaged, which stops no release."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            found = json.loads(self.path.read_bytes())["releases"]
            return [record for record in found if isinstance(record["number"], int)]
        return []

    def begin(self, digest: str, images: Mapping[str, str]) -> None:
        """Add a record with the next number. The one before was killed if it has not ended."""
        records = self.read()
        if records and not records[0].get("outcome"):
            records[0] |= {"outcome": KILLED, "why": "its run ended before it had decided"}
        record = {
            "number": records[0]["number"] + 1 if records else 1,
            "digest": digest,
            "images": dict(images),
            "began": time_text(time.time()),
            "ended": "",
            "outcome": "",
            "why": "",
            "by": "",
        }
        self._write([record, *records])

    def end(self, outcome: str, why: str = "") -> None:
        """Write how the newest ended, unless that is known."""
        records = self.read()
        if records and not records[0].get("outcome"):
            records[0] |= {"outcome": outcome, "why": " ".join(why.split())[:300], "ended": time_text(time.time())}
            self._write(records)

    def _write(self, records: list[Record]) -> None:
        write(self.path, json.dumps({"releases": records[:KEEP]}, indent=2).encode() + b"\n")
