"""Cloudflare's types, as pulumi-cloudflare 6.23.1 has them; here DnsRecord: A records of one zone, proxied or not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import AddressValueError, IPv4Address
from typing import ClassVar

from typing_extensions import override

from localcloud.backend import RecordSpec
from localcloud.provider.handler import Created, Found, Handler, Job, Values
from localcloud.provider.plain import integer, now, text
from localcloud.provider.schema import Failure, Kind, Property, only
from localcloud.provider.values import UNKNOWN, Value

AUTOMATIC_TTL = 1
TTL_MIN_S, TTL_MAX_S = 60, 86400
"""Source: https://developers.cloudflare.com/dns/manage-dns-records/reference/ttl/"""
NAME_LENGTH_MAX = 253


def check_zone(value: Value) -> str | None:
    """Judge a zone id."""
    if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{32}", value):
        return None
    return f"Could not route to /zones/{value}/dns_records, perhaps your object identifier is invalid? (7003)"


def check_name(value: Value) -> str | None:
    """Judge a record's name. A short name would come back as a full one, and differ at each refresh."""
    label = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?"
    name = str(value)
    if len(name) <= NAME_LENGTH_MAX and re.fullmatch(rf"(\*\.)?({label}\.)*{label}", name):
        bare = name.removeprefix("*.")
        if "." in bare or bare == "localhost":
            return None
    return f"DNS name is invalid. (9000): {value!r} is not a full, lower-case name such as shop.example.com"


def check_content(value: Value) -> str | None:
    """Judge the address of an A record."""
    try:
        IPv4Address(str(value))
    except AddressValueError:
        return f"Content for A record must be a valid IPv4 address. (9005): {value!r}"
    return None


def check_ttl(value: Value) -> str | None:
    """Judge a time to live in seconds."""
    if value == AUTOMATIC_TTL or (isinstance(value, int) and TTL_MIN_S <= value <= TTL_MAX_S):
        return None
    return f"TTL must be between {TTL_MIN_S} and {TTL_MAX_S} seconds, or 1 for Automatic. (9021): {value!r}"


class DnsRecord(Handler):
    """One A record; its zone and its type replace, the rest is changed in place."""

    type_name = "cloudflare:index/dnsRecord:DnsRecord"
    properties: ClassVar[Mapping[str, Property]] = {
        "zoneId": Property(kind=Kind.STRING, required=True, replace=True, check=check_zone),
        "name": Property(kind=Kind.STRING, required=True, check=check_name),
        "type": Property(kind=Kind.STRING, required=True, replace=True, check=only("A")),
        "content": Property(kind=Kind.STRING, required=True, check=check_content),
        "ttl": Property(kind=Kind.NUMBER, required=True, check=check_ttl),
        "proxied": Property(kind=Kind.BOOLEAN, default=False),
        "comment": Property(kind=Kind.STRING),
    }

    @override
    def check(self, inputs: Values, old: Values) -> Iterable[Failure]:
        ttl = inputs.get("ttl")
        if inputs.get("proxied") is True and ttl is not UNKNOWN and ttl != AUTOMATIC_TTL:
            yield Failure(property="ttl", reason=f"ttl must be set to 1 when `proxied` is true, got {ttl!r}")

    @override
    def volatile_outputs(self, changed: Iterable[str]) -> Iterable[str]:
        return ("modifiedOn",)

    @override
    async def create(self, job: Job, inputs: Values) -> Created:
        record_id = await job.backend.put_record(job.urn, None, _spec(inputs))
        created = now()
        return Created(id=record_id, outputs=self._outputs(inputs, created, created))

    @override
    async def update(self, job: Job, resource_id: str, old: Values, new: Values, state: Values) -> Values:
        await job.backend.put_record(job.urn, resource_id, _spec(new))
        return self._outputs(new, text(state, "createdOn"), now())

    @override
    async def read(self, job: Job, resource_id: str, inputs: Values, state: Values) -> Found | None:
        spec = await job.backend.read_record(resource_id)
        if spec is None:
            return None
        real: dict[str, Value] = {
            "zoneId": spec.zone_id,
            "name": spec.name,
            "type": spec.type,
            "content": spec.content,
            "ttl": spec.ttl,
        }
        if spec.proxied or "proxied" in inputs:
            real["proxied"] = spec.proxied
        outputs = self._outputs(real, text(state, "createdOn"), text(state, "modifiedOn"))
        return Found(inputs={**inputs, **real}, outputs=outputs)

    @override
    async def delete(self, job: Job, resource_id: str, inputs: Values, state: Values) -> None:
        await job.backend.delete_record(resource_id)

    @staticmethod
    def _outputs(inputs: Values, created_on: str, modified_on: str) -> Values:
        outputs: dict[str, Value] = {
            "createdOn": created_on,
            "modifiedOn": modified_on,
            "commentModifiedOn": "",
            "tagsModifiedOn": "",
            "includeShadowMetadata": False,
            "meta": "{}",
            "proxiable": True,
            "settings": {},
            "tags": [],
        }
        return outputs if "proxied" in inputs else {**outputs, "proxied": False}


def _spec(inputs: Values) -> RecordSpec:
    return RecordSpec(
        zone_id=text(inputs, "zoneId"),
        name=text(inputs, "name"),
        type=text(inputs, "type"),
        content=text(inputs, "content"),
        proxied=inputs.get("proxied") is True,
        ttl=integer(inputs, "ttl"),
    )
