"""Cloudflare's types for TLS: origin certificates, authenticated origin pulls and three zone settings.

Settings are never deleted: with the official provider, too, a destroy leaves the zone as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from localcloud.backend import CloudError
from localcloud.cloudflare_tls import (
    ORIGIN_PULLS_CERTIFICATE,
    ORIGIN_PULLS_SETTING,
    TLS_VERSIONS,
    ZONE_SETTING,
)

from .handler import Created, Found, Handler, Job, Values
from .plain import now, text, texts
from .schema import Failure, Kind, Property, each, only
from .values import UNKNOWN, Value

if TYPE_CHECKING:  # imported late where it is used: most operations need no certificate
    from cryptography import x509

ORIGIN_CA_CERTIFICATE = "origin_ca_certificate"
VALIDITY_DAYS = (7, 30, 90, 365, 730, 1095, 5475)
SETTINGS: Mapping[str, tuple[str, ...]] = {
    "ssl": ("flexible", "strict"),
    "always_use_https": ("off", "on"),
    "min_tls_version": TLS_VERSIONS,
}
"""The settings that the local cloud has, and their values."""


def check_zone(value: Value) -> str | None:
    """Judge a zone id."""
    if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{32}", value):
        return None
    return f"Could not route to /zones/{value}, perhaps your object identifier is invalid? (7003)"


def check_hostname(value: Value) -> str | None:
    """Judge a name of an origin certificate; `localhost`, which is no zone of Cloudflare's, stands for one."""
    label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    if isinstance(value, str) and re.fullmatch(rf"(\*\.)?(localhost|({label}\.)+{label})", value):
        return None
    return f"Failed to validate requested hostname {value}: not a full name, or `*.` and one. (1010)"


def check_validity(value: Value) -> str | None:
    """Judge a number of days."""
    if value in VALIDITY_DAYS:
        return None
    wanted = " ".join(f'"{days}.000000"' for days in VALIDITY_DAYS)
    return f"Attribute requested_validity value must be one of: [{wanted}], got: {value}"


def check_request(value: Value) -> str | None:
    """Judge a certificate signing request."""
    from cryptography import x509  # noqa: PLC0415 - see above

    try:
        request = x509.load_pem_x509_csr(str(value).encode())
    except ValueError:
        return "Failed to parse the certificate signing request: it is not one in PEM"
    return None if request.is_signature_valid else "The certificate signing request is not signed by its own key"


def check_certificate(value: Value) -> str | None:
    """Judge a certificate that is uploaded. It is public, but may be pasted wrongly: its text is not repeated."""
    try:
        _certificate(str(value))
    except ValueError:
        return "Failed to parse the certificate: it is not one in PEM"
    return None


def _secret_pem(value: Value) -> str | None:
    return None if "PRIVATE KEY-----" in str(value) else "Failed to parse the private key: it is not one in PEM"


ZONE = Property(kind=Kind.STRING, required=True, replace=True, check=check_zone)


class OriginCaCertificate(Handler):
    """A certificate for an origin, signed by the cloud's own Origin CA. Every change is a new one."""

    type_name = "cloudflare:index/originCaCertificate:OriginCaCertificate"
    delete_before_replace = False
    properties: ClassVar[Mapping[str, Property]] = {
        "csr": Property(kind=Kind.STRING, required=True, replace=True, check=check_request),
        "hostnames": Property(kind=Kind.LIST, required=True, replace=True, check=each(check_hostname)),
        "requestType": Property(kind=Kind.STRING, required=True, replace=True, check=only("origin-rsa", "origin-ecc")),
        "requestedValidity": Property(kind=Kind.NUMBER, default=5475, replace=True, check=check_validity),
    }

    @override
    async def create(self, job: Job, inputs: Values) -> Created:
        from localcloud import certificates  # noqa: PLC0415 - see above

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
        # As the API: the id is a long number.
        number = str(signed.serial_number)
        await job.backend.put_document(ORIGIN_CA_CERTIFICATE, job.urn, number, {**inputs, **outputs})
        return Created(id=number, outputs=outputs)

    @override
    async def read(self, job: Job, resource_id: str, inputs: Values, state: Values) -> Found | None:
        document = await job.backend.read_document(ORIGIN_CA_CERTIFICATE, resource_id)
        if document is None:
            return None
        real = {"csr": text_of(document, "csr"), "requestType": text_of(document, "requestType")}
        outputs = {name: state[name] for name in ("certificate", "expiresOn", "requestedValidity") if name in state}
        return Found(inputs={**inputs, **real}, outputs=outputs)

    @override
    async def delete(self, job: Job, resource_id: str, inputs: Values, state: Values) -> None:
        await job.backend.delete_document(ORIGIN_CA_CERTIFICATE, resource_id)


