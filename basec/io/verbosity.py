"""Whether the user wants tracebacks and the engine's own output: `basec --verbose`."""

from __future__ import annotations


class Verbosity:
    """An option of the root command, for code that shows errors or runs the engine."""

    on = False
