"""Build what TLS between Cloudflare and the edge needs: the edge's key and request, Cloudflare's client certificate.

Built once and kept as secrets, since a program that runs repeatedly must request the same certificate each time.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from topology.tls import ORIGIN_CSR, ORIGIN_KEY, PULL_CERTIFICATE, PULL_KEY, origin_names

VALID_DAYS = 5475
"""As long as Cloudflare's longest origin certificate: the two have to be replaced together."""
RSA_BITS = 2048
"""Cloudflare's own example for client certificates is RSA, and does not mention curves.
Source: https://developers.cloudflare.com/ssl/origin-configuration/authenticated-origin-pull/set-up/"""


def fill(missing: Collection[str], read: Callable[[str], str], domain: str) -> dict[str, str]:
    """Build the missing ones of the four TLS secrets by name, and those that no longer fit a new one.

    `read` returns the value of an existing one: a new request can be made for a kept key.
    """
    made: dict[str, str] = {}
    if ORIGIN_KEY in missing:
        made[ORIGIN_KEY] = new_origin_key()
    if ORIGIN_KEY in missing or ORIGIN_CSR in missing:
        made[ORIGIN_CSR] = origin_csr(made.get(ORIGIN_KEY) or read(ORIGIN_KEY), domain)
    if PULL_CERTIFICATE in missing or PULL_KEY in missing:
        made[PULL_CERTIFICATE], made[PULL_KEY] = new_client_certificate(domain)
    return made


def new_origin_key() -> str:
    """Build the edge's TLS key: P-256, in PEM, unencrypted."""
    return _key_text(ec.generate_private_key(ec.SECP256R1()))


def origin_csr(private_key: str, domain: str) -> str:
    """Request a certificate of `domain` and `*.domain`, in PEM. Raises ValueError or TypeError for an unfit key."""
    key = load_pem_private_key(private_key.encode(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the origin's key is not an elliptic curve key")
    names = x509.SubjectAlternativeName([x509.DNSName(name) for name in origin_names(domain)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(domain)).add_extension(names, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def new_client_certificate(domain: str) -> tuple[str, str]:
    """Build the certificate by which Cloudflare proves itself to the edge: chain (leaf, then authority) and leaf's key.

    The authority's key is not kept: nobody can sign a second client for an edge that pins it.
    """
    authority_key, leaf_key = (rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS) for _ in range(2))
    issuer = _name(f"basecommerce origin pulls of {domain}")
    authority = _certificate(issuer, issuer, authority_key, authority_key, authority=True)
    leaf = _certificate(_name(f"Cloudflare for {domain}"), issuer, leaf_key, authority_key, authority=False)
    chain = "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in (leaf, authority))
    return chain, _key_text(leaf_key)


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: rsa.RSAPrivateKey,
    signer: rsa.RSAPrivateKey,
    *,
    authority: bool,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    usage = x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # for a clock that is behind
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _name(common_name: str) -> x509.Name:
    # At most 64 characters (RFC 5280, appendix A.1); the names that count are in the extension.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _key_text(key: CertificateIssuerPrivateKeyTypes) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
