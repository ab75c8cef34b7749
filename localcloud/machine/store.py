"""The cloud's records: one JSON file per thing, in one directory per kind, readable by their owner only."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import re
import secrets
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from localcloud.errors import NO_DOCUMENT, CloudError, damaged

_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,200}")

Document = dict[str, Any]


class Store:
    """Records under one directory. A write is complete or not done, so a killed process leaves no half file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def folder(self, kind: str) -> Path:
        """Return the directory of one kind, made when missing."""
        path = self.directory / kind
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def write(self, kind: str, name: str, document: Mapping[str, object]) -> None:
        """Keep a document; an older one of that name is replaced."""
        path = self._path(kind, name)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")
        temporary.replace(path)

    def read(self, kind: str, name: str) -> Document | None:
        """Return one document, None if it is not there. A damaged one is set aside and then counts as missing.

        It stops no loop over all: what it describes is found by its labels, or recreated by the engine.
        """
        path = self._path(kind, name)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return dict(json.loads(content).items())
        except NO_DOCUMENT as error:
            aside = path.with_name(f"{path.name}.damaged")
            path.replace(aside)
            hint = f"it is now {aside.name}; basec up --refresh finds what is missing"
            sys.stderr.write(f"{damaged(path, error, hint)}\n")
            return None

    def delete(self, kind: str, name: str) -> None:
        """Forget one document; a second call does nothing."""
        self._path(kind, name).unlink(missing_ok=True)

    def all(self, kind: str) -> dict[str, Document]:
        """Return all documents of a kind by name, in the order of their names."""
        folder = self.directory / kind
        names = sorted(path.name.removesuffix(".json") for path in folder.glob("[!.]*.json"))
        found = ((name, self.read(kind, name)) for name in names)
        return {name: document for name, document in found if document is not None}

    def find(self, kind: str, **wanted: object) -> str | None:
        """Return the name of the first document that has all the wanted values."""
        for name, document in self.all(kind).items():
            if all(document.get(key) == value for key, value in wanted.items()):
                return name
        return None

    @contextlib.asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Hold the cloud's lock: one process at a time assigns addresses and writes the packet filter."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Opened again each time: flock belongs to the open file, so it also excludes the other tasks of this process.
        handle = os.open(self.directory / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(0.05)
            yield
        finally:
            os.close(handle)

    def _path(self, kind: str, name: str) -> Path:
        if not _SAFE_ID.fullmatch(name):
            raise CloudError(f"{kind}: {name!r} is not an id of this cloud")
        return self.folder(kind) / f"{name}.json"