class AuthenticatedOriginPullsCertificate(Handler):
    """A client certificate of one's own, which the stand-in shows to origins while the zone's setting is on."""

    type_name = "cloudflare:index/authenticatedOriginPullsCertificate:AuthenticatedOriginPullsCertificate"
    delete_before_replace = False
    properties: ClassVar[Mapping[str, Property]] = {
        "zoneId": ZONE,
        "certificate": Property(kind=Kind.STRING, required=True, replace=True, check=check_certificate),
        "privateKey": Property(kind=Kind.STRING, required=True, check=_secret_pem),
    }

    @override
    def check(self, inputs: Values, old: Values) -> Iterable[Failure]:
        certificate, key = inputs.get("certificate"), inputs.get("privateKey")
        if isinstance(certificate, str) and isinstance(key, str) and not _belong(certificate, key):
            yield Failure(property="privateKey", reason="The private key does not belong to the certificate")

    @override
    async def create(self, job: Job, inputs: Values) -> Created:
        # To the microsecond, as the API: the last one is the one that is shown.
        document = {**inputs, "uploadedOn": datetime.now(UTC).isoformat().replace("+00:00", "Z")}
        certificate_id = await job.backend.put_document(ORIGIN_PULLS_CERTIFICATE, job.urn, None, document)
        return Created(id=certificate_id, outputs=await self._outputs(job, certificate_id, document))

    @override
    async def read(self, job: Job, resource_id: str, inputs: Values, state: Values) -> Found | None:
        document = await job.backend.read_document(ORIGIN_PULLS_CERTIFICATE, resource_id)
        if document is None:
            return None
        real = {name: text_of(document, name) for name in ("zoneId", "certificate")}
        return Found(inputs={**inputs, **real}, outputs=await self._outputs(job, resource_id, document))

    @override
    async def delete(self, job: Job, resource_id: str, inputs: Values, state: Values) -> None:
        await job.backend.delete_document(ORIGIN_PULLS_CERTIFICATE, resource_id)

    @staticmethod
    async def _outputs(job: Job, certificate_id: str, document: Mapping[str, object]) -> Values:
        setting = await job.backend.read_document(ORIGIN_PULLS_SETTING, text_of(document, "zoneId"))
        certificate = _certificate(text_of(document, "certificate"))
        algorithm = certificate.signature_hash_algorithm
        return {
            "certificateId": certificate_id,
            "enabled": setting is not None and setting["enabled"] is True,
            "expiresOn": certificate.not_valid_after_utc.isoformat().replace("+00:00", "Z"),
            "issuer": certificate.issuer.rfc4514_string(),
            "serialNumber": str(certificate.serial_number),
            "signature": algorithm.name.upper() if algorithm else "",
            "status": "active",
            "uploadedOn": text_of(document, "uploadedOn"),
        }


class AuthenticatedOriginPullsSettings(Handler):
    """Whether the zone shows its client certificate. Its id is the zone's; it cannot be deleted."""

    type_name = "cloudflare:index/authenticatedOriginPullsSettings:AuthenticatedOriginPullsSettings"
    properties: ClassVar[Mapping[str, Property]] = {
        "zoneId": ZONE,
        "enabled": Property(kind=Kind.BOOLEAN, required=True),
    }

    @override
    async def create(self, job: Job, inputs: Values) -> Created:
        zone_id = text(inputs, "zoneId")
        await job.backend.put_document(ORIGIN_PULLS_SETTING, job.urn, zone_id, dict(inputs))
        return Created(id=zone_id, outputs={})

    @override
    async def update(self, job: Job, resource_id: str, old: Values, new: Values, state: Values) -> Values:
        await job.backend.put_document(ORIGIN_PULLS_SETTING, job.urn, resource_id, dict(new))
        return {}

    @override
    async def read(self, job: Job, resource_id: str, inputs: Values, state: Values) -> Found | None:
        document = await job.backend.read_document(ORIGIN_PULLS_SETTING, resource_id)
        if document is None:
            return None
        return Found(inputs={"zoneId": resource_id, "enabled": document["enabled"] is True}, outputs={})

    @override
    async def delete(self, job: Job, resource_id: str, inputs: Values, state: Values) -> None:
        """Leave it as it is."""


