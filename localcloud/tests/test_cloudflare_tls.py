"""The cloud's certificates and what a zone's documents make of its TLS."""

from __future__ import annotations

import json
import ssl
import stat
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from localcloud.cloudflare import certificates, dry
from localcloud.cloudflare.real import backend, edge
from localcloud.cloudflare.tls import Zone, read_zones
from localcloud.config import CloudConfig
from localcloud.errors import CloudError
from localcloud.plugin import package
from localcloud.provider.handler import Handler, Job, Values
from localcloud.tests.certificate_support import self_signed, signing_request
from localcloud.tests.machines.fake_host import FakeHost
from localcloud.tests.sample_program import ZONE
from localcloud.tests.test_checks import ORIGIN_CA, PULLS_CERTIFICATE, PULLS_SETTINGS, VALID, ZONE_SETTING

NAMES = ["localhost", "*.localhost", "demo.localhost"]


@pytest.fixture
def job(config: CloudConfig) -> Job[Any]:
    async def progress(_: str) -> None:
        """Print nothing."""

    return Job(urn="urn:one", name="one", backend=dry.backend(config), config=config, progress=progress)


def handler(type_name: str) -> Handler[Any]:
    return package("cloudflare").handler(type_name)


def document(config: CloudConfig, kind: str, name: str, **fields: object) -> None:
    folder = config.state / f"documents-{kind}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps({"urn": name, "document": {"zoneId": ZONE, **fields}}))


def set_zone(config: CloudConfig, **values: str) -> None:
    for name, value in values.items():
        document(config, "zone_setting", f"{ZONE}:{name}", settingId=name, value=value)


def test_the_authority_that_people_trust_is_confined_to_localhost(config: CloudConfig) -> None:
    extension = certificates.authority(config, certificates.PUBLIC).certificate.extensions.get_extension_for_class(
        x509.NameConstraints
    )
    assert extension.critical
    assert extension.value.permitted_subtrees == [x509.DNSName("localhost")]
    assert [str(each.value) for each in extension.value.excluded_subtrees or ()] == ["0.0.0.0/0", "::/0"]


def test_an_authority_without_constraints_is_made_anew_with_what_it_signs(
    config: CloudConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setitem(certificates._CONSTRAINTS, certificates.PUBLIC, None)
        old = certificates.authority(config, certificates.PUBLIC)
        before = certificates.visitors_bundle(config, NAMES)
    new = certificates.authority(config, certificates.PUBLIC)
    assert new.certificate != old.certificate
    after = certificates.visitors_bundle(config, NAMES)
    assert after != before
    x509.load_pem_x509_certificate(after.encode()).verify_directly_issued_by(new.certificate)
    assert certificates.authority(config, certificates.PUBLIC).certificate == new.certificate


def test_an_authority_is_made_once_and_its_key_is_the_owners_alone(config: CloudConfig) -> None:
    first = certificates.authority(config, certificates.ORIGIN)
    assert certificates.authority(config, certificates.ORIGIN).certificate == first.certificate
    assert certificates.authority(config, certificates.PUBLIC).certificate != first.certificate
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (config.state / "ca").glob("*.*")}
    assert modes == {"origin.pem": 0o644, "origin.key": 0o600, "public.pem": 0o644, "public.key": 0o600}


