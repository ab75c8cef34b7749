"""The dry cloud: records in one JSON file and nothing else, so that the engine and the program are tested in seconds.

Several plugins share the file: every change is read, modify, write under a lock, and the write is atomic.

Faults for tests: `<state>/faults.json` holds a list of
`{"when": "before"|"after", "op": "create", "type": "<token>", "name": "<name>", "seconds": 5, "error": "..."}`.
A change that fits waits so many seconds and then fails with the error, if there is one; `*` works in op, type and name.
`before` = nothing was made yet; `after` = it was made, but the engine does not know. `<state>/fault.hit` then appears.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from localcloud.account import Account, check_vpc_goes
from localcloud.backend import (
    PENDING_EVENT,
    DropletSpec,
    DropletState,
    FirewallRule,
    FirewallSpec,
    Progress,
    RecordSpec,
    VolumeSpec,
    VpcSpec,
)
from localcloud.config import CloudConfig
from localcloud.errors import NO_DOCUMENT, CloudError, damaged

FIRST_DROPLET_ADDRESS = 8
FIRST_RESERVED_ADDRESS = 24
"""Offsets in the public slice; below are the gateway, the Cloudflare stand-in and the registry."""
POWER_S = 0.5
"""Seconds that a droplet is off for a new size."""
FIRST_NUMERIC_ID = 400_000_001
"""DigitalOcean counts droplets and keys in the hundreds of millions; programs must not rely on few digits."""

Record = dict[str, Any]


class DryStore:
    """One JSON file: `{"next_id": n, "<kind>": {"<id>": record}}`."""

    def __init__(self, state: Path) -> None:
        self.path = state / "dry.json"

    def read(self) -> Record:
        """Answer everything. An absent file is an empty cloud. Raises CloudError for a damaged one."""
        try:
            data = dict(json.loads(self.path.read_bytes()).items())
            data["next_id"] = int(data["next_id"])
        except FileNotFoundError:
            return {"next_id": FIRST_NUMERIC_ID}
        except NO_DOCUMENT as error:
            raise damaged(self.path, error, "remove it: the cloud is then empty") from None
        return data

    @contextmanager
    def change(self) -> Iterator[Record]:
        """Change the records; on an exception nothing is written."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            data = self.read()
            yield data
            temporary = self.path.with_suffix(".new")
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump(data, file, indent=1, sort_keys=True)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)


