"""DNS records, which the proxy reads."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass

from localcloud.account import Account
from localcloud.cloudflare.backend import RecordSpec
from localcloud.cloudflare.real import edge
from localcloud.machine.context import Cloud

RECORDS = "records"
RECORD_URNS = "record-urns"


@dataclass(frozen=True)
class Records:
    """The DNS records of a cloud."""

    cloud: Cloud

    async def put(self, urn: str, record_id: str | None, spec: RecordSpec) -> str:
        """Create or change a record. A record's file is the RecordSpec alone, as the proxy expects it."""
        store, config = self.cloud.store, self.cloud.config
        async with store.lock():
            chosen = record_id or self._same(urn, spec)
            if chosen is None:
                Account.of(config.state).check_record(spec.zone_id, spec.name)
                chosen = uuid.uuid4().hex  # 32 hex digits, as Cloudflare's
            store.write(RECORD_URNS, chosen, {"urn": urn})
            store.write(RECORDS, chosen, asdict(spec))
            # Under the lock: the engine creates several records at once, and the proxy has one configuration.
            await edge.reload(config, self.cloud.host)
            return chosen

    async def read(self, record_id: str) -> RecordSpec | None:
        """Return a record, None if it is gone."""
        document = self.cloud.store.read(RECORDS, record_id)
        return None if document is None else RecordSpec(**document)

    async def delete(self, record_id: str) -> None:
        """Remove a record."""
        async with self.cloud.store.lock():
            self.cloud.store.delete(RECORDS, record_id)
            self.cloud.store.delete(RECORD_URNS, record_id)
            await edge.reload(self.cloud.config, self.cloud.host)

    def _same(self, urn: str, spec: RecordSpec) -> str | None:
        """Find a record that a killed run made. One with other content may be the old side of a replacement."""
        store = self.cloud.store
        for record_id, document in store.all(RECORDS).items():
            if document == asdict(spec) and (store.read(RECORD_URNS, record_id) or {}).get("urn") == urn:
                return record_id
        return None