def test_the_visitors_certificate_is_kept_until_a_name_or_a_month_of_life_is_missing(
    config: CloudConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = certificates.visitors_bundle(config, NAMES)
    assert certificates.visitors_bundle(config, NAMES) == first
    more = certificates.visitors_bundle(config, [*NAMES, "acme.localhost"])
    assert more != first
    assert certificates.names_of(x509.load_pem_x509_certificate(more.encode())) == (*NAMES, "acme.localhost")

    class Later(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            del tz
            return datetime.now(UTC) + timedelta(days=certificates.VISITORS_DAYS - certificates.VISITORS_RENEW_DAYS)

    monkeypatch.setattr(certificates, "datetime", Later)
    assert certificates.visitors_bundle(config, [*NAMES, "acme.localhost"]) != more


def test_openssl_trusts_the_visitors_certificate_by_the_file_that_people_are_told_of(config: CloudConfig) -> None:
    bundle = config.state / "bundle.pem"
    config.state.mkdir(parents=True, exist_ok=True)
    bundle.write_text(certificates.visitors_bundle(config, NAMES))
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(bundle)
    trusting = ssl.create_default_context(cafile=str(certificates.authority_file(config, certificates.PUBLIC)))
    handshake(served, trusting, "demo.localhost")
    with pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for 'acme\.localhost'"):
        handshake(served, trusting, "acme.localhost")
    certificates.authority(config, certificates.ORIGIN)
    strangers = ssl.create_default_context(cafile=str(certificates.authority_file(config, certificates.ORIGIN)))
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(served, strangers, "demo.localhost")


def handshake(served: ssl.SSLContext, visiting: ssl.SSLContext, name: str) -> None:
    """Connect two ends in memory. Raises ssl.SSLError of the visitor."""
    to_server, to_visitor = ssl.MemoryBIO(), ssl.MemoryBIO()
    visitor = visiting.wrap_bio(to_visitor, to_server, server_hostname=name)
    server = served.wrap_bio(to_server, to_visitor, server_side=True)
    for _ in range(4):
        for end in (visitor, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert visitor.version() == "TLSv1.3"


async def test_the_origin_ca_signs_the_requests_key_for_the_asked_names_and_days(job: Job[Any]) -> None:
    request = signing_request()
    inputs: Values = {**VALID[ORIGIN_CA], "csr": request, "hostnames": ["example.com", "*.example.com"]}
    created = await handler(ORIGIN_CA).create(job, inputs)
    certificate = x509.load_pem_x509_certificate(str(created.outputs["certificate"]).encode())
    certificate.verify_directly_issued_by(certificates.authority(job.config, certificates.ORIGIN).certificate)
    assert certificate.public_key() == x509.load_pem_x509_csr(request.encode()).public_key()
    assert certificates.names_of(certificate) == ("example.com", "*.example.com")
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days == 365
    assert created.id == str(certificate.serial_number)
    assert str(created.outputs["expiresOn"]).endswith(" +0000 UTC")


async def test_a_certificate_is_made_beside_the_old_one_of_its_urn(job: Job[Any]) -> None:
    """Else a replacement would be an outage: the old one is revoked only when the new one serves."""
    one, two = self_signed("one"), self_signed("two")
    pulls = handler(PULLS_CERTIFICATE)
    old: Values = {"zoneId": ZONE, "certificate": one.certificate, "privateKey": one.key}
    new: Values = {"zoneId": ZONE, "certificate": two.certificate, "privateKey": two.key}
    first, second = await pulls.create(job, old), await pulls.create(job, new)
    assert first.id != second.id
    await pulls.delete(job, first.id, old, {})
    assert await pulls.read(job, first.id, old, {}) is None
    found = await pulls.read(job, second.id, new, {})
    assert found is not None
    assert found.inputs["certificate"] == two.certificate


async def test_no_private_key_is_in_the_dry_clouds_records(job: Job[Any]) -> None:
    await handler(PULLS_CERTIFICATE).create(job, VALID[PULLS_CERTIFICATE])
    assert "PRIVATE KEY" not in (job.config.state / "dry.json").read_text()


async def test_the_real_cloud_keeps_the_key_for_the_stand_in_in_a_file_of_its_owners_alone(config: CloudConfig) -> None:
    sent = {**VALID[PULLS_CERTIFICATE], "uploadedOn": "2026-11-25T10:00:00Z"}
    await backend(config, FakeHost()).documents.put("origin_pulls_certificate", "urn:one", None, sent)
    (path,) = (config.state / "documents-origin_pulls_certificate").glob("*.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "PRIVATE KEY" in path.read_text()


@pytest.mark.parametrize("type_name", [PULLS_SETTINGS, ZONE_SETTING])
async def test_a_deleted_setting_stays_as_it_was(job: Job[Any], type_name: str) -> None:
    inputs = VALID[type_name]
    setting = handler(type_name)
    created = await setting.create(job, inputs)
    await setting.delete(job, created.id, inputs, {})
    found = await setting.read(job, created.id, inputs, {})
    assert found is not None
    assert found.inputs == inputs


async def test_an_update_of_a_setting_without_another_value_is_refused(job: Job[Any]) -> None:
    setting, inputs = handler(ZONE_SETTING), VALID[ZONE_SETTING]
    made = await setting.create(job, inputs)
    with pytest.raises(CloudError, match="1007 Invalid value for zone setting ssl"):
        await setting.update(job, made.id, inputs, inputs, {})
    await setting.update(job, made.id, inputs, {**inputs, "value": "flexible"}, {})
    found = await setting.read(job, made.id, inputs, {})
    assert found is not None
    assert found.inputs["value"] == "flexible"


async def test_a_setting_changed_by_hand_is_seen_by_a_refresh(job: Job[Any]) -> None:
    setting, inputs = handler(ZONE_SETTING), VALID[ZONE_SETTING]
    created = await setting.create(job, inputs)
    await setting.update(job, created.id, inputs, {**inputs, "value": "flexible"}, {})
    found = await setting.read(job, created.id, inputs, {})
    assert found is not None
    assert found.inputs["value"] == "flexible"


def test_a_zone_where_nothing_was_set_is_flexible_without_redirect(config: CloudConfig) -> None:
    assert read_zones(config.state) == {}
    set_zone(config, ssl="strict")
    assert read_zones(config.state) == {ZONE: Zone(strict=True)}
    set_zone(config, always_use_https="on", min_tls_version="1.2")
    assert read_zones(config.state) == {ZONE: Zone(strict=True, always_use_https=True, min_tls_version="1.2")}


def test_the_last_uploaded_client_certificate_is_shown_and_only_while_the_setting_is_on(config: CloudConfig) -> None:
    for name, day in (("a", "03"), ("b", "09"), ("c", "05")):
        fields = {"certificate": f"certificate {name}\n", "privateKey": f"key {name}"}
        document(config, "origin_pulls_certificate", name, uploadedOn=f"2026-11-{day}T10:00:00Z", **fields)
    assert read_zones(config.state) == {}
    document(config, "origin_pulls_setting", ZONE, enabled=False)
    assert read_zones(config.state) == {}
    document(config, "origin_pulls_setting", ZONE, enabled=True)
    assert read_zones(config.state) == {ZONE: Zone(client_bundle="certificate b\nkey b\n")}


def test_keys_are_beside_the_configuration_for_nginx_alone_and_old_ones_go(config: CloudConfig) -> None:
    folder = config.state / "cloudflare"
    folder.mkdir(parents=True)
    set_zone(config, ssl="strict")
    (config.state / "records").mkdir()
    record = {
        "zone_id": ZONE,
        "name": "example.com",
        "type": "A",
        "content": "198.51.100.24",
        "proxied": True,
        "ttl": 1,
    }
    (config.state / "records/one.json").write_text(json.dumps(record))
    one = edge._rendered(config)
    (folder / "nginx.conf").write_text(one)
    (folder / "client-0123456789abcdef.pem").write_text("an old one")
    edge._forget_unused(folder)
    files = {path.name.partition("-")[0]: path.stat() for path in folder.glob("*.pem")}
    assert set(files) == {"visitors", "origin"}
    assert {(stat.S_IMODE(found.st_mode), found.st_uid) for found in files.values()} == {(0o600, 101)}


def test_a_renewed_visitors_certificate_is_another_configuration(config: CloudConfig) -> None:
    (config.state / "cloudflare").mkdir(parents=True)
    one = edge._rendered(config)
    assert edge._rendered(config) == one
    (config.state / "ca/visitors.pem").unlink()
    assert edge._rendered(config).splitlines()[0] != one.splitlines()[0]
