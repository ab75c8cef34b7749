"""What Cloudflare accepts, and its API's messages for the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import AddressValueError, IPv4Address
from typing import TYPE_CHECKING

from localcloud.cloudflare.tls import TLS_VERSIONS
from localcloud.provider.values import Value

if TYPE_CHECKING:  # imported late where it is used: most operations need no certificate
    from cryptography import x509

AUTOMATIC_TTL = 1
TTL_MIN_S, TTL_MAX_S = 60, 86400
"""Source: https://developers.cloudflare.com/dns/manage-dns-records/reference/ttl/"""
NAME_LENGTH_MAX = 253
VALIDITY_DAYS = (7, 30, 90, 365, 730, 1095, 5475)
SETTINGS: Mapping[str, tuple[str, ...]] = {
    "ssl": ("flexible", "strict"),
    "always_use_https": ("off", "on"),
    "min_tls_version": TLS_VERSIONS,
}
"""The settings that the local cloud has, and their values."""


def check_zone(value: Value) -> str | None:
    """Check a zone id."""
    return _check_zone(value, f"/zones/{value}")


def check_zone_of_record(value: Value) -> str | None:
    """Check the zone id of a record."""
    return _check_zone(value, f"/zones/{value}/dns_records")


def _check_zone(value: Value, route: str) -> str | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{32}", value):
        return None
    return f"Could not route to {route}, perhaps your object identifier is invalid? (7003)"


def check_name(value: Value) -> str | None:
    """Check a record's name. A short name would come back as a full one, and differ at each refresh."""
    label = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?"
    name = str(value)
    if len(name) <= NAME_LENGTH_MAX and re.fullmatch(rf"(\*\.)?({label}\.)*{label}", name):
        bare = name.removeprefix("*.")
        if "." in bare or bare == "localhost":
            return None
    return f"DNS name is invalid. (9000): {value!r} is not a full, lower-case name such as shop.example.com"


def check_content(value: Value) -> str | None:
    """Check the address of an A record."""
    try:
        IPv4Address(str(value))
    except AddressValueError:
        return f"Content for A record must be a valid IPv4 address. (9005): {value!r}"
    return None


def check_ttl(value: Value) -> str | None:
    """Check a time to live in seconds."""
    if value == AUTOMATIC_TTL or (isinstance(value, int) and TTL_MIN_S <= value <= TTL_MAX_S):
        return None
    return f"TTL must be between {TTL_MIN_S} and {TTL_MAX_S} seconds, or 1 for Automatic. (9021): {value!r}"


def check_hostname(value: Value) -> str | None:
    """Check a name of an origin certificate; `localhost`, which cannot be a zone of Cloudflare's, is accepted."""
    label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    if isinstance(value, str) and re.fullmatch(rf"(\*\.)?(localhost|({label}\.)+{label})", value):
        return None
    return f"Failed to validate requested hostname {value}: not a full name, or `*.` and one. (1010)"


def check_validity(value: Value) -> str | None:
    """Check a number of days."""
    if value in VALIDITY_DAYS:
        return None
    wanted = " ".join(f'"{days}.000000"' for days in VALIDITY_DAYS)
    return f"Attribute requested_validity value must be one of: [{wanted}], got: {value}"


def check_request(value: Value) -> str | None:
    """Check a certificate signing request."""
    from cryptography import x509  # noqa: PLC0415 - most operations need no certificate

    try:
        request = x509.load_pem_x509_csr(str(value).encode())
    except ValueError:
        return "Failed to parse the certificate signing request: it is not one in PEM"
    return None if request.is_signature_valid else "The certificate signing request is not signed by its own key"


def check_certificate(value: Value) -> str | None:
    """Check a certificate that is uploaded. It is public, but somebody may paste a key: its text is not repeated."""
    try:
        certificate(str(value))
    except ValueError:
        return "Failed to parse the certificate: it is not one in PEM"
    return None


def check_private_key(value: Value) -> str | None:
    """Check a key that is uploaded: its text is not repeated."""
    return None if "PRIVATE KEY-----" in str(value) else "Failed to parse the private key: it is not one in PEM"


def certificate(pem: str) -> x509.Certificate:
    """Read a certificate. Raises ValueError."""
    from cryptography import x509  # noqa: PLC0415 - most operations need no certificate

    return x509.load_pem_x509_certificate(pem.encode())


def belong(certificate_pem: str, key_pem: str) -> bool:
    """Return whether key and certificate are a pair."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - most operations need no certificate

    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    try:
        key = serialization.load_pem_private_key(key_pem.encode(), None).public_key()
        return certificate(certificate_pem).public_key().public_bytes(*form) == key.public_bytes(*form)
    except (ValueError, TypeError):
        return False
