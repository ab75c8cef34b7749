"""Print the path of a Pulumi CLI of the supported version; progress goes to stderr.

python -m toolchain            find it, or get it
python -m toolchain --recipe   print the cache key only
"""

from __future__ import annotations

import signal
import sys

from toolchain.pulumi_cli import ToolchainError, ensure_pulumi, recipe


def main(arguments: list[str]) -> int:
    if arguments == ["--recipe"]:
        print(recipe())
        return 0
    if arguments:
        print(
            f"toolchain: arguments: unknown: {' '.join(arguments)}\nhint: python -m toolchain [--recipe]",
            file=sys.stderr,
        )
        return 2
    try:
        print(ensure_pulumi(lambda line: print(f"toolchain: {line}", file=sys.stderr, flush=True)))
    except ToolchainError as error:
        print(error, file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130
    return 0


# Asked to end, it ends as for Ctrl-C: the build is stopped and its directory removed.
signal.signal(signal.SIGTERM, signal.default_int_handler)
sys.exit(main(sys.argv[1:]))
