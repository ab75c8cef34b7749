"""Events for other parts of the platform, written to the outbox in the transaction of the change that they tell of."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

from sqlalchemy.orm import Session

from construction_app.database import Cotacao, EventOutbox, Item, Pedido
from construction_app.identity import Claims
from construction_app.money import order_total

VERTICAL = "materials"


def _now() -> str:
    """ISO time in UTC without a zone, as readers of the stream expect it."""
    return datetime.now(UTC).replace(tzinfo=None).isoformat()


def _items(items: list[Item]) -> list[dict[str, str]]:
    return [
        {
            "product_id": str(item.produto_id),
            "quantity": f"{item.quantidade:.3f}",
            "unit_price": f"{item.preco_unitario:.2f}",
            "total_value": f"{item.valor_total:.2f}",
        }
        for item in items
    ]


def _optional(value: object) -> str | None:
    return None if value is None else str(value)


def _publish(database: Session, pedido: Pedido, event_type: str, payload: dict[str, object]) -> None:
    payload |= {"order_id": str(pedido.id), "vertical": VERTICAL}
    database.add(EventOutbox(tenant_id=pedido.tenant_id, event_type=event_type, event_id=uuid4(), payload=payload))


def quote_converted(database: Session, cotacao: Cotacao, pedido: Pedido, items: list[Item], claims: Claims) -> None:
    payload: dict[str, object] = {
        "quote_id": str(cotacao.id),
        "client_id": str(pedido.cliente_id),
        "user_id": str(claims.sub),
        "work_id": _optional(pedido.obra_id),
        "total_value": _total(items, pedido),
        "converted_at": _now(),
        "items": _items(items),
    }
    _publish(database, pedido, "quote_converted", payload)


def order_status_changed(database: Session, pedido: Pedido, old_status: str, claims: Claims) -> None:
    payload: dict[str, object] = {
        "old_status": old_status,
        "new_status": pedido.status,
        "changed_at": _now(),
        "changed_by": str(claims.sub),
    }
    _publish(database, pedido, "order_status_changed", payload)


def sale_recorded(database: Session, pedido: Pedido, items: list[Item]) -> None:
    payload: dict[str, object] = {
        "quote_id": _optional(pedido.cotacao_id),
        "client_id": str(pedido.cliente_id),
        "work_id": _optional(pedido.obra_id),
        "delivered_at": _now(),
        "total_value": _total(items, pedido),
        "items": _items(items),
    }
    _publish(database, pedido, "sale_recorded", payload)


def _total(items: list[Item], pedido: Pedido) -> str:
    return f"{order_total([item.valor_total for item in items], pedido.desconto_percentual or Decimal(0)):.2f}"
