"""DigitalOcean's alerts, uptime checks and projects: kept as documents, and they say what the real ones would do.

Nothing is measured, asked or sent here. What each would do is a live line while it is made, and stands in the event log
(`would`). Properties and what replaces: terraform-provider-digitalocean's `monitoring/resource_monitor_alert.go`,
`uptime/resource_uptime_{check,alert}.go` and `project/resource_project{,_resources}.go`.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import ClassVar

from typing_extensions import override

from localcloud.digitalocean import rules
from localcloud.provider.handler import Created, Found, Handler, Job, Values
from localcloud.provider.plain import now, text, texts
from localcloud.provider.schema import Check, Failure, Kind, Property, each, only
from localcloud.provider.values import UNKNOWN, Value

ALERT_TYPES = (
    *(f"v1/insights/droplet/{what}" for what in ("load_1", "load_5", "load_15", "cpu", "disk_read", "disk_write")),
    *(f"v1/insights/droplet/{what}_utilization_percent" for what in ("memory", "disk")),
    *(f"v1/insights/droplet/{net}_{way}_bandwidth" for net in ("public", "private") for way in ("outbound", "inbound")),
)
"""Those on droplets; the local cloud has neither load balancers nor managed databases."""
WINDOWS = ("5m", "10m", "30m", "1h")
PERIODS = ("2m", "3m", "5m", "10m", "15m", "30m", "1h")
PROBE_REGIONS = ("us_east", "us_west", "eu_west", "se_asia")
THRESHOLD_UNITS = {"latency": "ms", "ssl_expiry": "days"}
"""Source: https://docs.digitalocean.com/reference/doctl/reference/monitoring/uptime/alert/create/"""
FILLED_IN: Mapping[str, Value] = {"comparison": "less_than", "threshold": 1}
"""Of an alert on a check that is down, as DigitalOcean's panel has it."""
PROJECT_NAME_MAX, PROJECT_TEXT_MAX = 175, 255
OWNER_ID = 1


def check_email(value: Value) -> str | None:
    """Judge an address by its form. The real API wants a verified one of the team's, and answers the same words.

    Source: https://github.com/digitalocean/openapi/pull/830
    """
    if isinstance(value, str) and re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s.]+", value):
        return None
    return f"invalid email {value!r}"


def one_of(name: str, *allowed: str) -> Check:
    """Judge a word as the official provider does."""

    def check(value: Value) -> str | None:
        return None if value in allowed else f"expected {name} to be one of [{' '.join(allowed)}], got {value}"

    return check


def length(name: str, low: int, high: int) -> Check:
    """Judge the length of a text as the official provider does."""

    def check(value: Value) -> str | None:
        if low <= len(str(value)) <= high:
            return None
        return f"expected length of {name} to be in the range ({low} - {high}), got {value}"

    return check


def check_value(value: Value) -> str | None:
    """Judge the limit of an alert."""
    at_least = isinstance(value, int | float) and value >= 0
    return None if at_least else f"expected value to be at least (0.000000), got {value}"


def check_environment(value: Value) -> str | None:
    """Judge a project's environment; the official provider takes any case."""
    words = ("Development", "Staging", "Production")
    return None if str(value).capitalize() in words else one_of("environment", *words)(value)


def check_urn(value: Value) -> str | None:
    """Judge what a project may hold here: droplets and volumes.

    Source of the words: https://github.com/digitalocean/terraform-provider-digitalocean/issues/1264
    """
    if re.fullmatch(r"do:(droplet:\d+|volume:[0-9a-f-]{36})", str(value)):
        return None
    if re.match(r"do:(reservedip|floatingip):", str(value)):
        return f"Cannot move a Reserved IP with an associated droplet: {value!r}"
    return f"the local cloud does not implement {value!r} in a project (only do:droplet:<id> or do:volume:<id>)"


_EMAILS = {"emails": Property(kind=Kind.LIST, check=each(check_email))}


