"""TLS secrets: whether keys, the request and certificates fit each other and the domain. `basec init` makes them."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from topology.settings import TLS_KEYS

T = TypeVar("T")

ORIGIN_KEY, ORIGIN_CSR, PULL_CERTIFICATE, PULL_KEY = TLS_KEYS

MIN_DAYS_LEFT = 30
"""A certificate with fewer days is refused while there is still time to replace it."""


def origin_names(domain: str) -> tuple[str, str]:
    """Return the names that the edge's certificate covers: the apex, and every tenant."""
    return domain, f"*.{domain}"


def pull_leaf(chain: str) -> str:
    """Return the client certificate in PEM, the first of `origin_pull_certificate`. Raises ValueError."""
    return _pem(_certificates(chain)[:1])


def pull_authorities(chain: str) -> str:
    """Return what nginx pins, in PEM: the authorities after the client certificate. Raises ValueError."""
    return _pem(_certificates(chain)[1:])


def tls_fault(name: str, values: Mapping[str, str], domain: str, today: datetime.date | None) -> str | None:
    """Return what is wrong with one of `TLS_KEYS`, without its value; a wrong partner is reported for the partner.

    With `today` None expiry is not checked.
    """
    try:
        _CHECKS[name](values, domain, today)
    except ValueError as error:
        return f"this secret {error}"
    return None


def _check_origin_key(values: Mapping[str, str], _domain: str, _today: datetime.date | None) -> None:
    key = _private_key(values[ORIGIN_KEY])
    # Cloudflare signs for the type in the request (`origin-ecc`), which is sent before the program has seen the key.
    if not (isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)):
        raise ValueError("is a private key, but not one of the curve P-256")  # noqa: TRY004 - the text is wrong, not its type


def _check_csr(values: Mapping[str, str], domain: str, _today: datetime.date | None) -> None:
    try:
        csr = x509.load_pem_x509_csr(values[ORIGIN_CSR].encode())
        names = _names(csr)
        signed = csr.is_signature_valid
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is not a certificate signing request in PEM") from None
    missing = [name for name in origin_names(domain) if name not in names]
    if missing:
        raise ValueError(f"requests {', '.join(names) or 'no name'}, but not {', '.join(missing)}")
    key = _partner(values, ORIGIN_KEY, _private_key)
    if not signed or (key is not None and not _same(csr.public_key(), key.public_key())):
        raise ValueError(f"is not made with the key {ORIGIN_KEY}")


def _names(csr: x509.CertificateSigningRequest) -> list[str]:
    try:
        extension = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return extension.value.get_values_for_type(x509.DNSName)


def _check_pull_certificate(values: Mapping[str, str], _domain: str, today: datetime.date | None) -> None:
    leaf, *authorities = _certificates(values[PULL_CERTIFICATE])
    if not authorities:
        raise ValueError("holds one certificate; expected also the authority that signed it, after it")
    if not _is_for_clients(leaf):
        raise ValueError("begins with a certificate that is not for TLS clients")
    if not any(_signed_by(leaf, authority) for authority in authorities):
        raise ValueError("begins with a certificate that none of the authorities after it has signed")
    for certificate in (leaf, *authorities):
        end = certificate.not_valid_after_utc.date()
        if today is not None and (end - today).days < MIN_DAYS_LEFT:
            raise ValueError(f"expires on {end}, in less than {MIN_DAYS_LEFT} days")


def _is_for_clients(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_oid(ExtensionOID.EXTENDED_KEY_USAGE).value
    except x509.ExtensionNotFound:
        return True  # usable for everything
    return isinstance(usage, x509.ExtendedKeyUsage) and ExtendedKeyUsageOID.CLIENT_AUTH in usage


def _signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _check_pull_key(values: Mapping[str, str], _domain: str, _today: datetime.date | None) -> None:
    key = _private_key(values[PULL_KEY])
    certificates = _partner(values, PULL_CERTIFICATE, _certificates)
    if certificates and not _same(certificates[0].public_key(), key.public_key()):
        raise ValueError(f"is not the key of the first certificate of {PULL_CERTIFICATE}")


_CHECKS: Mapping[str, Callable[[Mapping[str, str], str, datetime.date | None], None]] = {
    ORIGIN_KEY: _check_origin_key,
    ORIGIN_CSR: _check_csr,
    PULL_CERTIFICATE: _check_pull_certificate,
    PULL_KEY: _check_pull_key,
}


@lru_cache(maxsize=8)  # OpenSSL checks an RSA key for a tenth of a second, and every tier asks for all keys again
def _private_key(text: str) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # `from None`: the library's own message may quote the text of the key.
        raise ValueError("is not an unencrypted private key in PEM") from None


def _certificates(text: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise ValueError("is not a list of certificates in PEM") from None


def _partner(values: Mapping[str, str], name: str, read: Callable[[str], T]) -> T | None:
    """Read another secret; None where it is not set or wrong, which is reported under its own name."""
    try:
        return read(values[name])
    except (KeyError, ValueError):
        return None


def _same(one: PublicKeyTypes, other: PublicKeyTypes) -> bool:
    first, second = (key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for key in (one, other))
    return first == second


def _pem(certificates: list[x509.Certificate]) -> str:
    return "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in certificates)
