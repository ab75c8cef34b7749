"""Keys, requests and certificates that tests hand in, made by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, in PEM."""

    certificate: str
    key: str


def self_signed(common_name: str, *names: str) -> Pair:
    """Build a self-signed certificate; with names it may be a server's."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(common_name)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(minutes=5))
        .not_valid_after(datetime.now(UTC) + timedelta(days=30))
    )
    if names:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternatives, critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    return Pair(certificate.public_bytes(Encoding.PEM).decode(), _pem(key))


def signing_request(key: ec.EllipticCurvePrivateKey | None = None) -> str:
    """Build a certificate signing request."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name("an origin"))
    request = builder.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return request.public_bytes(Encoding.PEM).decode()


def request_and_key() -> tuple[str, str]:
    """Build a certificate signing request, and return its key too."""
    key = ec.generate_private_key(ec.SECP256R1())
    return signing_request(key), _pem(key)


def forged_request() -> str:
    """Build a request whose signature is not that of its key: a name in it was changed afterwards."""
    request = x509.load_pem_x509_csr(signing_request().encode())
    forged = request.public_bytes(Encoding.DER).replace(b"an origin", b"an enemy!")
    return x509.load_der_x509_csr(forged).public_bytes(Encoding.PEM).decode()


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
