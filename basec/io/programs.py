"""Start `localcloud` and `toolchain` as programs: basec imports neither, so neither can depend on the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import IO, Any

from basec.environments import ROOT, cache_directory
from basec.io.console import say
from topology.errors import BasecommerceError, ExitCode, HostCheckError
from topology.names import PROJECT

OnLine = Callable[[str], None]
STOP_GRACE_S = 1.0
LOCAL_CLOUD = {"LOCALCLOUD_NAMESPACE": PROJECT}
"""The environment variables of the local cloud and its plugins: how our labels and files begin."""
FAILED = "error: "
"""A program of ours begins its last message, about its failure, with this: an error here, not progress."""


class ProgramError(BasecommerceError):
    """A program of ours failed; its own last lines are the message."""


@dataclass
class Program:
    """One run of `python -m <module>`: progress and the error on standard error, the result on standard output."""

    module: str
    arguments: Sequence[str] = ()
    on_line: OnLine = say
    on_result_line: OnLine | None = None
    _tail: list[str] = field(default_factory=list)
    _error: list[str] = field(default_factory=list)
    _process: subprocess.Popen[str] | None = None

    def run(self) -> str:
        """Return standard output. Raises HostCheckError for exit code 3 and ProgramError for any other but 0."""
        ours = {**LOCAL_CLOUD, "LOCALCLOUD_CACHE": str(cache_directory())}
        environment = {**os.environ, **ours, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", self.module, *self.arguments]
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment,
        ) as self._process:
            reader = threading.Thread(target=self._read_progress, args=(self._process.stderr,), daemon=True)
            reader.start()
            try:
                output = self._read_result(self._process.stdout)
                code = self._process.wait()
            except BaseException:
                # A signal sent only to us; without this the program would go on unnoticed.
                self.stop()
                self._process.wait()
                raise
            reader.join()
        if code == 0:
            return output
        text = (
            "\n".join(self._error or self._tail[-20:]) or f"{self.module}: ended with exit code {code} and no message"
        )
        if code == ExitCode.HOST_CHECK:
            raise HostCheckError(text)
        if code < 0 or code == ExitCode.INTERRUPTED:
            raise KeyboardInterrupt
        raise ProgramError(text)

    def stop(self) -> None:
        """End the program, which undoes its current step; a Ctrl-C at the terminal has reached it already."""
        if self._process is None:
            return
        try:
            self._process.wait(STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.terminate()

    def _read_progress(self, stream: IO[str] | None) -> None:
        for line in stream or ():
            text = line.rstrip("\n")
            if self._error or text.startswith(FAILED):
                self._error.append(text.removeprefix(FAILED))
                continue
            self._tail.append(text)
            self.on_line(text)

    def _read_result(self, stream: IO[str] | None) -> str:
        lines: list[str] = []
        for line in stream or ():
            lines.append(line)
            if self.on_result_line is not None:
                self.on_result_line(line.rstrip("\n"))
        return "".join(lines)


def run_side_by_side(*programs: Program) -> list[str]:
    """Run several programs at once and return their outputs; the first failure stops the others."""
    with ThreadPoolExecutor(max_workers=len(programs)) as pool:
        futures = [pool.submit(program.run) for program in programs]
        try:
            return [future.result() for future in futures]
        except BaseException:
            for program in programs:
                program.stop()
            raise


def last_json(output: str) -> Any:
    """Parse the last line of a program's output."""
    lines = output.strip().splitlines()
    return json.loads(lines[-1]) if lines else None
