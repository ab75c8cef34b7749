"""Start programs for the image builds: output captured, last lines in the error, and killed with their parent.

Children start through `setpriv --pdeathsig`: a build whose caller was killed must not go on writing into the cache.
(`preexec_fn` is not possible: these functions also run inside gRPC plugin processes, which it crashes.)
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping

from localcloud.errors import CloudError

ERROR_LINES = 15
"""Lines of a failed program's output that its error repeats."""


def run(arguments: Iterable[str], *, stdin: bytes | None = None, environment: Mapping[str, str] | None = None) -> str:
    """Run a program and return its standard output. Raises CloudError with the last lines when it fails."""
    argv = list(arguments)
    completed = _start(argv, stdin, environment)
    if completed.returncode != 0:
        raise CloudError(failure_text(argv, completed.returncode, completed.stdout + completed.stderr))
    return completed.stdout.decode(errors="replace")


def succeeds(arguments: Iterable[str]) -> bool:
    """Return whether a program ends with exit status 0."""
    return _start(list(arguments), None, None).returncode == 0


def failure_text(argv: list[str], status: int, output: bytes) -> str:
    """Return an error text: the command, its exit status and the end of its output."""
    lines = output.decode(errors="replace").strip().splitlines()[-ERROR_LINES:]
    return "\n".join([f"{' '.join(argv[:4])}: exit status {status}", *(f"  {line}" for line in lines)])


def _start(
    argv: list[str], stdin: bytes | None, environment: Mapping[str, str] | None
) -> subprocess.CompletedProcess[bytes]:
    for program in ("setpriv", argv[0]):
        if shutil.which(program) is None:
            raise CloudError(f"{program}: program not found\nhint: python -m localcloud doctor lists what to install")
    return subprocess.run(
        ["setpriv", "--pdeathsig", "KILL", "--", *argv],
        input=b"" if stdin is None else stdin,
        capture_output=True,
        env={**os.environ, **(environment or {})},
        check=False,
    )
