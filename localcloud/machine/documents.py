"""Things of a cloud that are records only: one file each, in one directory per kind."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from localcloud.machine.context import Cloud

FOLDER = "documents-"
"""Prefix of the directories."""


def folder(kind: str) -> str:
    """Return the directory name of a kind of documents."""
    return f"{FOLDER}{kind}"


@dataclass(frozen=True)
class Documents:
    """The documents of a cloud."""

    cloud: Cloud

    async def put(self, kind: str, urn: str, document_id: str | None, document: Mapping[str, object]) -> str:
        """Keep a document, and return its id. Without one, the same document of an interrupted run is taken over."""
        store = self.cloud.store
        async with store.lock():
            found = document_id or store.find(folder(kind), urn=urn, document=dict(document))
            chosen = found or self.new_id(kind, urn, document)
            store.write(folder(kind), chosen, {"urn": urn, "document": dict(document)})
            await self.changed(kind)
            return chosen

    async def read(self, kind: str, document_id: str) -> Mapping[str, object] | None:
        """Return a document, None if it is gone."""
        found = self.cloud.store.read(folder(kind), document_id)
        return None if found is None else dict(found["document"])

    async def delete(self, kind: str, document_id: str) -> None:
        """Forget a document."""
        async with self.cloud.store.lock():
            self.cloud.store.delete(folder(kind), document_id)
            await self.changed(kind)

    def new_id(self, kind: str, urn: str, document: Mapping[str, object]) -> str:
        """Choose an id. Raises CloudError where the account would not have the document."""
        del kind, urn, document
        return str(uuid.uuid4())

    async def changed(self, kind: str) -> None:
        """Apply the change to the cloud. The caller holds the lock."""
        del kind