class DryCloud:
    """Implements `localcloud.backend.Backend` over the store."""

    def __init__(self, config: CloudConfig) -> None:
        self._config = config
        self._store = DryStore(config.state)

    # VPCs

    async def create_vpc(self, urn: str, spec: VpcSpec) -> str:
        others = [each for each in self._store.read().get("vpc", {}).values() if each["urn"] != urn]
        default = Account.of(self._config.state).is_fresh and not others
        return self._put("vpc", urn, None, {**asdict(spec), "default": default})

    async def update_vpc(self, vpc_id: str, spec: VpcSpec) -> None:
        found = await self.read_vpc(vpc_id)
        self._change("vpc", vpc_id, {**asdict(spec), "default": found is not None and found.default})

    async def read_vpc(self, vpc_id: str) -> VpcSpec | None:
        record = self._get("vpc", vpc_id)
        return VpcSpec(**record["spec"]) if record else None

    async def delete_vpc(self, vpc_id: str) -> None:
        with self._store.change() as data:
            if any(droplet["spec"]["vpc_id"] == vpc_id for droplet in data.get("droplet", {}).values()):
                raise CloudError("Can not delete VPC with members\nhint: delete the droplets in it first")
            record = data.get("vpc", {}).get(vpc_id)
            check_vpc_goes(default=bool(record) and VpcSpec(**record["spec"]).default)
            data.get("vpc", {}).pop(vpc_id, None)

    # Droplets

    async def create_droplet(self, urn: str, spec: DropletSpec, progress: Progress) -> DropletState:
        await progress("record")
        with self._store.change() as data:
            vpc = data.get("vpc", {}).get(spec.vpc_id)
            if vpc is None:
                raise CloudError(f"The VPC {spec.vpc_id} was not found\nhint: run `up` with a refresh")
            droplets: Record = data.setdefault("droplet", {})
            droplet_id = _find(droplets, urn)
            if droplet_id is None:
                droplet_id = _next_id(data)
                private = [d["state"]["ipv4_address_private"] for d in droplets.values()]
                public = [d["state"]["ipv4_address"] for d in droplets.values()]
                state = {
                    "id": droplet_id,
                    "ipv4_address": _free(self._config.public_subnet, FIRST_DROPLET_ADDRESS, public),
                    "ipv4_address_private": _free(IPv4Network(vpc["spec"]["ip_range"]), FIRST_DROPLET_ADDRESS, private),
                    "status": "active",
                }
                droplets[droplet_id] = {"urn": urn, "state": state}
            droplets[droplet_id]["spec"] = _without_secrets(spec)
            return DropletState(**droplets[droplet_id]["state"])

    async def update_droplet(self, droplet_id: str, spec: DropletSpec, progress: Progress) -> DropletState:
        await progress("record")
        with self._store.change() as data:
            record = _existing(data, "droplet", droplet_id)
            resized = record["spec"]["size"] != spec.size
            if resized:
                record["pending_until"] = time.time() + POWER_S
        if resized:
            await asyncio.sleep(POWER_S)
        return DropletState(**self._change("droplet", droplet_id, _without_secrets(spec))["state"])

    async def read_droplet(self, droplet_id: str) -> DropletState | None:
        record = self._get("droplet", droplet_id)
        return DropletState(**record["state"]) if record else None

    async def delete_droplet(self, droplet_id: str) -> None:
        with self._store.change() as data:
            data.get("droplet", {}).pop(droplet_id, None)
            for kind in ("volume", "reserved_ip"):
                for record in data.get(kind, {}).values():
                    if record.get("droplet_id") == droplet_id:
                        record["droplet_id"] = None

    # Firewalls

    async def put_firewall(self, urn: str, firewall_id: str | None, spec: FirewallSpec) -> str:
        return self._put("firewall", urn, firewall_id, asdict(spec))

    async def read_firewall(self, firewall_id: str) -> FirewallSpec | None:
        record = self._get("firewall", firewall_id)
        if record is None:
            return None
        spec = record["spec"]
        return FirewallSpec(
            name=spec["name"],
            tags=tuple(spec["tags"]),
            inbound=tuple(_rule(rule) for rule in spec["inbound"]),
            outbound=tuple(_rule(rule) for rule in spec["outbound"]),
        )

    async def delete_firewall(self, firewall_id: str) -> None:
        self._drop("firewall", firewall_id)

    # Volumes

    async def create_volume(self, urn: str, spec: VolumeSpec) -> str:
        for other in self._store.read().get("volume", {}).values():
            same = (other["spec"]["name"], other["spec"]["region"]) == (spec.name, spec.region)
            if same and other["urn"] != urn:
                raise CloudError(f"volume {spec.name}: a volume of that name already exists in {spec.region}")
        return self._put("volume", urn, None, asdict(spec))

    async def resize_volume(self, volume_id: str, size_gib: int) -> None:
        with self._store.change() as data:
            record = _existing(data, "volume", volume_id)
            holder = data.get("droplet", {}).get(record.get("droplet_id"), {})
            if holder.get("pending_until", 0) > time.time():
                raise CloudError(PENDING_EVENT)
            record["spec"]["size_gib"] = size_gib

    async def read_volume(self, volume_id: str) -> VolumeSpec | None:
        record = self._get("volume", volume_id)
        return VolumeSpec(**record["spec"]) if record else None

    async def delete_volume(self, volume_id: str) -> None:
        with self._store.change() as data:
            record = data.get("volume", {}).get(volume_id)
            if record and record.get("droplet_id"):
                raise CloudError("failed to delete volume: it is attached\nhint: detach it first")
            data.get("volume", {}).pop(volume_id, None)

    async def attach_volume(self, volume_id: str, droplet_id: str) -> None:
        self._point("volume", volume_id, droplet_id)

    async def attached_droplet(self, volume_id: str) -> str | None:
        return self._pointed("volume", volume_id)

    async def detach_volume(self, volume_id: str, droplet_id: str) -> None:
        self._unpoint("volume", volume_id, droplet_id)

    # Reserved addresses

    async def create_reserved_ip(self, urn: str, region: str) -> str:
        with self._store.change() as data:
            addresses: Record = data.setdefault("reserved_ip", {})
            address = _find(addresses, urn)
            if address is None:
                address = _free(self._config.public_subnet, FIRST_RESERVED_ADDRESS, list(addresses))
                addresses[address] = {"urn": urn}
            addresses[address]["spec"] = {"region": region}
            return address

    async def read_reserved_ip(self, address: str) -> str | None:
        record = self._get("reserved_ip", address)
        return record["spec"]["region"] if record else None

    async def delete_reserved_ip(self, address: str) -> None:
        self._drop("reserved_ip", address)

    async def assign_reserved_ip(self, address: str, droplet_id: str) -> None:
        self._point("reserved_ip", address, droplet_id)

    async def assigned_droplet(self, address: str) -> str | None:
        return self._pointed("reserved_ip", address)

    async def unassign_reserved_ip(self, address: str, droplet_id: str) -> None:
        self._unpoint("reserved_ip", address, droplet_id)

    # DNS records and documents

    async def put_record(self, urn: str, record_id: str | None, spec: RecordSpec) -> str:
        with self._store.change() as data:
            record_id = record_id or _find(data.get("record", {}), urn)
            if record_id is None:
                Account.of(self._config.state).check_record(spec.zone_id, spec.name)
            for other_id, other in data.get("record", {}).items():
                same = all(other["spec"][key] == getattr(spec, key) for key in ("zone_id", "name", "type"))
                if same and other_id != record_id:
                    raise CloudError(
                        f"An identical record already exists. (81058) {spec.type} {spec.name}\n"
                        "hint: remove the other record, or import it"
                    )
        return self._put("record", urn, record_id, asdict(spec))

    async def read_record(self, record_id: str) -> RecordSpec | None:
        record = self._get("record", record_id)
        return RecordSpec(**record["spec"]) if record else None

    async def delete_record(self, record_id: str) -> None:
        self._drop("record", record_id)

    async def put_document(self, kind: str, urn: str, document_id: str | None, document: Mapping[str, object]) -> str:
        spec = {key: value for key, value in document.items() if key != "privateKey"}
        with self._store.change() as data:
            if kind == "ssh_key" and document_id is None:
                ours = [r["spec"]["publicKey"] for r in data.get(kind, {}).values() if r["urn"] != urn]
                Account.of(self._config.state).check_key(str(spec["publicKey"]), ours)
            # Of one URN there are two while a replacement is made: only the same thing is adopted.
            same = (key for key, r in data.get(kind, {}).items() if r["urn"] == urn and r["spec"] == spec)
            document_id = document_id or next(same, None) or _new_id(data, kind, spec)
        return self._put(kind, urn, document_id, spec)

    async def read_document(self, kind: str, document_id: str) -> Mapping[str, object] | None:
        record = self._get(kind, document_id)
        return dict(record["spec"]) if record else None

    async def delete_document(self, kind: str, document_id: str) -> None:
        self._drop(kind, document_id)

    # Records

    def _get(self, kind: str, record_id: str) -> Record | None:
        found: Record | None = self._store.read().get(kind, {}).get(record_id)
        return found

    def _put(self, kind: str, urn: str, record_id: str | None, spec: Record) -> str:
        """Create or overwrite; without an id a record of the same URN is adopted (an interrupted create made it)."""
        with self._store.change() as data:
            records: Record = data.setdefault(kind, {})
            found = record_id or _find(records, urn) or _new_id(data, kind, spec)
            records[found] = {**records.get(found, {}), "urn": urn, "spec": spec}
            return found

    def _change(self, kind: str, record_id: str, spec: Record) -> Record:
        with self._store.change() as data:
            record = _existing(data, kind, record_id)
            record["spec"] = spec
            return record

    def _drop(self, kind: str, record_id: str) -> None:
        with self._store.change() as data:
            data.get(kind, {}).pop(record_id, None)

    def _point(self, kind: str, record_id: str, droplet_id: str) -> None:
        with self._store.change() as data:
            record = _existing(data, kind, record_id)
            _existing(data, "droplet", droplet_id)
            if record.get("droplet_id") not in (None, droplet_id):
                raise CloudError(f"{kind} {record_id} is already attached to droplet {record['droplet_id']}")
            record["droplet_id"] = droplet_id

    def _pointed(self, kind: str, record_id: str) -> str | None:
        record = self._get(kind, record_id)
        found: str | None = record.get("droplet_id") if record else None
        return found

    def _unpoint(self, kind: str, record_id: str, droplet_id: str) -> None:
        with self._store.change() as data:
            record = data.get(kind, {}).get(record_id)
            if record and record.get("droplet_id") == droplet_id:
                record["droplet_id"] = None


