"""Open the engine of an environment: its CLI, and the SDKs and the program, which load in the background."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from basec.engine.program_loading import load_program
from basec.io.console import Stages
from basec.io.programs import Program
from basec.io.verbosity import Verbosity
from basec.session import Session

if TYPE_CHECKING:  # as in plan.py
    from basec.engine.operations import Engine

    Loading = tuple[Future[type[Engine]], Future[Callable[[], None]]]


def toolchain() -> Path:
    """Find or get the Pulumi CLI and return its path."""
    return Path(Program("toolchain").run().strip())


def start_loading(session: Session) -> Loading:
    """Import engine and program, in this order, while other programs run: it takes half a second."""

    def load_engine() -> type[Engine]:
        from basec.engine.operations import Engine  # noqa: PLC0415 - this function is there to import it later

        return Engine

    loader = ThreadPoolExecutor(1, thread_name_prefix="load program")
    return loader.submit(load_engine), loader.submit(load_program, session.environment.root)


def make_engine(session: Session, binary: Path, loading: Loading, stages: Stages) -> Engine:
    """Build the engine. It needs the program only when it runs it, so the import goes on during its own start."""
    engine, program = loading
    with stages.stage("open stack"):
        return engine.result()(session, binary, program, verbose=Verbosity.on)


def open_engine(session: Session, stages: Stages) -> Engine:
    """Return the engine, with CLI and program. Raises ConfigurationError, first of all, for a lost passphrase."""
    loading = start_loading(session)
    session.stack_file.check_passphrase()
    with stages.stage("toolchain"):
        binary = toolchain()
    return make_engine(session, binary, loading, stages)
