"""Cloudflare in dry mode: records."""

from __future__ import annotations

import uuid
from dataclasses import asdict

from localcloud.account import Account
from localcloud.cloudflare.backend import Backend, RecordSpec
from localcloud.config import CloudConfig
from localcloud.dry import Documents, Table, find
from localcloud.errors import CloudError

RECORD = "record"


def backend(config: CloudConfig) -> Backend:
    """Build the back-end."""
    return Backend(records=Records(config), documents=Documents(config))


class Records:
    """DNS records that nothing serves."""

    def __init__(self, config: CloudConfig) -> None:
        self._config = config
        self._table = Table.of(config, RECORD)

    async def put(self, urn: str, record_id: str | None, spec: RecordSpec) -> str:
        records = self._table.all()
        record_id = record_id or find(records, urn)
        if record_id is None:
            Account.of(self._config.state).check_record(spec.zone_id, spec.name)
        for other_id, other in records.items():
            same = all(other["spec"][key] == getattr(spec, key) for key in ("zone_id", "name", "type", "content"))
            if same and other_id != record_id:
                raise CloudError(
                    f"An identical record already exists. (81058) {spec.type} {spec.name}\n"
                    "hint: remove the other record, or import it"
                )
        return self._table.put(urn, record_id or uuid.uuid4().hex, asdict(spec))

    async def read(self, record_id: str) -> RecordSpec | None:
        record = self._table.get(record_id)
        return RecordSpec(**record["spec"]) if record else None

    async def delete(self, record_id: str) -> None:
        self._table.drop(record_id)
