"""Draw what a command shows in a terminal: `python scripts/screenshot.py FILE.svg COMMAND...`; see `make screenshots`.

The command runs in a pseudo-terminal, so that colours and widths are as a person sees them. Live progress is not drawn,
only what stays on the screen.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS, ROWS = 100, 50
"""The widest that GitHub shows without small letters."""


def shown(command: list[str]) -> str:
    """Run a command in a terminal and return its output. Raises subprocess.CalledProcessError."""
    terminal, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    with subprocess.Popen(command, stdin=inside, stdout=inside, stderr=inside, env=environment) as process:
        os.close(inside)
        written = bytearray()
        while True:
            try:
                more = os.read(terminal, 65536)
            except OSError:  # Linux's error when the other end is closed
                break
            written += more
    os.close(terminal)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, bytes(written).decode())
    return bytes(written).decode().replace("\r\n", "\n")


def draw(file: Path, command: list[str]) -> None:
    """Write the drawing of a command and its output."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text(f"$ {' '.join(command)}"))
    console.print(Text.from_ansi(shown(command)))
    file.parent.mkdir(parents=True, exist_ok=True)
    # Without fonts from a remote server: the browser has its own.
    drawing = console.export_svg(title="basec", unique_id=file.stem)
    file.write_text(re.sub(r"@font-face {.*?}\n", "", drawing, flags=re.DOTALL))


if __name__ == "__main__":
    draw(Path(sys.argv[1]), sys.argv[2:])
