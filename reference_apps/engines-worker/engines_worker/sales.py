"""What a recorded sale means: facts, a stock alert, suggestions of what is bought together.

All of it is written in the caller's transaction. Ids of facts are made from the event's: a repeated event adds none.
"""

from decimal import Decimal
from itertools import permutations
from uuid import UUID, uuid4, uuid5

from sqlalchemy import Connection, text

from engines_worker.events import Event, Sale, SoldItem

SALES_DAYS = 90
"""Days over which the mean daily sales are taken."""
COVER_DAYS = 7
"""Days that the stock should last."""
SAFETY = Decimal("1.2")
MINIMUM_SHARE = 20
"""Per cent of a product's orders that must hold the other one, too."""
PRIORITIES = ((70, "alta"), (40, "media"), (MINIMUM_SHARE, "baixa"))
RISKS = ((Decimal(2), "alto"), (Decimal(5), "medio"))
"""Days until rupture up to which the risk is so called; above it is `baixo`. The contract names no bounds."""

SALES_FACT = text("""
INSERT INTO engine_sales_facts
  (id, tenant_id, vertical, order_id, product_id, client_id, quantity, unit_price, total_value, occurred_at, event_id)
VALUES (:id, :tenant_id, :vertical, :order_id, :product_id, :client_id, :quantity, :unit_price, :total_value,
        :occurred_at, :event_id)
ON CONFLICT (event_id) DO NOTHING
""")
STOCK_FACT = text("""
INSERT INTO engine_stock_facts
  (id, tenant_id, vertical, product_id, movement_type, quantity_delta, quantity_after, occurred_at, event_id,
   reference_id)
SELECT :id, :tenant_id, :vertical, :product_id, 'sale', -:quantity,
       greatest(coalesce(sum(quantity_delta), 0) - :quantity, 0), :occurred_at, :event_id, :order_id
FROM engine_stock_facts WHERE tenant_id = :tenant_id AND product_id = :product_id
ON CONFLICT (event_id) DO NOTHING
""")
STOCK = text(
    "SELECT coalesce(sum(quantity_delta), 0) FROM engine_stock_facts"
    " WHERE tenant_id = :tenant_id AND product_id = :product_id"
)
SOLD = text(
    "SELECT coalesce(sum(quantity), 0) FROM engine_sales_facts"
    " WHERE tenant_id = :tenant_id AND product_id = :product_id AND occurred_at >= now() - make_interval(days => :days)"
)
# One open alert a product: the next sale brings it up to date.
UPDATE_ALERT = text("""
UPDATE engine_stock_alerts SET risk_level = :risk_level, current_stock = :current_stock, minimum_stock = :minimum_stock,
  days_until_rupture = :days_until_rupture, explanation = :explanation, updated_at = now()
WHERE tenant_id = :tenant_id AND product_id = :product_id AND alert_type = 'rupture' AND status = 'active'
""")
INSERT_ALERT = text("""
INSERT INTO engine_stock_alerts
  (id, tenant_id, vertical, product_id, alert_type, risk_level, current_stock, minimum_stock, days_until_rupture,
   explanation)
VALUES (:id, :tenant_id, :vertical, :product_id, 'rupture', :risk_level, :current_stock, :minimum_stock,
  :days_until_rupture, :explanation)
""")
TOGETHER = text("""
SELECT count(DISTINCT a.order_id) AS orders,
       count(DISTINCT a.order_id) FILTER (WHERE EXISTS (
         SELECT FROM engine_sales_facts b
         WHERE b.tenant_id = a.tenant_id AND b.order_id = a.order_id AND b.product_id = :suggested)) AS together
FROM engine_sales_facts a WHERE a.tenant_id = :tenant_id AND a.product_id = :source
""")
UPDATE_SUGGESTION = text("""
UPDATE engine_sales_suggestions SET frequency = :frequency, priority = :priority, explanation = :explanation,
  updated_at = now()
WHERE tenant_id = :tenant_id AND suggestion_type = 'complementary' AND source_product_id = :source
  AND suggested_product_id = :suggested AND status = 'active'
""")
INSERT_SUGGESTION = text("""
INSERT INTO engine_sales_suggestions
  (id, tenant_id, vertical, suggestion_type, source_product_id, suggested_product_id, frequency, priority, explanation)
VALUES (:id, :tenant_id, :vertical, 'complementary', :source, :suggested, :frequency, :priority, :explanation)
""")


