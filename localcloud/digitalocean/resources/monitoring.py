"""DigitalOcean's alerts, uptime checks and projects: kept as documents, with a line on what the real ones would do.

Nothing is measured, asked or sent here. What each would do is a live line while it is created, and in the event log
(`would`). Properties and what replaces: terraform-provider-digitalocean's `monitoring/resource_monitor_alert.go`,
`uptime/resource_uptime_{check,alert}.go` and `project/resource_project{,_resources}.go`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import ClassVar

from typing_extensions import override

from localcloud.digitalocean import rules
from localcloud.digitalocean.backend import Backend
from localcloud.errors import CloudError
from localcloud.provider.document import Document
from localcloud.provider.handler import Created, Found, Job, Values
from localcloud.provider.plain import now, text, texts
from localcloud.provider.schema import Failure, Kind, Property, each, only
from localcloud.provider.values import UNKNOWN, Value

THRESHOLD_UNITS = {"latency": "ms", "ssl_expiry": "days"}
"""Source: https://docs.digitalocean.com/reference/doctl/reference/monitoring/uptime/alert/create/"""
FILLED_IN: Mapping[str, Value] = {"comparison": "less_than", "threshold": 1}
"""Defaults of an alert on a check that is down, as in DigitalOcean's panel."""
OWNER_ID = 1


_EMAILS = {"emails": Property(kind=Kind.LIST, check=each(rules.check_email))}


class _Announced(Document[Backend]):
    """A type that does nothing here, and reports what the real one would do."""

    @abstractmethod
    def would(self, inputs: Values) -> str:
        """Return what the real one would do, in a few words."""

    @override
    def event_details(self, inputs: Values) -> Values:
        return {"would": self.would(inputs)}

    @override
    async def create(self, job: Job[Backend], inputs: Values) -> Created:
        await job.progress(f"would {self.would(inputs)}")
        return await super().create(job, inputs)

    @override
    async def update(self, job: Job[Backend], resource_id: str, old: Values, new: Values, state: Values) -> Values:
        await job.progress(f"would {self.would(new)}")
        return await super().update(job, resource_id, old, new, state)


