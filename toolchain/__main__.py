"""Print the path of a tool of the supported version; progress goes to stderr, and what failed, from `error: ` on.

python -m toolchain              the Pulumi CLI: find it, or get it
python -m toolchain --recipe     print its cache key only
python -m toolchain actionlint   the linter of workflows: find it, or build it
"""

from __future__ import annotations

import signal
import sys

from toolchain.building import ToolchainError
from toolchain.pulumi_cli import ensure_pulumi, recipe
from toolchain.workflow_linter import ensure_actionlint

TOOLS = {(): ensure_pulumi, ("actionlint",): ensure_actionlint}


def main(arguments: list[str]) -> int:
    if arguments == ["--recipe"]:
        print(recipe())
        return 0
    ensure = TOOLS.get(tuple(arguments))
    if ensure is None:
        print(
            f"toolchain: arguments: unknown: {' '.join(arguments)}\nhint: python -m toolchain [--recipe | actionlint]",
            file=sys.stderr,
        )
        return 2
    try:
        print(ensure(lambda line: print(f"toolchain: {line}", file=sys.stderr, flush=True)))
    except ToolchainError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130
    return 0


# Asked to end, it ends as for Ctrl-C: the build is stopped and its directory removed.
signal.signal(signal.SIGTERM, signal.default_int_handler)
sys.exit(main(sys.argv[1:]))
