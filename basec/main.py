"""The root of the command line: its options, errors and exit codes. The commands are in `command_list.py`.

Pulumi and its SDKs take seconds to import, so nothing on the way to `--help` may import them.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from types import ModuleType

import typer

from basec.command_list import RootGroup
from basec.environments import ROOT, cache_directory
from basec.io.known_issues import with_pointers
from basec.io.verbosity import Verbosity
from topology.errors import MEANINGS, BasecommerceError, ExitCode

app = typer.Typer(
    name="basec",
    cls=RootGroup,
    help="Bring the BaseCommerce platform up, look at it, reach its hosts, take it down.",
    epilog="Docs: docs/infra-cli.md (commands), docs/runbooks/ (what to do when).\n\n"
    f"Exit codes: {'. '.join(f'{code} {meaning}' for code, meaning in MEANINGS.items())}.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: rich alone would take longer than all the rest
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

INTERRUPTED = MEANINGS[ExitCode.INTERRUPTED]


def _show_version(context: typer.Context, wanted: bool) -> None:
    """Print the commit of this clone, the Pulumi version that it requires, and the cache directory."""
    if not wanted or context.resilient_parsing:
        return
    described = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty=, with edits"],
        capture_output=True,
        text=True,
        check=False,
    )
    typer.echo(f"basec    {described.stdout.strip() or 'no git clone'}")
    from importlib.metadata import version  # noqa: PLC0415 - at the top it would take a tenth of each --help

    typer.echo(f"Pulumi   {version('pulumi')}")
    typer.echo(f"cache    {cache_directory()}")
    raise typer.Exit


@app.callback()
def root(
    verbose: bool = typer.Option(False, "--verbose", help="Show tracebacks and the engine's own output."),
    _version: bool = typer.Option(
        False, "--version", "-v", help="Show the commit, Pulumi's version and the cache.", callback=_show_version
    ),
) -> None:
    Verbosity.on = verbose


def run(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process; explained failures end without a traceback."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM ends it like Ctrl-C
    sys.exit(invoke(arguments))


def invoke(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    argv = sys.argv[1:] if arguments is None else arguments
    try:
        app(args=argv, standalone_mode=True)
    except SystemExit as end:
        # typer turns Ctrl-C into Exit(130) without a message; this is not for a remote command that ended with 130.
        if end.__context__ is not None and isinstance(end.__context__.__cause__, KeyboardInterrupt):
            _console().say(INTERRUPTED)
        return end.code if isinstance(end.code, int) else int(ExitCode.FAILURE)
    except BasecommerceError as error:
        if Verbosity.on:
            raise
        _console().complain(with_pointers(error.render()))
        return int(error.exit_code)
    except KeyboardInterrupt:
        _console().say(INTERRUPTED)
        return int(ExitCode.INTERRUPTED)
    except Exception as error:
        if Verbosity.on:
            raise
        _console().complain(f"basec: {type(error).__name__}: {error}\nhint: basec --verbose ... shows where")
        return int(ExitCode.FAILURE)
    return int(ExitCode.OK)


def _console() -> ModuleType:
    from basec.io import console  # noqa: PLC0415 - has rich, which takes longer than all that help needs

    return console
