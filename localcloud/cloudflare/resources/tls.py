"""Cloudflare's types for TLS: origin certificates, authenticated origin pulls and three zone settings.

Settings are never deleted: with the official provider, a destroy leaves the zone unchanged too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import ClassVar

from typing_extensions import override

from localcloud.cloudflare import rules
from localcloud.cloudflare.backend import Backend
from localcloud.cloudflare.tls import ORIGIN_PULLS_CERTIFICATE, ORIGIN_PULLS_SETTING, ZONE_SETTING
from localcloud.errors import CloudError
from localcloud.provider.document import Document
from localcloud.provider.handler import Created, Handler, Job, Values
from localcloud.provider.plain import now, text, texts
from localcloud.provider.schema import Failure, Kind, Property, each, only
from localcloud.provider.values import UNKNOWN, Value

ZONE = Property(kind=Kind.STRING, required=True, replace=True, check=rules.check_zone)


class OriginCaCertificate(Document[Backend]):
    """A certificate for an origin, signed by the cloud's own Origin CA. Every change creates a new one."""

    type_name = "cloudflare:index/originCaCertificate:OriginCaCertificate"
    kind = "origin_ca_certificate"
    delete_before_replace = False
    properties: ClassVar[Mapping[str, Property]] = {
        "csr": Property(kind=Kind.STRING, required=True, replace=True, check=rules.check_request),
        "hostnames": Property(kind=Kind.LIST, required=True, replace=True, check=each(rules.check_hostname)),
        "requestType": Property(kind=Kind.STRING, required=True, replace=True, check=only("origin-rsa", "origin-ecc")),
        "requestedValidity": Property(kind=Kind.NUMBER, default=5475, replace=True, check=rules.check_validity),
    }

    @override
    async def create(self, job: Job[Backend], inputs: Values) -> Created:
        from localcloud.cloudflare import certificates  # noqa: PLC0415 - most operations need no certificate

        days = inputs.get("requestedValidity")
        signed = certificates.sign_request(
            job.config,
            text(inputs, "csr"),
            texts(inputs, "hostnames"),
            int(days) if isinstance(days, int | float) else 0,
        )
        outputs: dict[str, Value] = {
            "certificate": certificates.pem(signed),
            "expiresOn": _go_time(signed.not_valid_after_utc),
            "requestedValidity": days,
        }
        # As in the API: the id is a long number.
        number = str(signed.serial_number)
        await job.backend.documents.put(self.kind, job.urn, number, {**inputs, **outputs})
        return Created(id=number, outputs=outputs)

    @override
    async def outputs(self, job: Job[Backend], key: str, document: Mapping[str, Value], state: Values) -> Values:
        return {name: state[name] for name in ("certificate", "expiresOn", "requestedValidity") if name in state}


class AuthenticatedOriginPullsCertificate(Document[Backend]):
    """A custom client certificate, which the stand-in shows to origins while the zone's setting is on."""

    type_name = "cloudflare:index/authenticatedOriginPullsCertificate:AuthenticatedOriginPullsCertificate"
    kind = ORIGIN_PULLS_CERTIFICATE
    delete_before_replace = False
    properties: ClassVar[Mapping[str, Property]] = {
        "zoneId": ZONE,
        "certificate": Property(kind=Kind.STRING, required=True, replace=True, check=rules.check_certificate),
        "privateKey": Property(kind=Kind.STRING, required=True, check=rules.check_private_key),
    }

    @override
    def check(self, inputs: Values, old: Values) -> Iterable[Failure]:
        certificate, key = inputs.get("certificate"), inputs.get("privateKey")
        if isinstance(certificate, str) and isinstance(key, str) and not rules.belong(certificate, key):
            yield Failure(property="privateKey", reason="The private key does not belong to the certificate")

    @override
    def document(self, inputs: Values) -> dict[str, Value]:
        # To the microsecond, as in the API: the last one is shown.
        return {**inputs, "uploadedOn": datetime.now(UTC).isoformat().replace("+00:00", "Z")}

    @override
    def declared(self, document: Mapping[str, Value]) -> Values:
        """Leave the key out: the API never returns it."""
        return {name: document[name] for name in ("zoneId", "certificate")}

    @override
    async def update(self, job: Job[Backend], resource_id: str, old: Values, new: Values, state: Values) -> Values:
        """Change nothing: another key for the same certificate is not sent."""
        return await Handler.update(self, job, resource_id, old, new, state)

    @override
    async def outputs(self, job: Job[Backend], key: str, document: Mapping[str, Value], state: Values) -> Values:
        setting = await job.backend.documents.read(ORIGIN_PULLS_SETTING, text(document, "zoneId"))
        certificate = rules.certificate(text(document, "certificate"))
        algorithm = certificate.signature_hash_algorithm
        return {
            "certificateId": key,
            "enabled": setting is not None and setting["enabled"] is True,
            "expiresOn": certificate.not_valid_after_utc.isoformat().replace("+00:00", "Z"),
            "issuer": certificate.issuer.rfc4514_string(),
            "serialNumber": str(certificate.serial_number),
            "signature": algorithm.name.upper() if algorithm else "",
            "status": "active",
            "uploadedOn": text(document, "uploadedOn"),
        }