def record(connection: Connection, event: Event) -> dict[str, int]:
    """Write everything that follows from a `sale_recorded` event and answer how many of each kind."""
    sale = Sale.model_validate(event.payload)
    items = _by_product(sale)
    for item in items:
        _facts(connection, event, sale, item)
    alerts = sum(_alert(connection, event, item.product_id) for item in items)
    pairs = permutations((item.product_id for item in items), 2)
    suggestions = sum(_suggest(connection, event, source, suggested) for source, suggested in pairs)
    return {"sales_facts": len(items), "stock_facts": len(items), "alerts": alerts, "suggestions": suggestions}


def _by_product(sale: Sale) -> list[SoldItem]:
    """Add up lines of the same product: the fact's id is made from event and product, so there can be one only."""
    found: dict[UUID, SoldItem] = {}
    for item in sale.items:
        before = found.get(item.product_id)
        if before is None:
            found[item.product_id] = item
        else:
            found[item.product_id] = before.model_copy(
                update={
                    "quantity": before.quantity + item.quantity,
                    "total_value": before.total_value + item.total_value,
                }
            )
    return list(found.values())


def _facts(connection: Connection, event: Event, sale: Sale, item: SoldItem) -> None:
    shared = {
        "tenant_id": event.tenant_id,
        "vertical": event.vertical,
        "product_id": item.product_id,
        "order_id": sale.order_id,
        "quantity": item.quantity,
        "occurred_at": sale.occurred_at(event),
    }
    own = {"client_id": sale.client_id, "unit_price": item.unit_price, "total_value": item.total_value}
    sales_id = uuid5(event.event_id, str(item.product_id))
    stock_id = uuid5(event.event_id, f"stock_{item.product_id}")
    connection.execute(SALES_FACT, {**shared, **own, "id": uuid4(), "event_id": sales_id})
    connection.execute(STOCK_FACT, {**shared, "id": uuid4(), "event_id": stock_id})


def _alert(connection: Connection, event: Event, product_id: UUID) -> bool:
    """Open or renew the alert of a product whose stock lasts less than a week and a fifth."""
    key = {"tenant_id": event.tenant_id, "product_id": product_id}
    balance = Decimal(connection.execute(STOCK, key).scalar_one())
    daily = Decimal(connection.execute(SOLD, {**key, "days": SALES_DAYS}).scalar_one()) / SALES_DAYS
    minimum = COVER_DAYS * SAFETY * daily
    stock = max(balance, Decimal(0))
    if stock >= minimum:
        return False
    days = stock / daily
    values = {
        **key,
        "risk_level": next((name for bound, name in RISKS if days <= bound), "baixo"),
        "current_stock": f"{balance:.3f}",
        "minimum_stock": f"{minimum:.3f}",
        "days_until_rupture": f"{days:.1f}",
        "explanation": f"Estoque para {days:.1f} dias; mínimo {minimum:.3f} ({COVER_DAYS} dias de venda média e 20 %)",
    }
    if connection.execute(UPDATE_ALERT, values).rowcount == 0:
        connection.execute(INSERT_ALERT, {**values, "id": uuid4(), "vertical": event.vertical})
    return True


def _suggest(connection: Connection, event: Event, source: UUID, suggested: UUID) -> bool:
    """Suggest a product that is often in the same order as another."""
    key = {"tenant_id": event.tenant_id, "source": source, "suggested": suggested}
    found = connection.execute(TOGETHER, key).mappings().one()
    share = 100 * found["together"] / found["orders"]
    priority = next((name for bound, name in PRIORITIES if share >= bound), None)
    if priority is None:
        return False
    values = {
        **key,
        "frequency": f"{share:.0f}%",
        "priority": priority,
        "explanation": f"Comprado junto em {found['together']} de {found['orders']} pedidos",
    }
    if connection.execute(UPDATE_SUGGESTION, values).rowcount == 0:
        connection.execute(INSERT_SUGGESTION, {**values, "id": uuid4(), "vertical": event.vertical})
    return True
