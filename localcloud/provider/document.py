"""The base of every resource type that is a record only: it is kept as declared."""

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
    """One document per resource. By default a type keeps its inputs and computes nothing."""

    kind: ClassVar[str]
    """The kind of its documents, in snake case."""
    stays: ClassVar[bool] = False
    """Whether a delete changes nothing, as with the official provider's settings."""

    def documents(self, backend: B) -> Documents:
        """Return the part of the cloud that keeps it."""
        return backend.documents

    def key(self, inputs: Values) -> str | None:
        """Return the document's name if the inputs decide it; None: the cloud chooses."""
        del inputs
        return None

    def resource_id(self, key: str, inputs: Values) -> str:
        """Return the resource's id, made from the document's name."""
        del inputs
        return key

    def document(self, inputs: Values) -> dict[str, Value]:
        """Return the document of the inputs."""
        return dict(inputs)

    def declared(self, document: Mapping[str, Value]) -> Values:
        """Return the inputs of the document."""
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
