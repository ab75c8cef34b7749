"""Things of the cloud that have no body here: DNS records and zones' TLS (the stand-in reads them), tags, SSH keys."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping
from dataclasses import asdict

from localcloud.account import Account
from localcloud.backend import RecordSpec
from localcloud.cloudflare import tls
from localcloud.cloudflare.real import edge
from localcloud.machine.context import Cloud
from localcloud.machine.store import Store

RECORDS = "records"
RECORD_URNS = "record-urns"
_SSH_KEY_DIGITS = 8


async def put_record(cloud: Cloud, urn: str, record_id: str | None, spec: RecordSpec) -> str:
    """Make or change a record. A record's file is the RecordSpec alone, as the stand-in expects it."""
    async with cloud.store.lock():
        chosen = record_id or _same_record(cloud.store, urn, spec)
        if chosen is None:
            Account.of(cloud.config.state).check_record(spec.zone_id, spec.name)
            chosen = uuid.uuid4().hex  # 32 hex digits, as Cloudflare's
        cloud.store.write(RECORD_URNS, chosen, {"urn": urn})
        cloud.store.write(RECORDS, chosen, asdict(spec))
        # Under the lock: the engine makes several records at once, and the stand-in has one configuration.
        await edge.reload(cloud.config, cloud.host)
        return chosen


def read_record(store: Store, record_id: str) -> RecordSpec | None:
    """Answer a record, None when it is gone."""
    document = store.read(RECORDS, record_id)
    return None if document is None else RecordSpec(**document)


async def delete_record(cloud: Cloud, record_id: str) -> None:
    """Remove a record."""
    async with cloud.store.lock():
        cloud.store.delete(RECORDS, record_id)
        cloud.store.delete(RECORD_URNS, record_id)
        await edge.reload(cloud.config, cloud.host)


async def put_document(
    cloud: Cloud, kind: str, urn: str, document_id: str | None, document: Mapping[str, object]
) -> str:
    """Keep a document. A tag's id is its name, an SSH key's is digits, as at DigitalOcean."""
    store = cloud.store
    async with store.lock():
        found = document_id or store.find(folder(kind), urn=urn, document=dict(document))
        if found is None and kind == "ssh_key":
            ours = [each for each in store.all(folder(kind)).values() if each["urn"] != urn]
            keys = [each["document"].get("publicKey") for each in ours]
            Account.of(cloud.config.state).check_key(str(document["publicKey"]), keys)
        chosen = found or _new_id(kind, document)
        store.write(folder(kind), chosen, {"urn": urn, "document": dict(document)})
        if kind in tls.KINDS:
            await edge.reload(cloud.config, cloud.host)
        return chosen


def read_document(store: Store, kind: str, document_id: str) -> Mapping[str, object] | None:
    """Answer a document, None when it is gone."""
    found = store.read(folder(kind), document_id)
    return None if found is None else dict(found["document"])


async def delete_document(cloud: Cloud, kind: str, document_id: str) -> None:
    """Forget a document."""
    async with cloud.store.lock():
        cloud.store.delete(folder(kind), document_id)
        if kind in tls.KINDS:
            await edge.reload(cloud.config, cloud.host)


def folder(kind: str) -> str:
    """Name the directory of a kind of documents."""
    return f"documents-{kind}"


def _same_record(store: Store, urn: str, spec: RecordSpec) -> str | None:
    """Find a record that a killed run made. One with other content may be the old side of a replacement."""
    for record_id, document in store.all(RECORDS).items():
        if document == asdict(spec) and (store.read(RECORD_URNS, record_id) or {}).get("urn") == urn:
            return record_id
    return None


def _new_id(kind: str, document: Mapping[str, object]) -> str:
    if kind == "ssh_key":
        low = 10 ** (_SSH_KEY_DIGITS - 1)
        return str(low + secrets.randbelow(9 * low))
    if kind == "tag" and isinstance(document.get("name"), str):
        return str(document["name"])
    return str(uuid.uuid4())
