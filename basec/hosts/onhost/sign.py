"""Leaves a person's name beside the release that a tier activated last. Arguments: tier, name, seconds.

Only if it was activated within these seconds by this machine's own clock: an older one is somebody else's.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path


def main(tier: str, person: str, within_s: str, root: Path = Path("/")) -> None:
    """Write the file; `root` is another directory in tests."""
    directory = root / "opt/basecommerce" / tier
    # Nothing was ever activated here, or the record is damaged.
    with contextlib.suppress(FileNotFoundError, ValueError, TypeError, KeyError, IndexError, RecursionError):
        active = json.loads((directory / "state.json").read_text())["releases"][0]
        since = datetime.strptime(active["since"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        if time.time() - since.timestamp() <= float(within_s):
            # Not into state.json: that is release.py's, and its earlier ones refuse a field that they do not know.
            text = json.dumps({"digest": active["digest"], "since": active["since"], "by": person})
            temporary = directory / ".activated_by.json.new"
            temporary.write_text(text)
            temporary.rename(directory / "activated_by.json")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3])
