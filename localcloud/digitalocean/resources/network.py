"""DigitalOcean's networks: Vpc and Firewall."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from typing_extensions import override

from localcloud.digitalocean import rules
from localcloud.digitalocean.backend import Backend, FirewallRule, FirewallSpec, VpcSpec
from localcloud.digitalocean.rules import NAME, REGION
from localcloud.provider.handler import Created, Found, Handler, Job, Values
from localcloud.provider.plain import now, text, texts
from localcloud.provider.schema import Failure, Kind, Property, each
from localcloud.provider.values import UNKNOWN, Value


class Vpc(Handler[Backend]):
    """A private network of one region."""

    type_name = "digitalocean:index/vpc:Vpc"
    properties: ClassVar[Mapping[str, Property]] = {
        "name": NAME,
        "region": REGION,
        "ipRange": Property(kind=Kind.STRING, required=True, replace=True, check=rules.check_ip_range),
        "description": Property(kind=Kind.STRING),
    }

    @override
    async def create(self, job: Job[Backend], inputs: Values) -> Created:
        vpc_id = await job.backend.vpcs.create(job.urn, _vpc_spec(inputs))
        made = await job.backend.vpcs.read(vpc_id)
        default = made is not None and made.default
        return Created(id=vpc_id, outputs=self._outputs(vpc_id, now(), default=default))

    @override
    async def update(self, job: Job[Backend], resource_id: str, old: Values, new: Values, state: Values) -> Values:
        await job.backend.vpcs.update(resource_id, _vpc_spec(new))
        return await super().update(job, resource_id, old, new, state)

    @override
    async def read(self, job: Job[Backend], resource_id: str, inputs: Values, state: Values) -> Found | None:
        spec = await job.backend.vpcs.read(resource_id)
        if spec is None:
            return None
        real = {"name": spec.name, "region": spec.region, "ipRange": spec.ip_range}
        return Found(
            inputs={**inputs, **real},
            outputs=self._outputs(resource_id, text(state, "createdAt"), default=spec.default),
        )

    @override
    async def delete(self, job: Job[Backend], resource_id: str, inputs: Values, state: Values) -> None:
        await job.backend.vpcs.delete(resource_id)

    @staticmethod
    def _outputs(vpc_id: str, created_at: str, *, default: bool) -> Values:
        return {"vpcUrn": f"do:vpc:{vpc_id}", "default": default, "createdAt": created_at}


def _rule_property(direction: str) -> Property:
    """Describe the rules of one direction: `source...` when inbound, `destination...` when outbound."""
    items = {
        "protocol": Property(kind=Kind.STRING, required=True, check=rules.check_protocol),
        "portRange": Property(kind=Kind.STRING, check=rules.check_port_range),
        f"{direction}Addresses": Property(kind=Kind.LIST, check=each(rules.check_source)),
        f"{direction}Tags": Property(kind=Kind.LIST, check=each(rules.check_tag)),
    }
    return Property(kind=Kind.LIST, unordered=True, items=items)


class Firewall(Handler[Backend]):
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
    async def create(self, job: Job[Backend], inputs: Values) -> Created:
        firewall_id = await job.backend.firewalls.put(job.urn, None, _firewall_spec(inputs))
        return Created(id=firewall_id, outputs={"status": "succeeded", "createdAt": now(), "pendingChanges": []})

    @override
    async def update(self, job: Job[Backend], resource_id: str, old: Values, new: Values, state: Values) -> Values:
        await job.backend.firewalls.put(job.urn, resource_id, _firewall_spec(new))
        return await super().update(job, resource_id, old, new, state)

    @override
    async def read(self, job: Job[Backend], resource_id: str, inputs: Values, state: Values) -> Found | None:
        spec = await job.backend.firewalls.read(resource_id)
        if spec is None:
            return None
        outputs = {"status": "succeeded", "createdAt": text(state, "createdAt"), "pendingChanges": []}
        # The program's own text is kept if it means the same: order and empty lists are no drift.
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
    async def delete(self, job: Job[Backend], resource_id: str, inputs: Values, state: Values) -> None:
        await job.backend.firewalls.delete(resource_id)


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
