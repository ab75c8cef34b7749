"""The dry cloud: records in one JSON file and nothing else, so that the engine and a program are tested in seconds.

Several plugins share the file: every change is read, modify, write under a lock, and the write is atomic.

Faults for tests: `<state>/faults.json` holds a list of
`{"when": "before"|"after", "op": "create", "type": "<token>", "name": "<name>", "seconds": 5, "error": "..."}`.
A matching change waits that many seconds and then fails with the error, if there is one; `*` works in op, type, name.
`before` = nothing was created yet; `after` = it was, but the engine does not know. `<state>/fault.hit` then appears.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Self

from localcloud.config import CloudConfig
from localcloud.errors import NO_DOCUMENT, CloudError, damaged

FIRST_NUMERIC_ID = 400_000_001
"""DigitalOcean counts droplets and keys in the hundreds of millions; programs must not rely on few digits."""

Record = dict[str, Any]


class DryStore:
    """One JSON file: `{"next_id": n, "<kind>": {"<id>": record}}`."""

    def __init__(self, state: Path) -> None:
        self.path = state / "dry.json"

    def read(self) -> Record:
        """Return everything. A missing file is an empty cloud. Raises CloudError for a damaged one."""
        try:
            data = dict(json.loads(self.path.read_bytes()).items())
            data["next_id"] = int(data["next_id"])
        except FileNotFoundError:
            return {"next_id": FIRST_NUMERIC_ID}
        except NO_DOCUMENT as error:
            raise damaged(self.path, error, "remove it: the cloud is then empty") from None
        return data

    @contextmanager
    def change(self) -> Iterator[Record]:
        """Yield the records for a change; on an exception nothing is written."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            data = self.read()
            yield data
            temporary = self.path.with_suffix(".new")
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump(data, file, indent=1, sort_keys=True)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)


@dataclass(frozen=True)
class Table:
    """The records of one kind; each has the URN of its resource and a `spec`."""

    store: DryStore
    kind: str

    @classmethod
    def of(cls, config: CloudConfig, kind: str) -> Self:
        """Open the records of a cloud."""
        return cls(DryStore(config.state), kind)

    def all(self) -> Record:
        """Return all of them by id."""
        return dict(self.store.read().get(self.kind, {}))

    def get(self, record_id: str) -> Record | None:
        """Return one, None if it is gone."""
        found: Record | None = self.all().get(record_id)
        return found

    def put(self, urn: str, record_id: str | None, spec: Record) -> str:
        """Create or overwrite; without an id a record of the same URN is adopted (an interrupted create made it)."""
        with self.store.change() as data:
            records: Record = data.setdefault(self.kind, {})
            found = record_id or find(records, urn) or str(uuid.uuid4())
            records[found] = {**records.get(found, {}), "urn": urn, "spec": spec}
            return found

    def change(self, record_id: str, spec: Record) -> Record:
        """Replace a record's spec. Raises CloudError when it is gone."""
        with self.store.change() as data:
            record = existing(data, self.kind, record_id)
            record["spec"] = spec
            return record

    def drop(self, record_id: str) -> None:
        """Forget one; a second call does nothing."""
        with self.store.change() as data:
            data.get(self.kind, {}).pop(record_id, None)


class Documents:
    """Things that are records in both modes."""

    def __init__(self, config: CloudConfig) -> None:
        self.config = config
        self.store = DryStore(config.state)

    async def put(self, kind: str, urn: str, document_id: str | None, document: Mapping[str, object]) -> str:
        """Keep a document, and return its id. Without one, the same document of an interrupted run is taken over."""
        # The store is readable text.
        spec = {key: value for key, value in document.items() if key != "privateKey"}
        with self.store.change() as data:
            records: Record = data.setdefault(kind, {})
            # During a replacement two have the same URN: only an equal one is adopted.
            same = (key for key, r in records.items() if r["urn"] == urn and r["spec"] == spec)
            chosen = document_id or next(same, None) or self.new_id(data, kind, urn, spec)
            records[chosen] = {**records.get(chosen, {}), "urn": urn, "spec": spec}
            return chosen

    async def read(self, kind: str, document_id: str) -> Mapping[str, object] | None:
        """Return a document, None if it is gone."""
        record = Table(self.store, kind).get(document_id)
        return dict(record["spec"]) if record else None

    async def delete(self, kind: str, document_id: str) -> None:
        """Forget a document."""
        Table(self.store, kind).drop(document_id)

    def new_id(self, data: Record, kind: str, urn: str, spec: Record) -> str:
        """Choose an id. Raises CloudError where the account would not have the document."""
        del data, kind, urn, spec
        return str(uuid.uuid4())


def existing(data: Record, kind: str, record_id: str) -> Record:
    """Find a record. Raises CloudError when it is gone."""
    record: Record | None = data.get(kind, {}).get(record_id)
    if record is None:
        raise CloudError(f"The {kind} {record_id} was not found (404)\nhint: run `up` with a refresh")
    return record


def find(records: Record, urn: str) -> str | None:
    """Return the id of the record with this URN."""
    return next((key for key, record in records.items() if record["urn"] == urn), None)


def next_id(data: Record) -> str:
    """Take the next number."""
    data["next_id"] += 1
    return str(data["next_id"] - 1)


async def apply_faults(state: Path, when: str, op: str, token: str, name: str) -> None:
    """Apply the faults of `faults.json` to this change. Raises CloudError for an injected failure."""
    try:
        faults: list[Record] = json.loads((state / "faults.json").read_text())
    except FileNotFoundError:
        return
    for fault in faults:
        wanted = (fault.get("op", "*"), fault.get("type", "*"), fault.get("name", "*"))
        if fault["when"] == when and all(map(fnmatchcase, (op, token, name), wanted)):
            (state / "fault.hit").touch()
            await asyncio.sleep(float(fault.get("seconds", 0)))
            if "error" in fault:
                raise CloudError(str(fault["error"]))