class AuthenticatedOriginPullsSettings(Document[Backend]):
    """Whether the zone shows its client certificate. Its id is the zone's; it cannot be deleted."""

    type_name = "cloudflare:index/authenticatedOriginPullsSettings:AuthenticatedOriginPullsSettings"
    kind = ORIGIN_PULLS_SETTING
    stays = True
    properties: ClassVar[Mapping[str, Property]] = {
        "zoneId": ZONE,
        "enabled": Property(kind=Kind.BOOLEAN, required=True),
    }

    @override
    def key(self, inputs: Values) -> str:
        return text(inputs, "zoneId")


class ZoneSetting(Document[Backend]):
    """One setting of a zone. Its id is its name; it cannot be deleted."""

    type_name = "cloudflare:index/zoneSetting:ZoneSetting"
    kind = ZONE_SETTING
    stays = True
    properties: ClassVar[Mapping[str, Property]] = {
        "zoneId": ZONE,
        "settingId": Property(kind=Kind.STRING, required=True, replace=True, check=only(*rules.SETTINGS)),
        "value": Property(kind=Kind.ANY, required=True),
    }

    @override
    def check(self, inputs: Values, old: Values) -> Iterable[Failure]:
        setting, value = inputs.get("settingId"), inputs.get("value")
        if isinstance(setting, str) and value is not UNKNOWN and value not in rules.SETTINGS[setting]:
            have = ", ".join(rules.SETTINGS[setting])
            reason = f"Invalid value for zone setting {setting} (1007): {value!r} (the local cloud has {have})"
            yield Failure(property="value", reason=reason)

    @override
    def volatile_outputs(self, changed: Iterable[str]) -> Iterable[str]:
        return ("modifiedOn",)

    @override
    def key(self, inputs: Values) -> str:
        """Return zone and setting: a zone has one of each."""
        return f"{text(inputs, 'zoneId')}:{text(inputs, 'settingId')}"

    @override
    def resource_id(self, key: str, inputs: Values) -> str:
        return text(inputs, "settingId")

    @override
    async def update(self, job: Job[Backend], resource_id: str, old: Values, new: Values, state: Values) -> Values:
        """Refuse an update that changes no value: the official provider sends only what changed, here nothing.

        Source: https://github.com/pulumi/pulumi-cloudflare/issues/1319
        """
        if old.get("value") == new.get("value"):
            raise CloudError(
                f"400 Bad Request: 1007 Invalid value for zone setting {resource_id}\n"
                "hint: pulumi up --refresh; the provider forgot what it had set"
            )
        return await super().update(job, resource_id, old, new, state)

    @override
    def document(self, inputs: Values) -> dict[str, Value]:
        return {**inputs, "modifiedOn": now()}

    @override
    async def outputs(self, job: Job[Backend], key: str, document: Mapping[str, Value], state: Values) -> Values:
        return {"editable": True, "enabled": False, "modifiedOn": document["modifiedOn"], "timeRemaining": 0}


def _go_time(moment: datetime) -> str:
    """Return a time as the Origin CA's API writes it."""
    return moment.strftime("%Y-%m-%d %H:%M:%S +0000 UTC")
