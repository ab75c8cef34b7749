"""Waits of the platform that its own tests would sit through: in their copy of the tree some are shorter.

The shipped values are those that `docs/host-upkeep.md` names (`tests/unit/test_documented_waits.py`), and
`make nightly` restarts a container by the watchdog with them.
"""

from __future__ import annotations

import os
from pathlib import Path

AS_SHIPPED = os.environ.get("BASECOMMERCE_E2E_WAITS") == "shipped"
SHORTER = (
    ("compose/vertical/compose.yaml", "      interval: 10s", "      interval: 2s"),
    ("compose/vertical/compose.yaml", "    stop_grace_period: 30s", "    stop_grace_period: 10s"),
    ("compose/watchdog.py", "UNHEALTHY_S = 30", "UNHEALTHY_S = 4"),
    ("components/scripts/upkeep.sh", "OnBootSec=2min OnUnitActiveSec=20s AccuracySec=5s",
     "OnBootSec=20s OnUnitActiveSec=3s AccuracySec=1s"),
)  # fmt: skip
"""File, what it says, what the tests' copy says."""


def shorten(root: Path) -> None:
    """Shorten the waits in a copy of the tree. Raises AssertionError when a file no longer says what it did."""
    for name, shipped, shorter in SHORTER:
        text = (root / name).read_text()
        assert shipped in text, f"{name}: no {shipped!r} any more"
        (root / name).write_text(text.replace(shipped, shorter))
