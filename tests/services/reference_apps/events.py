"""Rows of the outbox as construction writes them, what became of them, and the processes that see to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

from engines_worker.worker import Worker
from redis import Redis
from sqlalchemy import Engine, text

from tests.services.reference_apps.shop import SECRET_KEY, Shop

ROOT = Path(__file__).parents[3]
STREAM = "events:materials"


def item(product: uuid.UUID, quantity: str = "10.000", price: str = "30.00") -> dict[str, str]:
    total = Decimal(quantity) * Decimal(price)
    return {"product_id": str(product), "quantity": quantity, "unit_price": price, "total_value": f"{total:.2f}"}


def sale(*items: dict[str, str]) -> dict[str, Any]:
    """Payload as construction writes it."""
    total = sum(Decimal(line["total_value"]) for line in items)
    return {
        "order_id": str(uuid.uuid4()),
        "quote_id": None,
        "client_id": str(uuid.uuid4()),
        "work_id": None,
        "delivered_at": "2026-05-04T12:30:00.123456",
        "total_value": f"{total:.2f}",
        "vertical": "materials",
        "items": list(items),
    }


def insert(database: Engine, shop: Shop, payload: Any, *, kind: str = "sale_recorded", **columns: Any) -> str:
    """Write an outbox row and answer its event id."""
    values = {"tenant_id": shop.id, "event_type": kind, "event_id": uuid.uuid4(), "payload": json.dumps(payload)}
    values |= columns
    names = ", ".join(values)
    marks = ", ".join(f"CAST(:{name} AS jsonb)" if name == "payload" else f":{name}" for name in values)
    with database.begin() as connection:
        connection.execute(text(f"INSERT INTO event_outbox ({names}) VALUES ({marks})"), values)  # noqa: S608 - our own names
    return str(values["event_id"])


def rows(database: Engine, table: str, shop: Shop) -> list[Any]:
    with database.begin() as connection:
        query = text(f"SELECT * FROM {table} WHERE tenant_id = :id ORDER BY created_at, id")  # noqa: S608 - our own names
        return list(connection.execute(query, {"id": shop.id}).mappings())


def read_all(worker: Worker) -> None:
    """Handle every message that is there."""
    settings = worker.settings
    source: dict[Any, Any] = {settings.engines_stream_name: ">"}
    while answer := worker.redis.xreadgroup(
        settings.engines_group_name, settings.engines_consumer_name, source, count=10
    ):
        messages: Any
        for _, messages in answer:  # type: ignore[str-unpack] # RESP2's form, which the client asks for
            worker.handle_all(messages)


def pending(redis: Redis) -> int:
    answer: Any = redis.xpending(STREAM, "engines")
    return int(answer["pending"])


def start(name: str, arguments: list[str], database_url: str, redis_url: str, tmp_path: Path) -> subprocess.Popen[str]:
    """Start an application as its container does."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT / 'reference_apps' / name}:{ROOT / 'reference_apps/common'}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "DATABASE_URL": database_url,
        "SECRET_KEY": SECRET_KEY,
        "REDIS_URL": redis_url,
        "RELAY_POLL_INTERVAL_EMPTY": "0.1",
        "ENGINES_BLOCK_MS": "100",
        "ENGINES_CONSUMER_NAME": "engines-1",
        "PGTZ": "UTC",
    }
    command = [sys.executable, *arguments]
    return subprocess.Popen(
        command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