class _Document(Handler):
    """A type that is kept as it is declared, and does nothing."""

    kind: ClassVar[str]

    @abstractmethod
    def would(self, inputs: Values) -> str:
        """Say what the real one would do, in a few words."""

    def outputs(self, resource_id: str, state: Values) -> Values:
        """Answer the computed outputs."""
        del resource_id, state
        return {}

    @override
    def event_details(self, inputs: Values) -> Values:
        return {"would": self.would(inputs)}

    @override
    async def create(self, job: Job, inputs: Values) -> Created:
        await job.progress(f"would {self.would(inputs)}")
        resource_id = await job.backend.put_document(self.kind, job.urn, None, dict(inputs))
        return Created(id=resource_id, outputs=self.outputs(resource_id, {}))

    @override
    async def update(self, job: Job, resource_id: str, old: Values, new: Values, state: Values) -> Values:
        await job.progress(f"would {self.would(new)}")
        await job.backend.put_document(self.kind, job.urn, resource_id, dict(new))
        return self.outputs(resource_id, state)

    @override
    async def read(self, job: Job, resource_id: str, inputs: Values, state: Values) -> Found | None:
        document = await job.backend.read_document(self.kind, resource_id)
        if document is None:
            return None
        return Found(inputs={**inputs, **document}, outputs=self.outputs(resource_id, state))

    @override
    async def delete(self, job: Job, resource_id: str, inputs: Values, state: Values) -> None:
        await job.backend.delete_document(self.kind, resource_id)


class MonitorAlert(_Document):
    """A mail when droplets with a tag are over a limit. Without tags the real one watches every droplet there is."""

    type_name = "digitalocean:index/monitorAlert:MonitorAlert"
    kind = "monitor_alert"
    properties: ClassVar[Mapping[str, Property]] = {
        "type": Property(kind=Kind.STRING, required=True, check=one_of("type", *ALERT_TYPES)),
        "compare": Property(kind=Kind.STRING, required=True, check=one_of("compare", "GreaterThan", "LessThan")),
        "value": Property(kind=Kind.NUMBER, required=True, check=check_value),
        "window": Property(kind=Kind.STRING, required=True, check=one_of("window", *WINDOWS)),
        "description": Property(kind=Kind.STRING, required=True),
        "enabled": Property(kind=Kind.BOOLEAN, default=True),
        "tags": Property(kind=Kind.LIST, required=True, unordered=True, check=each(rules.check_tag)),
        "alerts": Property(kind=Kind.MAP, required=True, items=_EMAILS),
    }

    @override
    def would(self, inputs: Values) -> str:
        sign = ">" if inputs.get("compare") == "GreaterThan" else "<"
        metric = text(inputs, "type").removeprefix("v1/insights/droplet/")
        tags = ", ".join(texts(inputs, "tags"))
        limit = f"{metric} {sign} {inputs.get('value')} for {text(inputs, 'window')}"
        return f"e-mail {_recipients(inputs.get('alerts'))} when {limit} on {tags}"

    @override
    def outputs(self, resource_id: str, state: Values) -> Values:
        return {"uuid": resource_id}


class UptimeCheck(_Document):
    """A probe of a public address from several regions."""

    type_name = "digitalocean:index/uptimeCheck:UptimeCheck"
    kind = "uptime_check"
    properties: ClassVar[Mapping[str, Property]] = {
        "name": Property(kind=Kind.STRING, required=True),
        "target": Property(kind=Kind.STRING, required=True),
        "type": Property(kind=Kind.STRING, default="https", check=one_of("type", "ping", "http", "https")),
        "regions": Property(kind=Kind.LIST, unordered=True, check=each(one_of("regions", *PROBE_REGIONS))),
        "enabled": Property(kind=Kind.BOOLEAN, default=True),
    }

    @override
    def would(self, inputs: Values) -> str:
        return f"ask {text(inputs, 'target')} from {', '.join(texts(inputs, 'regions')) or 'every region'}"


