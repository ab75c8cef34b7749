"""The root of the command line: one file per command group in `basec/commands/`, errors and exit codes here.

Pulumi and its SDKs take seconds to import, so nothing on the way to `--help` may import them.
"""

from __future__ import annotations

import signal
import sys

import typer

from basec.commands import (
    cloudflare,
    compose,
    doctor,
    events,
    firewall,
    init,
    inventory,
    logs,
    smoke,
    ssh,
    stack,
    status,
)
from basec.console import say
from topology.errors import BasecommerceError, ExitCode

app = typer.Typer(
    name="basec",
    help="Bring the BaseCommerce platform up, look at it, reach its hosts, take it down.",
    epilog="Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 host check, 4 remote command, 130 interrupted.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: rich alone would take longer than all the rest
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

INTERRUPTED = "interrupted; the same command continues"


class State:
    """Options of the root command that the error handler needs."""

    verbose = False


@app.callback()
def root(
    verbose: bool = typer.Option(False, "--verbose", help="Show tracebacks and the engine's own output."),
) -> None:
    State.verbose = verbose
    stack.VERBOSE.value = verbose


for group in (stack, status, smoke, logs, ssh, compose, events, firewall, cloudflare, inventory, init, doctor):
    group.register(app)


def run(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process; explained failures end without a traceback."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # asked to end, it ends as for Ctrl-C
    sys.exit(invoke(arguments))


def invoke(arguments: list[str] | None = None) -> int:
    """Run the command line and answer its exit code."""
    argv = sys.argv[1:] if arguments is None else arguments
    try:
        app(args=argv, standalone_mode=True)
    except SystemExit as end:
        # typer turns Ctrl-C into Exit(130) without a word; a remote command that ended with 130 is not meant.
        if end.__context__ is not None and isinstance(end.__context__.__cause__, KeyboardInterrupt):
            say(INTERRUPTED)
        return end.code if isinstance(end.code, int) else int(ExitCode.FAILURE)
    except BasecommerceError as error:
        if State.verbose:
            raise
        say(error.render())
        return int(error.exit_code)
    except KeyboardInterrupt:
        say(INTERRUPTED)
        return int(ExitCode.INTERRUPTED)
    except Exception as error:
        if State.verbose:
            raise
        say(f"basec: {type(error).__name__}: {error}")
        say("hint: basec --verbose ... shows where")
        return int(ExitCode.FAILURE)
    return int(ExitCode.OK)
