"""DigitalOcean's resource types, as far as the program uses them: what they check, what replaces, what they answer.

Which properties replace is copied from the official provider (pulumi-digitalocean 4.84.1, a bridge of
terraform-provider-digitalocean: `ForceNew` in its schemas); tests/localcloud/test_fidelity.py holds the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from typing_extensions import override

from localcloud.backend import FirewallRule, FirewallSpec, VpcSpec
from localcloud.digitalocean import rules
from localcloud.digitalocean.rules import NAME, REGION
from localcloud.provider.handler import Created, Found, Handler, Job, Values
from localcloud.provider.plain import now, text, texts
from localcloud.provider.schema import Failure, Kind, Property, each
from localcloud.provider.values import UNKNOWN, Value


class Vpc(Handler):
    """A private network of one region."""

    type_name = "digitalocean:index/vpc:Vpc"
    properties: ClassVar[Mapping[str, Property]] = {
        "name": NAME,
        "region": REGION,
        "ipRange": Property(kind=Kind.STRING, required=True, replace=True, check=rules.check_ip_range),
        "description": Property(kind=Kind.STRING),
    }

    @override
    async def create(self, job: Job, inputs: Values) -> Created:
        vpc_id = await job.backend.create_vpc(job.urn, _vpc_spec(inputs))
        made = await job.backend.read_vpc(vpc_id)
        default = made is not None and made.default
        return Created(id=vpc_id, outputs=self._outputs(vpc_id, now(), default=default))

    @override
    async def update(self, job: Job, resource_id: str, old: Values, new: Values, state: Values) -> Values:
        await job.backend.update_vpc(resource_id, _vpc_spec(new))
        return await super().update(job, resource_id, old, new, state)

    @override
    async def read(self, job: Job, resource_id: str, inputs: Values, state: Values) -> Found | None:
        spec = await job.backend.read_vpc(resource_id)
        if spec is None:
            return None
        real = {"name": spec.name, "region": spec.region, "ipRange": spec.ip_range}
        return Found(
            inputs={**inputs, **real},
            outputs=self._outputs(resource_id, text(state, "createdAt"), default=spec.default),
        )

    @override
    async def delete(self, job: Job, resource_id: str, inputs: Values, state: Values) -> None:
        await job.backend.delete_vpc(resource_id)

    @staticmethod
    def _outputs(vpc_id: str, created_at: str, *, default: bool) -> Values:
        return {"vpcUrn": f"do:vpc:{vpc_id}", "default": default, "createdAt": created_at}


class Tag(Handler):
    """A tag; its id is its name."""

    type_name = "digitalocean:index/tag:Tag"
    properties: ClassVar[Mapping[str, Property]] = {
        "name": Property(kind=Kind.STRING, required=True, replace=True, check=rules.check_tag)
    }
    _COUNTS: ClassVar[Values] = {
        "databasesCount": 0,
        "dropletsCount": 0,
        "imagesCount": 0,
        "totalResourceCount": 0,
        "volumeSnapshotsCount": 0,
        "volumesCount": 0,
    }

    @override
    async def create(self, job: Job, inputs: Values) -> Created:
        name = text(inputs, "name")
        return Created(id=await job.backend.put_document("tag", job.urn, None, {"name": name}), outputs=self._COUNTS)

    @override
    async def read(self, job: Job, resource_id: str, inputs: Values, state: Values) -> Found | None:
        document = await job.backend.read_document("tag", resource_id)
        if document is None:
            return None
        return Found(inputs={**inputs, "name": str(document["name"])}, outputs=self._COUNTS)

    @override
    async def delete(self, job: Job, resource_id: str, inputs: Values, state: Values) -> None:
        await job.backend.delete_document("tag", resource_id)


class SshKey(Handler):
    """A public key that new droplets get."""

    type_name = "digitalocean:index/sshKey:SshKey"
    properties: ClassVar[Mapping[str, Property]] = {
        "name": Property(kind=Kind.STRING, required=True),
        "publicKey": Property(kind=Kind.STRING, required=True, replace=True, check=rules.check_public_key),
    }

    @override
    async def create(self, job: Job, inputs: Values) -> Created:
        key_id = await job.backend.put_document("ssh_key", job.urn, None, self._document(inputs))
        return Created(id=key_id, outputs=self._outputs(inputs))

    @override
    async def update(self, job: Job, resource_id: str, old: Values, new: Values, state: Values) -> Values:
        await job.backend.put_document("ssh_key", job.urn, resource_id, self._document(new))
        return self._outputs(new)

    @override
    async def read(self, job: Job, resource_id: str, inputs: Values, state: Values) -> Found | None:
        document = await job.backend.read_document("ssh_key", resource_id)
        if document is None:
            return None
        real = {"name": str(document["name"]), "publicKey": str(document["publicKey"])}
        return Found(inputs={**inputs, **real}, outputs=self._outputs(real))

    @override
    async def delete(self, job: Job, resource_id: str, inputs: Values, state: Values) -> None:
        await job.backend.delete_document("ssh_key", resource_id)

    @staticmethod
    def _document(inputs: Values) -> dict[str, object]:
        return {"name": text(inputs, "name"), "publicKey": text(inputs, "publicKey").strip()}

    @staticmethod
    def _outputs(inputs: Values) -> Values:
        return {"fingerprint": rules.key_fingerprint(text(inputs, "publicKey"))}


def _rule_property(direction: str) -> Property:
    """Describe the rules of one direction: `source...` when inbound, `destination...` when outbound."""
    items = {
        "protocol": Property(kind=Kind.STRING, required=True, check=rules.check_protocol),
        "portRange": Property(kind=Kind.STRING, check=rules.check_port_range),
        f"{direction}Addresses": Property(kind=Kind.LIST, check=each(rules.check_source)),
        f"{direction}Tags": Property(kind=Kind.LIST, check=each(rules.check_tag)),
    }
    return Property(kind=Kind.LIST, unordered=True, items=items)


class Firewall(Handler):
    """A cloud firewall for all droplets with one of its tags."""

    type_name = "digitalocean:index/firewall:Firewall"
    properties: ClassVar[Mapping[str, Property]] = {
        "name": NAME,
        "tags": Property(kind=Kind.LIST, required=True, unordered=True, check=each(rules.check_tag)),
        "inboundRules": _rule_property("source"),
        "outboundRules": _rule_property("destination"),
    }

    @override
    def check(self, inputs: Values, old: Values) -> Iterable[Failure]:
        for key in ("inboundRules", "outboundRules"):
            rule_list = inputs.get(key)
            for index, rule in enumerate(rule_list if isinstance(rule_list, list) else []):
                if not isinstance(rule, dict) or UNKNOWN in (rule.get("protocol"), rule.get("portRange")):
                    continue
                protocol, ports = rule["protocol"], rule.get("portRange")
                path = f"{key}[{index}].portRange"
                if protocol == "icmp" and ports is not None:
                    yield Failure(property=path, reason=f"ports are not allowed for icmp, got {ports!r}")
                if protocol != "icmp" and ports is None:
                    yield Failure(property=path, reason=f"`port_range` of {key} is required if protocol is {protocol}")

    @override
    async def create(self, job: Job, inputs: Values) -> Created:
        firewall_id = await job.backend.put_firewall(job.urn, None, _firewall_spec(inputs))
        return Created(id=firewall_id, outputs={"status": "succeeded", "createdAt": now(), "pendingChanges": []})

    @override
    async def update(self, job: Job, resource_id: str, old: Values, new: Values, state: Values) -> Values:
        await job.backend.put_firewall(job.urn, resource_id, _firewall_spec(new))
        return await super().update(job, resource_id, old, new, state)

    @override
    async def read(self, job: Job, resource_id: str, inputs: Values, state: Values) -> Found | None:
        spec = await job.backend.read_firewall(resource_id)
        if spec is None:
            return None
        outputs = {"status": "succeeded", "createdAt": text(state, "createdAt"), "pendingChanges": []}
        # The text of the program is kept where it means the same: order and empty lists are no drift.
        if inputs and _same_firewall(_firewall_spec(inputs), spec):
            return Found(inputs=inputs, outputs=outputs)
        real: Values = {
            "name": spec.name,
            "tags": list(spec.tags),
            "inboundRules": [_rule_inputs(rule, "source") for rule in spec.inbound],
            "outboundRules": [_rule_inputs(rule, "destination") for rule in spec.outbound],
        }
        return Found(inputs=real, outputs=outputs)

    @override
    async def delete(self, job: Job, resource_id: str, inputs: Values, state: Values) -> None:
        await job.backend.delete_firewall(resource_id)


def _vpc_spec(inputs: Values) -> VpcSpec:
    return VpcSpec(name=text(inputs, "name"), region=text(inputs, "region"), ip_range=text(inputs, "ipRange"))


def _firewall_spec(inputs: Values) -> FirewallSpec:
    return FirewallSpec(
        name=text(inputs, "name"),
        tags=tuple(texts(inputs, "tags")),
        inbound=_rules(inputs.get("inboundRules"), "source"),
        outbound=_rules(inputs.get("outboundRules"), "destination"),
    )


def _rules(value: Value, direction: str) -> tuple[FirewallRule, ...]:
    return tuple(
        FirewallRule(
            protocol=text(rule, "protocol"),
            ports=text(rule, "portRange"),
            addresses=tuple(texts(rule, f"{direction}Addresses")),
            tags=tuple(texts(rule, f"{direction}Tags")),
        )
        for rule in (value if isinstance(value, list) else [])
    )


def _rule_inputs(rule: FirewallRule, direction: str) -> dict[str, Value]:
    inputs: dict[str, Value] = {"protocol": rule.protocol}
    if rule.ports:
        inputs["portRange"] = rule.ports
    if rule.addresses:
        inputs[f"{direction}Addresses"] = list(rule.addresses)
    if rule.tags:
        inputs[f"{direction}Tags"] = list(rule.tags)
    return inputs


def _same_firewall(one: FirewallSpec, other: FirewallSpec) -> bool:
    def normal(spec: FirewallSpec) -> tuple[object, ...]:
        def rows(rule_list: Iterable[FirewallRule]) -> object:
            return sorted((r.protocol, r.ports, sorted(r.addresses), sorted(r.tags)) for r in rule_list)

        return spec.name, sorted(spec.tags), rows(spec.inbound), rows(spec.outbound)

    return normal(one) == normal(other)