class UptimeAlert(_Document):
    """A mail when a check fails, is slow, or finds a certificate near its end."""

    type_name = "digitalocean:index/uptimeAlert:UptimeAlert"
    kind = "uptime_alert"
    properties: ClassVar[Mapping[str, Property]] = {
        "name": Property(kind=Kind.STRING, required=True),
        "checkId": Property(kind=Kind.STRING, required=True),
        "type": Property(
            kind=Kind.STRING, required=True, check=one_of("type", "latency", "down", "down_global", "ssl_expiry")
        ),
        "threshold": Property(kind=Kind.INTEGER),
        "comparison": Property(kind=Kind.STRING, check=one_of("comparison", "greater_than", "less_than")),
        "period": Property(kind=Kind.STRING, check=one_of("period", *PERIODS)),
        "notifications": Property(kind=Kind.LIST, required=True, items=_EMAILS),
    }

    @override
    def check(self, inputs: Values, old: Values) -> Iterable[Failure]:
        kind, threshold = inputs.get("type"), inputs.get("threshold")
        if kind in THRESHOLD_UNITS and threshold is None:
            yield Failure(property="threshold", reason=f"a threshold in {THRESHOLD_UNITS[str(kind)]} is wanted")
        notifications = inputs.get("notifications")
        if isinstance(notifications, list) and len(notifications) != 1 and UNKNOWN not in notifications:
            reason = f"one element is wanted, as the official provider reads the first alone; got {len(notifications)}"
            yield Failure(property="notifications", reason=reason)

    @override
    async def read(self, job: Job, resource_id: str, inputs: Values, state: Values) -> Found | None:
        """Answer what the API fills in where nothing was said; the next preview then wants it away."""
        found = await super().read(job, resource_id, inputs, state)
        if found is None or found.inputs.get("type") in THRESHOLD_UNITS:
            return found
        said = {key: value for key, value in found.inputs.items() if value is not None}
        return Found(inputs={**FILLED_IN, **said}, outputs=found.outputs)

    @override
    def would(self, inputs: Values) -> str:
        kind, period = text(inputs, "type"), text(inputs, "period")
        words = [kind]
        if kind in THRESHOLD_UNITS:
            sign = ">" if inputs.get("comparison") == "greater_than" else "<"
            words += [sign, str(inputs.get("threshold")), THRESHOLD_UNITS[kind]]
        if period:
            words += ["for", period]
        notifications = inputs.get("notifications")
        first = notifications[0] if isinstance(notifications, list) and notifications else None
        return f"e-mail {_recipients(first)} when {' '.join(words)}"


class Project(_Document):
    """A group of the account. Its own list of resources is not implemented: `ProjectResources` adds to it."""

    type_name = "digitalocean:index/project:Project"
    kind = "project"
    properties: ClassVar[Mapping[str, Property]] = {
        "name": Property(kind=Kind.STRING, required=True, check=length("name", 1, PROJECT_NAME_MAX)),
        "description": Property(kind=Kind.STRING, default="", check=length("description", 0, PROJECT_TEXT_MAX)),
        "purpose": Property(kind=Kind.STRING, default="Web Application", check=length("purpose", 0, PROJECT_TEXT_MAX)),
        "environment": Property(kind=Kind.STRING, check=check_environment),
        "isDefault": Property(kind=Kind.BOOLEAN, default=False, check=only(False)),
    }

    @override
    def would(self, inputs: Values) -> str:
        return f"group resources as {text(inputs, 'name')}"

    @override
    def volatile_outputs(self, changed: Iterable[str]) -> Iterable[str]:
        return ("updatedAt",)

    @override
    def outputs(self, resource_id: str, state: Values) -> Values:
        time = text(state, "updatedAt") or now()
        return {
            "createdAt": text(state, "createdAt") or time,
            "updatedAt": time,
            "ownerId": OWNER_ID,
            "ownerUuid": "00000000-0000-4000-8000-000000000001",
            "resources": [],
        }

    @override
    async def update(self, job: Job, resource_id: str, old: Values, new: Values, state: Values) -> Values:
        return {**await super().update(job, resource_id, old, new, state), "updatedAt": now()}


class ProjectResources(_Document):
    """What is put into a project; its id is the project's."""

    type_name = "digitalocean:index/projectResources:ProjectResources"
    kind = "project_resources"
    properties: ClassVar[Mapping[str, Property]] = {
        "project": Property(
            kind=Kind.STRING, required=True, replace=True, check=length("project", 1, PROJECT_TEXT_MAX)
        ),
        "resources": Property(kind=Kind.LIST, required=True, unordered=True, check=each(check_urn)),
    }

    @override
    def would(self, inputs: Values) -> str:
        return f"move {', '.join(texts(inputs, 'resources'))} into the project"

    @override
    async def create(self, job: Job, inputs: Values) -> Created:
        await job.progress(f"would {self.would(inputs)}")
        project = text(inputs, "project")
        return Created(
            id=await job.backend.put_document(self.kind, job.urn, project, dict(inputs)),
            outputs=self.outputs(project, {}),
        )


def _recipients(value: Value) -> str:
    return ", ".join(texts(value, "emails")) if isinstance(value, Mapping) else "nobody"