class MonitorAlert(_Announced):
    """A mail when droplets with a tag are over a limit. Without tags the real one watches every droplet."""

    type_name = "digitalocean:index/monitorAlert:MonitorAlert"
    kind = "monitor_alert"
    properties: ClassVar[Mapping[str, Property]] = {
        "type": Property(kind=Kind.STRING, required=True, check=rules.one_of("type", *rules.ALERT_TYPES)),
        "compare": Property(kind=Kind.STRING, required=True, check=rules.one_of("compare", "GreaterThan", "LessThan")),
        "value": Property(kind=Kind.NUMBER, required=True, check=rules.check_alert_limit),
        "window": Property(kind=Kind.STRING, required=True, check=rules.one_of("window", *rules.WINDOWS)),
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
    async def outputs(self, job: Job[Backend], key: str, document: Mapping[str, Value], state: Values) -> Values:
        return {"uuid": key}


class UptimeCheck(_Announced):
    """A probe of a public address from several regions."""

    type_name = "digitalocean:index/uptimeCheck:UptimeCheck"
    kind = "uptime_check"
    properties: ClassVar[Mapping[str, Property]] = {
        "name": Property(kind=Kind.STRING, required=True),
        "target": Property(kind=Kind.STRING, required=True),
        "type": Property(kind=Kind.STRING, default="https", check=rules.one_of("type", "ping", "http", "https")),
        "regions": Property(kind=Kind.LIST, unordered=True, check=each(rules.one_of("regions", *rules.PROBE_REGIONS))),
        "enabled": Property(kind=Kind.BOOLEAN, default=True),
    }

    @override
    def would(self, inputs: Values) -> str:
        return f"ask {text(inputs, 'target')} from {', '.join(texts(inputs, 'regions')) or 'every region'}"


class UptimeAlert(_Announced):
    """A mail when a check fails, is slow, or finds a certificate near its end."""

    type_name = "digitalocean:index/uptimeAlert:UptimeAlert"
    kind = "uptime_alert"
    properties: ClassVar[Mapping[str, Property]] = {
        "name": Property(kind=Kind.STRING, required=True),
        "checkId": Property(kind=Kind.STRING, required=True),
        "type": Property(
            kind=Kind.STRING, required=True, check=rules.one_of("type", "latency", "down", "down_global", "ssl_expiry")
        ),
        "threshold": Property(kind=Kind.INTEGER),
        "comparison": Property(kind=Kind.STRING, check=rules.one_of("comparison", "greater_than", "less_than")),
        "period": Property(kind=Kind.STRING, check=rules.one_of("period", *rules.PERIODS)),
        "notifications": Property(kind=Kind.LIST, required=True, items=_EMAILS),
    }

    @override
    def check(self, inputs: Values, old: Values) -> Iterable[Failure]:
        kind, threshold = inputs.get("type"), inputs.get("threshold")
        if kind in THRESHOLD_UNITS and threshold is None:
            yield Failure(property="threshold", reason=f"a threshold in {THRESHOLD_UNITS[str(kind)]} is required")
        notifications = inputs.get("notifications")
        if isinstance(notifications, list) and len(notifications) != 1 and UNKNOWN not in notifications:
            reason = f"expected one element, as the official provider reads only the first; got {len(notifications)}"
            yield Failure(property="notifications", reason=reason)

    @override
    async def update(self, job: Job[Backend], resource_id: str, old: Values, new: Values, state: Values) -> Values:
        """Change it; another check has no alert of this id, but the official provider asks for it there."""
        if old.get("checkId") != new.get("checkId"):
            path = f"/v2/uptime/checks/{new.get('checkId')}/alerts/{resource_id}"
            raise CloudError(f"PUT {path}: 404 alert not found\nhint: run `up` with a refresh")
        return await super().update(job, resource_id, old, new, state)

    @override
    async def read(self, job: Job[Backend], resource_id: str, inputs: Values, state: Values) -> Found | None:
        """Return the API's defaults for missing values; the next preview then wants to remove them.

        With its check the alert is gone.
        """
        found = await super().read(job, resource_id, inputs, state)
        if found is None or await job.backend.documents.read(UptimeCheck.kind, text(found.inputs, "checkId")) is None:
            return None
        if found.inputs.get("type") in THRESHOLD_UNITS:
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


class Project(_Announced):
    """A group of the account. Its own list of resources is not implemented: `ProjectResources` adds to it."""

    type_name = "digitalocean:index/project:Project"
    kind = "project"
    properties: ClassVar[Mapping[str, Property]] = {
        "name": Property(kind=Kind.STRING, required=True, check=rules.length("name", 1, rules.PROJECT_NAME_MAX)),
        "description": Property(
            kind=Kind.STRING, default="", check=rules.length("description", 0, rules.PROJECT_TEXT_MAX)
        ),
        "purpose": Property(
            kind=Kind.STRING, default="Web Application", check=rules.length("purpose", 0, rules.PROJECT_TEXT_MAX)
        ),
        "environment": Property(kind=Kind.STRING, check=rules.check_environment),
        "isDefault": Property(kind=Kind.BOOLEAN, default=False, check=only(False)),
    }

    @override
    def would(self, inputs: Values) -> str:
        return f"group resources as {text(inputs, 'name')}"

    @override
    def volatile_outputs(self, changed: Iterable[str]) -> Iterable[str]:
        return ("updatedAt",)

    @override
    async def outputs(self, job: Job[Backend], key: str, document: Mapping[str, Value], state: Values) -> Values:
        time = text(state, "updatedAt") or now()
        return {
            "createdAt": text(state, "createdAt") or time,
            "updatedAt": time,
            "ownerId": OWNER_ID,
            "ownerUuid": "00000000-0000-4000-8000-000000000001",
            "resources": [],
        }

    @override
    async def update(self, job: Job[Backend], resource_id: str, old: Values, new: Values, state: Values) -> Values:
        return {**await super().update(job, resource_id, old, new, state), "updatedAt": now()}


class ProjectResources(_Announced):
    """What is put into a project; its id is the project's."""

    type_name = "digitalocean:index/projectResources:ProjectResources"
    kind = "project_resources"
    properties: ClassVar[Mapping[str, Property]] = {
        "project": Property(
            kind=Kind.STRING, required=True, replace=True, check=rules.length("project", 1, rules.PROJECT_TEXT_MAX)
        ),
        "resources": Property(kind=Kind.LIST, required=True, unordered=True, check=each(rules.check_urn)),
    }

    @override
    def key(self, inputs: Values) -> str:
        return text(inputs, "project")

    @override
    def would(self, inputs: Values) -> str:
        return f"move {', '.join(texts(inputs, 'resources'))} into the project"


def _recipients(value: Value) -> str:
    return ", ".join(texts(value, "emails")) if isinstance(value, Mapping) else "nobody"
