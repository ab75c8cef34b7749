"""What a resource type implements: plain values in, plain values out; the layer does the rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from localcloud.backend import Progress
from localcloud.config import CloudConfig
from localcloud.provider.schema import Failure, Property
from localcloud.provider.values import Value

Values = Mapping[str, Value]
B = TypeVar("B")
"""The back-end of one stand-in's types: the `Backend` of its `backend.py`."""


@dataclass(frozen=True, kw_only=True)
class Job(Generic[B]):
    """One operation on one resource. `progress` shows a live line, which is also the stage in a time-out's message."""

    urn: str
    name: str
    backend: B
    config: CloudConfig
    progress: Progress


@dataclass(frozen=True, kw_only=True)
class Created:
    """A new resource. `outputs` are the computed ones; the layer adds the inputs and their secret flags."""

    id: str
    outputs: Values


@dataclass(frozen=True, kw_only=True)
class Found:
    """A resource as it really is: the readable inputs, and the computed outputs."""

    inputs: Values
    outputs: Values


class Handler(ABC, Generic[B]):
    """One resource type. Handlers see known, plain values only; `UNKNOWN` can appear only in `check`."""

    type_name: ClassVar[str]
    properties: ClassVar[Mapping[str, Property]]
    timeout_s: ClassVar[float] = 60.0
    """Seconds for one create, update, read or delete, unless the program sets `customTimeouts`."""
    delete_before_replace: ClassVar[bool] = True
    """Creates are idempotent by URN, and old and new share the URN: the old one must be gone first.

    The official providers do the same if the program names the resource.
    """

    def check(self, inputs: Values, old: Values) -> Iterable[Failure]:
        """Check rules on several properties, or on old and new. Any value may be `UNKNOWN`."""
        del inputs, old
        return ()

    def volatile_outputs(self, changed: Iterable[str]) -> Iterable[str]:
        """Return the computed outputs that an update of these inputs may change: unknown in a preview."""
        del changed
        return ()

    def event_details(self, inputs: Values) -> Values:
        """Add facts to the line in the event log. Never a secret."""
        del inputs
        return {}

    @abstractmethod
    async def create(self, job: Job[B], inputs: Values) -> Created:
        """Create it, or adopt what an interrupted create of the same URN left."""

    async def update(self, job: Job[B], resource_id: str, old: Values, new: Values, state: Values) -> Values:
        """Change it in place and return its computed outputs. Also continues what was not ready."""
        del job, resource_id, old, new
        return {name: value for name, value in state.items() if name not in self.properties}

    @abstractmethod
    async def read(self, job: Job[B], resource_id: str, inputs: Values, state: Values) -> Found | None:
        """Read it; None = it is gone."""

    @abstractmethod
    async def delete(self, job: Job[B], resource_id: str, inputs: Values, state: Values) -> None:
        """Remove it; a thing already gone is fine."""


class UnsupportedTypeError(Exception):
    """The program declares a type that the local cloud does not have."""


class Package:
    """The resource types of one provider plugin."""

    def __init__(self, name: str, handlers: Iterable[Handler[Any]]) -> None:
        self.name = name
        self._handlers = {handler.type_name: handler for handler in handlers}

    @property
    def type_names(self) -> tuple[str, ...]:
        """All implemented types, sorted."""
        return tuple(sorted(self._handlers))

    def handler(self, token: str) -> Handler[Any]:
        """Return a type's handler. Raises UnsupportedTypeError."""
        try:
            return self._handlers[token]
        except KeyError:
            raise UnsupportedTypeError(
                f"local cloud does not implement {token}\nhint: use one of {', '.join(self.type_names)}"
            ) from None
