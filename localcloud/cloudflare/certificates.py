"""The two certificate authorities of one local cloud, and what they sign.

`origin` stands for Cloudflare's Origin CA: it signs what only the stand-in trusts. `public` stands for the CAs
that browsers trust: it signs the visitors' certificate, and a person may trust its file `<state>/ca/public.pem`. It is
valid only for `localhost` and names below it, so a stolen key cannot forge another site.
Both are created on first use and removed with the cloud. Keys are readable by their owner only.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from localcloud.config import CloudConfig
from localcloud.errors import CloudError, damaged

FOLDER = "ca"
ORIGIN, PUBLIC = "origin", "public"
AUTHORITY_DAYS = 5475
"""As long as the longest certificate of Cloudflare's Origin CA."""
VISITORS_DAYS = 90
"""As Cloudflare's universal certificates. Source: https://developers.cloudflare.com/ssl/reference/certificate-validity-periods/"""
VISITORS_RENEW_DAYS = 30
_COMMON_NAMES = {ORIGIN: "origin CA of the local cloud", PUBLIC: "public CA of the local cloud"}
_CONSTRAINTS = {
    ORIGIN: None,
    PUBLIC: x509.NameConstraints(
        permitted_subtrees=[x509.DNSName("localhost")],
        # A constraint limits names of its own kind only: without these, any address would be allowed.
        excluded_subtrees=[x509.IPAddress(IPv4Network("0.0.0.0/0")), x509.IPAddress(IPv6Network("::/0"))],
    ),
}
"""The names that an authority may sign for. Source: RFC 5280, section 4.2.1.10."""
_CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True)
class Authority:
    """A certificate authority with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def authority_file(config: CloudConfig, name: str) -> Path:
    """Return the file of an authority's certificate, which is not secret."""
    return config.state.absolute() / FOLDER / f"{name}.pem"


def authority(config: CloudConfig, name: str) -> Authority:
    """Open an authority of the cloud, `origin` or `public`; created if it is missing, or has other constraints."""
    path = authority_file(config, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _lock(path.parent / "lock"):
        key_path = path.with_suffix(".key")
        if path.exists() and key_path.exists():
            hint = f"basec down --env {config.name}, then up: all certificates of this cloud are then new"
            try:
                key = load_pem_private_key(key_path.read_bytes(), None)
                kept = x509.load_pem_x509_certificate(path.read_bytes())
            except (ValueError, TypeError) as error:
                raise damaged(path, error, hint) from None
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise CloudError(f"{key_path}: not a key of this cloud\nhint: {hint}")
            if _constraints(kept) == _CONSTRAINTS[name]:
                return Authority(kept, key)
        made = _new_authority(f"{_COMMON_NAMES[name]} {config.name}", _CONSTRAINTS[name])
        write_owned(key_path, private_pem(made.key))
        write_owned(path, pem(made.certificate), mode=0o644)
        return made


def sign_request(config: CloudConfig, request_pem: str, names: Sequence[str], days: int) -> x509.Certificate:
    """Sign an origin's request, as the Origin CA does: for the given names, whatever names the request has.

    Raises ValueError when the request cannot be read or was not signed by its own key.
    """
    request = x509.load_pem_x509_csr(request_pem.encode())
    if not request.is_signature_valid:
        raise ValueError("the request's signature does not fit its key")
    return _leaf(authority(config, ORIGIN), request.public_key(), "CloudFlare Origin Certificate", names, days)


def visitors_bundle(config: CloudConfig, names: Sequence[str]) -> str:
    """Return certificate and key for visitors' TLS, in one string; kept while names and dates fit."""
    issuer = authority(config, PUBLIC)
    path = config.state.absolute() / FOLDER / "visitors.pem"
    if path.exists() and _still_good(kept := path.read_text(errors="replace"), issuer, names):
        return kept
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = _leaf(issuer, key.public_key(), "visitors of the local cloud", names, VISITORS_DAYS)
    write_owned(path, made := pem(leaf) + private_pem(key))
    return made


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """List the host names of a certificate."""
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return tuple(extension.value.get_values_for_type(x509.DNSName))


def pem(certificate: x509.Certificate) -> str:
    """Return a certificate as text."""
    return certificate.public_bytes(Encoding.PEM).decode()


def private_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """Return a key as text, not encrypted."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def write_owned(path: Path, text: str, *, mode: int = 0o600, owner: int | None = None) -> None:
    """Write a file by rename, so that it never has wider permissions."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(text)
        if owner is not None:
            os.fchown(handle.fileno(), owner, owner)
        os.fchmod(handle.fileno(), mode)
    temporary.replace(path)


def _still_good(bundle: str, issuer: Authority, names: Sequence[str]) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(bundle.encode())
        load_pem_private_key(bundle.encode(), None)
    except (ValueError, TypeError):  # damaged, so it is built again
        return False
    left = certificate.not_valid_after_utc - datetime.now(UTC)
    return (
        _is_signed_by(certificate, issuer)
        and set(names_of(certificate)) == set(names)
        and left > timedelta(days=VISITORS_RENEW_DAYS)
    )


def _is_signed_by(certificate: x509.Certificate, issuer: Authority) -> bool:
    """Compare keys, not names: a new authority has the name of the old one."""
    try:
        certificate.verify_directly_issued_by(issuer.certificate)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _constraints(certificate: x509.Certificate) -> x509.NameConstraints | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return None


def _new_authority(common_name: str, constraints: x509.NameConstraints | None) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    start = datetime.now(UTC) - _CLOCK_SKEW
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if constraints is not None:
        builder = builder.add_extension(constraints, critical=True)
    return Authority(builder.sign(key, hashes.SHA256()), key)


def _leaf(
    issuer: Authority,
    key: CertificatePublicKeyTypes,
    common_name: str,
    names: Sequence[str],
    days: int,
) -> x509.Certificate:
    start = datetime.now(UTC) - _CLOCK_SKEW
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(issuer.certificate.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .sign(issuer.key, hashes.SHA256())
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold the lock: two plugins at once would create two authorities."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
