"""End `basec` and the engine that it started in the middle of their work."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path


def kill(process: subprocess.Popen[str]) -> None:
    """Send SIGKILL to basec and to the engine that it started; provider plugins have to notice by themselves."""
    for pid in (*engines_of(process.pid), process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def engines_of(pid: int) -> list[int]:
    """List the Pulumi CLIs among the processes below one. What ends while we look is passed over."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        if Path(f"/proc/{pid}/comm").read_text().strip() == "pulumi":
            found.append(pid)
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += engines_of(child)
    return found
