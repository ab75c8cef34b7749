"""A message of the stream as the worker understands it."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Json


def _version(value: object) -> object:
    """Accept `1` and `1.0`: construction writes the second, and the first workers wrote the first."""
    return value.removesuffix(".0") if isinstance(value, str) else value


class Event(BaseModel):
    """The flat fields of a message. Raises pydantic.ValidationError for anything else."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    event_id: UUID
    tenant_id: UUID
    event_type: str
    vertical: str = "materials"
    version: Annotated[int, BeforeValidator(_version)]
    occurred_at: datetime
    payload: Json[dict[str, object]]


class SoldItem(BaseModel):
    """One line of an order; amounts are texts in the message."""

    product_id: UUID
    quantity: Decimal
    unit_price: Decimal
    total_value: Decimal


class Sale(BaseModel):
    """Payload of `sale_recorded`."""

    model_config = ConfigDict(extra="ignore")

    order_id: UUID
    client_id: UUID | None = None
    delivered_at: datetime | None = None
    items: list[SoldItem]

    def occurred_at(self, event: Event) -> datetime:
        """Give when it was delivered; times without a zone are UTC."""
        moment = self.delivered_at or event.occurred_at
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def read(fields: Mapping[bytes, bytes]) -> Event:
    """Read a message as it came over the wire. Raises ValueError, of which pydantic.ValidationError is one.

    Fields that are not ours are not looked at: what another writer puts there need not be text.
    """
    names = ((name, name.encode()) for name in Event.model_fields)
    return Event.model_validate({name: fields[raw].decode() for name, raw in names if raw in fields})


def event_id(fields: Mapping[bytes, bytes]) -> UUID | None:
    """Give the id of a message that may not be readable otherwise."""
    with suppress(ValueError):
        return UUID(fields.get(b"event_id", b"").decode())
    return None
