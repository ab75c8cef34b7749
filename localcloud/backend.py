"""The interface between resource types and their back-ends, as far as all stand-ins share it.

Resource types validate, compare and decide on replacement; the back-end only creates, changes and removes.
Each stand-in's `backend.py` defines its parts, its `real.py` and `dry.py` build them. Every `create` is
idempotent by URN: a second call after a crash adopts or rebuilds the half-made thing. Ids are strings; a `read` returns
None for what is gone (the engine then drops it).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

Progress = Callable[[str], Awaitable[None]]
"""Shows one short live line for the resource, e.g. `cloud-init`."""


class Documents(Protocol):
    """Things that are records only, such as a tag: kept as they are, by kind."""

    async def put(self, kind: str, urn: str, document_id: str | None, document: Mapping[str, object]) -> str: ...
    async def read(self, kind: str, document_id: str) -> Mapping[str, object] | None: ...
    async def delete(self, kind: str, document_id: str) -> None: ...
