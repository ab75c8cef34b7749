"""TLS secrets fit each other, the domain and today's date, or are refused by name and without their value."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from basec.secrets.origin_certificates import fill, new_client_certificate, new_origin_key, origin_csr
from tests.unit.tls_support import client_chain, foreign_client, origin_request, tls_secrets
from tests.unit.topology_support import private_key, project, secret_values
from topology.errors import ConfigurationError
from topology.secrets import check_secrets
from topology.settings import TLS_KEYS
from topology.tls import origin_names, pull_authorities, pull_leaf, tls_fault

DOMAIN = "staging-basecommerce.com.br"
TODAY = datetime.date(2026, 11, 25)


def fault(name: str, today: datetime.date | None = None, changes: Mapping[str, str] | None = None) -> str | None:
    return tls_fault(name, {**tls_secrets(DOMAIN), **(changes or {})}, DOMAIN, today)


def curve_key(curve: ec.EllipticCurve) -> str:
    key = ec.generate_private_key(curve)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize("name", TLS_KEYS)
def test_what_init_makes_is_fit_today(name: str) -> None:
    assert fault(name, datetime.datetime.now(datetime.UTC).date()) is None


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("origin_private_key", "made-up", "this secret is not an unencrypted private key in PEM"),
        ("origin_private_key", private_key(1), "this secret is not an unencrypted private key in PEM"),
        ("origin_private_key", client_chain()[1], "this secret is a private key, but not one of the curve P-256"),
        (
            "origin_private_key",
            curve_key(ec.SECP384R1()),
            "this secret is a private key, but not one of the curve P-256",
        ),
        ("origin_csr", "made-up", "this secret is not a certificate signing request in PEM"),
        ("origin_csr", client_chain()[0], "this secret is not a certificate signing request in PEM"),
        ("origin_csr", origin_csr(new_origin_key(), DOMAIN), "this secret is not made with the key origin_private_key"),
        (
            "origin_csr",
            origin_request("example.org")[1],
            "this secret requests example.org, *.example.org, but not "
            "staging-basecommerce.com.br, *.staging-basecommerce.com.br",
        ),
        ("origin_pull_certificate", "made-up", "this secret is not a list of certificates in PEM"),
        (
            "origin_pull_certificate",
            pull_leaf(client_chain()[0]),
            "this secret holds one certificate; expected also the authority that signed it, after it",
        ),
        (
            "origin_pull_certificate",
            pull_authorities(client_chain()[0]) + pull_leaf(client_chain()[0]),
            "this secret begins with a certificate that none of the authorities after it has signed",
        ),
        (
            "origin_pull_certificate",
            pull_leaf(client_chain()[0]) + pull_authorities(foreign_client()[0]),
            "this secret begins with a certificate that none of the authorities after it has signed",
        ),
        ("origin_pull_private_key", "", "this secret is not an unencrypted private key in PEM"),
        (
            "origin_pull_private_key",
            foreign_client()[1],
            "this secret is not the key of the first certificate of origin_pull_certificate",
        ),
    ],
    ids=lambda text: "PEM" if "-----" in text else text[:60],  # the same in every process, unlike keys
)
def test_unfit_secret_is_refused_with_its_reason(name: str, value: str, message: str) -> None:
    assert fault(name, changes={name: value}) == message


def test_a_wrong_partner_is_reported_under_its_own_name_only() -> None:
    assert fault("origin_csr", changes={"origin_private_key": "made-up"}) is None
    assert fault("origin_pull_private_key", changes={"origin_pull_certificate": "made-up"}) is None


@pytest.mark.parametrize(("days", "refused"), [(30, False), (29, True), (-1, True)])
def test_a_certificate_is_refused_when_less_than_30_days_are_left(days: int, refused: bool) -> None:
    end = x509.load_pem_x509_certificates(client_chain()[0].encode())[0].not_valid_after_utc.date()
    text = fault("origin_pull_certificate", end - datetime.timedelta(days=days))
    assert text == (f"this secret expires on {end}, in less than 30 days" if refused else None)


def test_the_report_names_the_key_and_the_command_that_makes_a_new_one() -> None:
    values: Mapping[str, str] = {**secret_values(), "origin_csr": origin_request("example.org")[1]}
    with pytest.raises(ConfigurationError) as caught:
        check_secrets(project(), values, TODAY)
    assert caught.value.render() == (
        "Pulumi.staging.yaml: basecommerce:origin_csr: this secret requests example.org, *.example.org, but not "
        "staging-basecommerce.com.br, *.staging-basecommerce.com.br\n"
        "hint: remove the key `basecommerce:origin_csr` from the file, then run `basec init --env staging`"
    )


def test_several_authorities_may_be_pinned_while_one_takes_over_from_another() -> None:
    chain = client_chain()[0] + pull_authorities(foreign_client()[0])
    assert fault("origin_pull_certificate", TODAY, {"origin_pull_certificate": chain}) is None
    assert pull_leaf(chain) == pull_leaf(client_chain()[0])
    assert pull_authorities(chain) == pull_authorities(client_chain()[0]) + pull_authorities(foreign_client()[0])


def test_only_what_is_missing_is_made_and_what_would_not_fit_it_any_more() -> None:
    kept = tls_secrets(DOMAIN)
    made = {name: fill([name], kept.__getitem__, DOMAIN) for name in TLS_KEYS}
    assert {name: tuple(values) for name, values in made.items()} == {
        "origin_private_key": ("origin_private_key", "origin_csr"),
        "origin_csr": ("origin_csr",),
        "origin_pull_certificate": ("origin_pull_certificate", "origin_pull_private_key"),
        "origin_pull_private_key": ("origin_pull_certificate", "origin_pull_private_key"),
    }
    for values in made.values():
        for name in TLS_KEYS:
            assert tls_fault(name, {**kept, **values}, DOMAIN, TODAY) is None
    assert fill((), kept.__getitem__, DOMAIN) == {}


def test_the_client_certificate_signs_nothing_and_is_no_servers() -> None:
    chain, key = new_client_certificate(DOMAIN)
    leaf, authority = x509.load_pem_x509_certificates(chain.encode())
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]
    assert load_pem_private_key(key.encode(), None).public_key() == leaf.public_key()
    assert authority.public_key() != leaf.public_key(), "nobody keeps the authority's key"


def test_long_domains_fit_into_the_certificates() -> None:
    domain = ".".join(["a" * 60] * 3 + ["example"])
    values = fill(TLS_KEYS, dict[str, str]().__getitem__, domain)
    assert [tls_fault(name, values, domain, TODAY) for name in TLS_KEYS] == [None] * 4
    assert origin_names(domain) == (domain, f"*.{domain}")
