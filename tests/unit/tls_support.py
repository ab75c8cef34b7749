"""Keys and certificates for tests, made once a run: as `basec init` makes them, and as Cloudflare signs them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from basec.secrets.origin_certificates import new_client_certificate, new_origin_key, origin_csr
from topology.settings import TLS_KEYS


@cache
def client_chain() -> tuple[str, str]:
    """Cloudflare's certificate for the edge with its authority, and its key."""
    return new_client_certificate("basecommerce.example")


@cache
def foreign_client() -> tuple[str, str]:
    """As good a certificate, of another zone."""
    return new_client_certificate("basecommerce.example")


@cache
def origin_request(domain: str) -> tuple[str, str]:
    """The edge's key and its request."""
    key = new_origin_key()
    return key, origin_csr(key, domain)


def issue(request: str) -> tuple[str, str]:
    """Sign a request as Cloudflare's authority for origins does; gives certificate and authority in PEM."""
    csr, key = x509.load_pem_x509_csr(request.encode()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority for tests")])
    now = datetime.datetime.now(datetime.UTC)
    common = x509.CertificateBuilder().issuer_name(issuer).serial_number(x509.random_serial_number())
    common = common.not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(
        now + datetime.timedelta(days=9)
    )
    authority = (
        common.subject_name(issuer)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    certificate = (
        common.subject_name(csr.subject)
        .public_key(csr.public_key())
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    first, second = (item.public_bytes(Encoding.PEM).decode() for item in (certificate, authority))
    return first, second


def tls_secrets(domain: str) -> Mapping[str, str]:
    """Return the four TLS secrets of a stack, by key."""
    return dict(zip(TLS_KEYS, (*origin_request(domain), *client_chain()), strict=True))
