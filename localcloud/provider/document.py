"""The base of every resource type that has no body here: it is kept as it is declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Protocol, TypeVar

from typing_extensions import override

from localcloud.backend import Documents
from localcloud.provider.handler import Created, Found, Handler, Job, Values
from localcloud.provider.values import Value


class KeepsDocuments(Protocol):
    """A backend that has a place for documents."""

    @property
    def documents(self) -> Documents: ...


B = TypeVar("B", bound=KeepsDocuments)


class Document(Handler[B]):
    """One document a resource. What a type does not say itself is: its inputs are kept, and nothing is computed."""

    kind: ClassVar[str]
    """Where its documents are; a type of the cloud's own, in snake case."""
    stays: ClassVar[bool] = False
    """Whether a delete leaves it as it is, as the official provider does with settings."""

    def documents(self, backend: B) -> Documents:
        """Name the part of the cloud that keeps it."""
        return backend.documents

    def key(self, inputs: Values) -> str | None:
        """Name the document where what is declared decides that; None: the cloud chooses."""
        del inputs
        return None

    def resource_id(self, key: str, inputs: Values) -> str:
        """Turn the document's name into the resource's id."""
        del inputs
        return key

    def document(self, inputs: Values) -> dict[str, Value]:
        """Write down what is declared."""
        return dict(inputs)

    def declared(self, document: Mapping[str, Value]) -> Values:
        """Read what was declared."""
        return {name: value for name, value in document.items() if name in self.properties}

    async def outputs(self, job: Job[B], key: str, document: Mapping[str, Value], state: Values) -> Values:
        """Return the computed outputs; `state` is empty at a create."""
        del job, key, document, state
        return {}

    @override
    async def create(self, job: Job[B], inputs: Values) -> Created:
        document = self.document(inputs)
        key = await self.documents(job.backend).put(self.kind, job.urn, self.key(inputs), document)
        return Created(id=self.resource_id(key, inputs), outputs=await self.outputs(job, key, document, {}))

    @override
    async def update(self, job: Job[B], resource_id: str, old: Values, new: Values, state: Values) -> Values:
        document = self.document(new)
        key = await self.documents(job.backend).put(self.kind, job.urn, self.key(new) or resource_id, document)
        return await self.outputs(job, key, document, state)

    @override
    async def read(self, job: Job[B], resource_id: str, inputs: Values, state: Values) -> Found | None:
        key = self.key({**state, **inputs}) or resource_id
        document = await self.documents(job.backend).read(self.kind, key)
        if document is None:
            return None
        outputs = await self.outputs(job, key, document, state)
        return Found(inputs={**inputs, **self.declared(document)}, outputs=outputs)

    @override
    async def delete(self, job: Job[B], resource_id: str, inputs: Values, state: Values) -> None:
        if not self.stays:
            await self.documents(job.backend).delete(self.kind, self.key({**state, **inputs}) or resource_id)
