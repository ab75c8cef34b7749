"""What the host checks share: a finding, the checked machine, and where its programs are."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Status(StrEnum):
    """How a check ended; only FAILED stops a bring-up."""

    OK = "ok"
    REPAIRED = "repaired"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the doctor's table."""

    check: str
    status: Status
    message: str
    remedy: str = ""
    final: bool = False
    """No later check makes sense after this failure."""

    @property
    def failed(self) -> bool:
        return self.status is Status.FAILED

    def as_dict(self) -> dict[str, str]:
        return {"check": self.check, "status": self.status.value, "message": self.message, "remedy": self.remedy}


@dataclass(frozen=True)
class CheckedHost:
    """This machine, and whether it may be repaired."""

    cache: Path
    repair: bool
    root: Path = Path("/")

    def run(self, *command: str, timeout_s: float = 600) -> subprocess.CompletedProcess[str]:
        """Run a program; a missing one returns 127 like in a shell."""
        environment = {**os.environ, "PATH": search_path(), "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
        try:
            return subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout_s,
                env=environment,
                stdin=subprocess.DEVNULL,
            )
        except FileNotFoundError as error:
            return subprocess.CompletedProcess(command, 127, "", str(error))
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, 124, "", f"no answer in {timeout_s:.0f} s")

    def read(self, path: str) -> str | None:
        try:
            return (self.root / path.lstrip("/")).read_text().strip()
        except OSError:
            return None

    def which(self, program: str) -> str | None:
        """Return a program's path, also in administrators' directories."""
        return shutil.which(program, path=search_path())


def search_path() -> str:
    """Return PATH with the administrators' directories, which a shell made by plain `su` lacks."""
    return f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