def _existing(data: Record, kind: str, record_id: str) -> Record:
    record: Record | None = data.get(kind, {}).get(record_id)
    if record is None:
        raise CloudError(f"The {kind} {record_id} was not found (404)\nhint: run `up` with a refresh")
    return record


def _find(records: Record, urn: str) -> str | None:
    return next((key for key, record in records.items() if record["urn"] == urn), None)


def _new_id(data: Record, kind: str, spec: Record) -> str:
    if kind == "tag":
        return str(spec["name"])
    if kind == "ssh_key":
        return _next_id(data)
    return uuid.uuid4().hex if kind == "record" else str(uuid.uuid4())


def _next_id(data: Record) -> str:
    data["next_id"] += 1
    return str(data["next_id"] - 1)


def _free(network: IPv4Network, first: int, taken: list[str]) -> str:
    for offset in range(first, network.num_addresses - 1):
        address = IPv4Address(int(network.network_address) + offset)
        if str(address) not in taken:
            return str(address)
    raise CloudError(f"no free address in {network}")


def _rule(rule: Record) -> FirewallRule:
    return FirewallRule(
        protocol=rule["protocol"],
        ports=rule["ports"],
        addresses=tuple(rule["addresses"]),
        tags=tuple(rule["tags"]),
    )


def _without_secrets(spec: DropletSpec) -> Record:
    """Keep no user data: it holds the host key, and the store is readable text. Documents lose their private keys."""
    record = asdict(spec)
    del record["user_data"]
    return record


async def apply_faults(state: Path, when: str, op: str, token: str, name: str) -> None:
    """Do what `faults.json` says for this change. Raises CloudError for an injected failure."""
    try:
        faults: list[Record] = json.loads((state / "faults.json").read_text())
    except FileNotFoundError:
        return
    for fault in faults:
        wanted = (fault.get("op", "*"), fault.get("type", "*"), fault.get("name", "*"))
        if fault["when"] == when and all(map(fnmatchcase, (op, token, name), wanted)):
            (state / "fault.hit").touch()
            await asyncio.sleep(float(fault.get("seconds", 0)))
            if "error" in fault:
                raise CloudError(str(fault["error"]))
