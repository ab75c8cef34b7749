"""A plugin's output: live lines to the engine, one-line errors to the user, tracebacks and events to files.

Nothing is printed: the engine hides a plugin's standard output and error. No secret of the request goes anywhere.
"""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc.aio
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

from localcloud.errors import CloudError
from localcloud.provider.values import Value, secret_texts
from localcloud.remedies import with_hint

REDACTED = "[secret]"
_LINE_LENGTH_MIN = 16
"""Lines of a secret at least this long are redacted one by one: a key is more often quoted by line than whole."""


class Redactor:
    """Blanks out the secrets of one request."""

    def __init__(self, *sources: Mapping[str, Value]) -> None:
        texts: set[str] = set()
        for source in sources:
            for text in secret_texts(dict(source)):
                texts.add(text)
                texts.update(line.strip() for line in text.splitlines() if len(line.strip()) >= _LINE_LENGTH_MIN)
        self._texts = sorted(texts, key=len, reverse=True)

    def clean(self, text: str) -> str:
        """Replace every secret, also as written in a repr (with `\\n` for a new line)."""
        for secret in self._texts:
            text = text.replace(secret, REDACTED).replace(repr(secret)[1:-1], REDACTED)
        return text


class EngineLog:
    """Live lines for a resource in the user's terminal. A lost line is no reason to fail."""

    def __init__(self, address: str | None) -> None:
        self._address = address
        self._stub: Any = None  # the generated type has only the blocking stub

    def attach(self, address: str) -> None:
        """Use another engine from now on (a plugin started by hand, for debugging)."""
        self._address, self._stub = address, None

    async def show(self, urn: str, line: str) -> None:
        """Show a short line that is not kept."""
        if not self._address:
            return
        try:
            if self._stub is None:
                self._stub = engine_pb2_grpc.EngineStub(grpc.aio.insecure_channel(self._address))
            request = engine_pb2.LogRequest(urn=urn, severity=engine_pb2.INFO, message=line, ephemeral=True)
            await self._stub.Log(request, timeout=5)
        except grpc.aio.AioRpcError:
            return


class TracebackLog:
    """Tracebacks of failed operations: one private file per package under `<state>/logs`."""

    def __init__(self, state: Path, package: str) -> None:
        self.path = state / "logs" / f"{package}.log"

    def write(self, what: str, error: BaseException, redactor: Redactor) -> None:
        """Append one traceback. Local variables are never in it."""
        text = "".join(traceback.format_exception(error))
        _append(self.path, f"{datetime.now(UTC).isoformat()} {what}\n{redactor.clean(text)}\n")


class EventLog:
    """`<state>/events.jsonl`: one line for each finished create, update and delete, in that order."""

    def __init__(self, state: Path) -> None:
        self.path = state / "events.jsonl"

    def append(self, fields: Mapping[str, Value]) -> None:
        """Add a line with the current time."""
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **fields}
        _append(self.path, json.dumps(line) + "\n")


def _append(path: Path, text: str) -> None:
    """Append with one write: several plugins share the directory, and lines must not mix."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def describe(error: BaseException, log: Path, where: str) -> str:
    """Build an error for the user: cause, then the remedy, if known, then where the details are.

    An unforeseen fault of this code refers to its traceback.
    """
    if isinstance(error, CloudError):
        text = str(error).strip() or type(error).__name__
    else:
        text = with_hint(f"{where}: {type(error).__name__}: {str(error).strip() or 'no message'}")
        if "\nhint: " not in text:
            text += f"\nhint: {log} has the traceback; please report it"
    return f"{with_hint(text)}\ndetails: {log}"


def join_reasons(reasons: Iterable[str]) -> list[str]:
    """Return the cleaned reasons of a resource that is not ready; the engine shows them as a list."""
    return [reason.strip() for reason in reasons if reason.strip()] or ["not ready"]
