"""Cloudflare's types, as pulumi-cloudflare 6.23.1 has them; here DnsRecord: A records of one zone, proxied or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from typing_extensions import override

from localcloud.cloudflare import rules
from localcloud.cloudflare.backend import Backend, RecordSpec
from localcloud.provider.handler import Created, Found, Handler, Job, Values
from localcloud.provider.plain import integer, now, text
from localcloud.provider.schema import Failure, Kind, Property, only
from localcloud.provider.values import UNKNOWN, Value


class DnsRecord(Handler[Backend]):
    """One A record; its zone and its type replace, the rest is changed in place."""

    type_name = "cloudflare:index/dnsRecord:DnsRecord"
    properties: ClassVar[Mapping[str, Property]] = {
        "zoneId": Property(kind=Kind.STRING, required=True, replace=True, check=rules.check_zone_of_record),
        "name": Property(kind=Kind.STRING, required=True, check=rules.check_name),
        "type": Property(kind=Kind.STRING, required=True, replace=True, check=only("A")),
        "content": Property(kind=Kind.STRING, required=True, check=rules.check_content),
        "ttl": Property(kind=Kind.NUMBER, required=True, check=rules.check_ttl),
        "proxied": Property(kind=Kind.BOOLEAN, default=False),
        "comment": Property(kind=Kind.STRING),
    }

    @override
    def check(self, inputs: Values, old: Values) -> Iterable[Failure]:
        ttl = inputs.get("ttl")
        if inputs.get("proxied") is True and ttl is not UNKNOWN and ttl != rules.AUTOMATIC_TTL:
            yield Failure(property="ttl", reason=f"ttl must be set to 1 when `proxied` is true, got {ttl!r}")

    @override
    def volatile_outputs(self, changed: Iterable[str]) -> Iterable[str]:
        return ("modifiedOn",)

    @override
    async def create(self, job: Job[Backend], inputs: Values) -> Created:
        record_id = await job.backend.records.put(job.urn, None, _spec(inputs))
        created = now()
        return Created(id=record_id, outputs=self._outputs(inputs, created, created))

    @override
    async def update(self, job: Job[Backend], resource_id: str, old: Values, new: Values, state: Values) -> Values:
        await job.backend.records.put(job.urn, resource_id, _spec(new))
        return self._outputs(new, text(state, "createdOn"), now())

    @override
    async def read(self, job: Job[Backend], resource_id: str, inputs: Values, state: Values) -> Found | None:
        spec = await job.backend.records.read(resource_id)
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
    async def delete(self, job: Job[Backend], resource_id: str, inputs: Values, state: Values) -> None:
        await job.backend.records.delete(resource_id)

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