class ZoneSetting(Handler):
    """One setting of a zone. Its id is its name; it cannot be deleted."""

    type_name = "cloudflare:index/zoneSetting:ZoneSetting"
    properties: ClassVar[Mapping[str, Property]] = {
        "zoneId": ZONE,
        "settingId": Property(kind=Kind.STRING, required=True, replace=True, check=only(*SETTINGS)),
        "value": Property(kind=Kind.ANY, required=True),
    }

    @override
    def check(self, inputs: Values, old: Values) -> Iterable[Failure]:
        setting, value = inputs.get("settingId"), inputs.get("value")
        if isinstance(setting, str) and value is not UNKNOWN and value not in SETTINGS[setting]:
            have = ", ".join(SETTINGS[setting])
            reason = f"Invalid value for zone setting {setting} (1007): {value!r} (the local cloud has {have})"
            yield Failure(property="value", reason=reason)

    @override
    def volatile_outputs(self, changed: Iterable[str]) -> Iterable[str]:
        return ("modifiedOn",)

    @override
    async def create(self, job: Job, inputs: Values) -> Created:
        return Created(id=text(inputs, "settingId"), outputs=await self._put(job, inputs))

    @override
    async def update(self, job: Job, resource_id: str, old: Values, new: Values, state: Values) -> Values:
        """Refuse an update without another value: the official provider sends what changed alone, here nothing.

        Source: https://github.com/pulumi/pulumi-cloudflare/issues/1319
        """
        if old.get("value") == new.get("value"):
            raise CloudError(
                f"400 Bad Request: 1007 Invalid value for zone setting {resource_id}\n"
                "hint: basec up --refresh; docs/known-issues.md (Providers) says why"
            )
        return await self._put(job, new)

    @override
    async def read(self, job: Job, resource_id: str, inputs: Values, state: Values) -> Found | None:
        zone_id = text(inputs, "zoneId") or text(state, "zoneId")
        document = await job.backend.read_document(ZONE_SETTING, _setting_key(zone_id, resource_id))
        if document is None:
            return None
        real: Values = {"zoneId": zone_id, "settingId": resource_id, "value": text_of(document, "value")}
        return Found(inputs={**inputs, **real}, outputs=self._outputs(text_of(document, "modifiedOn")))

    @override
    async def delete(self, job: Job, resource_id: str, inputs: Values, state: Values) -> None:
        """Leave it as it is."""

    async def _put(self, job: Job, inputs: Values) -> Values:
        key = _setting_key(text(inputs, "zoneId"), text(inputs, "settingId"))
        modified_on = now()
        await job.backend.put_document(ZONE_SETTING, job.urn, key, {**inputs, "modifiedOn": modified_on})
        return self._outputs(modified_on)

    @staticmethod
    def _outputs(modified_on: str) -> Values:
        return {"editable": True, "enabled": False, "modifiedOn": modified_on, "timeRemaining": 0}


def text_of(document: Mapping[str, object], key: str) -> str:
    """Read a text of a document. Raises CloudError naming the key."""
    value = document.get(key)
    if not isinstance(value, str):
        raise CloudError(f"{key}: expected a text, got {type(value).__name__}")
    return value


def _setting_key(zone_id: str, setting_id: str) -> str:
    """Name the document of a setting: a zone has one of each."""
    return f"{zone_id}:{setting_id}"


def _go_time(moment: datetime) -> str:
    """Write a time as the Origin CA's API does."""
    return moment.strftime("%Y-%m-%d %H:%M:%S +0000 UTC")


def _certificate(pem: str) -> x509.Certificate:
    from cryptography import x509  # noqa: PLC0415 - see above

    return x509.load_pem_x509_certificate(pem.encode())


def _belong(certificate_pem: str, key_pem: str) -> bool:
    """Say whether key and certificate are a pair."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - see above

    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    try:
        key = serialization.load_pem_private_key(key_pem.encode(), None).public_key()
        return _certificate(certificate_pem).public_key().public_bytes(*form) == key.public_bytes(*form)
    except (ValueError, TypeError):
        return False
