"""What every step on a droplet needs: an error with its hint, a line for the journal, and a way to run programs.

What is run, and when, is decided elsewhere: containers.py and release.py. Nothing here knows releases or files.
Shipped in every bundle and run as root by Debian's own Python: standard library only.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import syslog
from collections.abc import Sequence

LOG_LINES = 20  # of a failed program, and of an unhealthy service
LINES_ABOVE = "the lines above say why"


class ReleaseError(Exception):
    """What is wrong as `<where>: <key>: <what>`, and a hint."""

    def __init__(self, message: str, hint: str) -> None:
        """Keep the hint apart, for its own line."""
        super().__init__(message)
        self.hint = hint


def say(text: str) -> None:
    """Write one line for the caller, if there still is one, and for the journal."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"release: {text}\n")
        sys.stderr.flush()
    syslog.syslog(text)


class Programs:
    """Runs programs for one tier; what it shows of them holds no secret."""

    def __init__(self, tier: str) -> None:
        """Nothing is run yet."""
        self.tier = tier
        self.lock_file: int | None = None  # held by every program too: see `Tier.lock`
        self._secrets: set[str] = set()

    def hide(self, content: str) -> None:
        """Remember the secrets in a file's content, so that they are never shown.

        Short words of a secrets file are names and hosts; passwords and keys have at least 24 characters.
        """
        self._secrets |= set(re.findall(r"[A-Za-z0-9_-]{20,}", content))

    def clean(self, text: str) -> str:
        """Return the text without terminal control sequences and without any secret."""
        text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
        for secret in self._secrets:
            text = text.replace(secret, "[secret]")
        return text

    def run(self, argv: Sequence[str], deadline: float, shown: str = "", text: str = "") -> str:
        """Run a program and return its standard output; errors call it `shown`, and it reads `text`.

        Its environment is empty, since variables there would override those of the env files.

        Raises ReleaseError when it is not done after `deadline` seconds, and, with its last lines, for any exit code
        but 0.
        """
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/root"}
        descriptors = () if self.lock_file is None else (self.lock_file,)
        where = f"{self.tier}: {shown or ' '.join(argv)}"
        try:
            done = subprocess.run(
                argv, input=text, capture_output=True, text=True, errors="replace", check=False,
                timeout=deadline, env=environment, pass_fds=descriptors,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise ReleaseError(f"{where}: not done after {deadline:.0f} s", LINES_ABOVE) from None
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines()[-LOG_LINES:]
            lines = self.clean("".join(f"\n  {line}" for line in said))
            raise ReleaseError(f"{where}: exit code {done.returncode}{lines}", LINES_ABOVE)
        return done.stdout
