"""TLS in the whole program: what is declared in each mode, what is secret, and in which order it happens."""

from __future__ import annotations

import json

import pulumi
import pytest

from basec.secrets import origin_certificates
from tests.program.recording import ORIGIN_CERTIFICATE, RESERVED_IP, STACKS, Recorder, configuration, main, run
from tests.program.test_program import COMMAND, PULL_CERTIFICATE
from tests.unit.tls_support import client_chain, tls_secrets
from topology.tls import pull_authorities, pull_leaf

ORIGIN = "cloudflare:index/originCaCertificate:OriginCaCertificate"
PULLS = "cloudflare:index/authenticatedOriginPullsSettings:AuthenticatedOriginPullsSettings"
ZONE = "cloudflare:index/zoneSetting:ZoneSetting"
RECORD = "cloudflare:index/dnsRecord:DnsRecord"


@pytest.fixture(scope="module")
def strict() -> Recorder:
    return run(main, stack="production", config=configuration("production"))


@pytest.fixture(scope="module")
def flexible() -> Recorder:
    return run(main, stack="production", config=configuration("production", ssl="flexible"))


@pytest.fixture(scope="module", params=["strict", "flexible"])
def either(request: pytest.FixtureRequest) -> Recorder:
    recorder: Recorder = request.getfixturevalue(request.param)
    return recorder


def urns(recorder: Recorder, *types: str) -> set[str]:
    found = {item.urn for item in recorder.registered if item.type in types}
    assert len({item.type for item in recorder.registered if item.type in types}) == len(types)
    return found


def zone(recorder: Recorder) -> dict[str, str]:
    return {item.plain("settingId"): item.plain("value") for item in recorder.of(ZONE)}


def switch_text(recorder: Recorder) -> str:
    text: str = recorder.one(COMMAND, "edge-http-switch").plain("create")
    return text


@pytest.mark.parametrize("stack", STACKS)
def test_the_tracked_stacks_are_strict(stack: str) -> None:
    recorder = run(main, stack=stack, config=configuration(stack))
    assert zone(recorder) == {"ssl": "strict", "always_use_https": "on", "min_tls_version": "1.2"}
    assert switch_text(recorder).splitlines()[1] == "# origin-http closed"


def test_a_flexible_zone_is_set_to_that_and_nothing_else(flexible: Recorder) -> None:
    assert zone(flexible) == {"ssl": "flexible"}
    assert switch_text(flexible).splitlines()[1] == "# origin-http open"


def test_the_origins_certificate_is_for_apex_and_tenants(either: Recorder) -> None:
    (item,) = either.of(ORIGIN)
    assert item.plain("hostnames") == ["*.basecommerce.com.br", "basecommerce.com.br"], "sorted, as they are read back"
    assert item.plain("csr") == tls_secrets("basecommerce.com.br")["origin_csr"]
    assert (item.plain("requestType"), item.plain("requestedValidity")) == ("origin-ecc", 5475)
    assert not item.delete_before_replace, "the old one is revoked when the new one is served"


def test_cloudflare_shows_our_own_certificate_and_not_the_one_of_all_its_customers(either: Recorder) -> None:
    (certificate,), (enabled,) = either.of(PULL_CERTIFICATE), either.of(PULLS)
    assert certificate.plain("certificate") == pull_leaf(client_chain()[0])
    assert certificate.plain("privateKey") == client_chain()[1]
    assert certificate.secret("privateKey")
    assert "privateKey" in certificate.secret_outputs
    assert enabled.plain("enabled") is True
    assert certificate.urn in enabled.dependencies
    for item in (certificate, enabled, *either.of(ZONE)):
        assert item.plain("zoneId") == "b7a2d0c94e1f4f6c8a35d9e2107c6b48"


def test_the_edge_gets_what_was_issued_and_pins_our_authority(either: Recorder) -> None:
    activation = either.one(COMMAND, "edge-stack-activation")
    assert activation.secret("stdin")
    files = json.loads(activation.plain("stdin"))["secrets"]
    assert files["origin.pem"]["content"] == ORIGIN_CERTIFICATE
    assert files["origin.key"]["content"] == tls_secrets("basecommerce.com.br")["origin_private_key"]
    assert files["origin_pull_ca.pem"]["content"] == pull_authorities(client_chain()[0])


def test_no_other_tier_waits_for_cloudflare(either: Recorder) -> None:
    for tier in ("infra", "vertical"):
        after = either.after(either.one(COMMAND, f"{tier}-stack-activation"))
        assert not after & urns(either, ORIGIN, PULL_CERTIFICATE, PULLS)


def test_cloudflare_can_prove_itself_before_the_edge_asks_for_it(either: Recorder) -> None:
    activation = either.one(COMMAND, "edge-stack-activation")
    assert urns(either, ORIGIN, PULL_CERTIFICATE, PULLS) <= either.after(activation)


def test_strict_the_edge_then_the_zone_then_the_end_of_plain_http_then_dns(strict: Recorder) -> None:
    activation, closed = strict.one(COMMAND, "edge-stack-activation"), strict.one(COMMAND, "edge-http-switch")
    settings, records = strict.of(ZONE), strict.of(RECORD)
    assert len(settings) == 3
    assert len(records) == 2
    assert all(activation.urn in strict.after(setting) for setting in settings)
    assert {setting.urn for setting in settings} <= strict.after(closed)
    assert all(closed.urn in strict.after(record) for record in records)


def test_flexible_plain_http_then_the_edge_then_the_zone_then_dns(flexible: Recorder) -> None:
    activation, opened = flexible.one(COMMAND, "edge-stack-activation"), flexible.one(COMMAND, "edge-http-switch")
    (setting,) = flexible.of(ZONE)
    assert opened.urn in flexible.after(activation)
    assert activation.urn in flexible.after(setting)
    assert all(setting.urn in flexible.after(record) for record in flexible.of(RECORD))


def test_a_switch_of_the_mode_touches_no_machine_but_for_port_80(strict: Recorder, flexible: Recorder) -> None:
    """So both ports serve from before the zone is changed until after: nothing is released, no firewall moves."""

    def inputs(recorder: Recorder) -> dict[str, object]:
        kept = [item for item in recorder.registered if item.custom and item.type != ZONE]
        return {item.name: {key: item.plain(key) for key in item.inputs} for item in kept}

    one, other = inputs(strict), inputs(flexible)
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name]] == ["edge-http-switch"]


def test_the_switch_speaks_to_the_edge_itself(either: Recorder) -> None:
    connection = either.one(COMMAND, "edge-http-switch").plain("connection")
    assert connection["host"] == RESERVED_IP
    assert "proxy" not in connection


def refusal(name: str, value: str) -> str:
    """Run staging with one secret changed; nothing may be registered."""
    recorders: list[Recorder] = []
    with pytest.raises(pulumi.RunError) as caught:
        run(
            main,
            stack="staging",
            config={**configuration("staging"), f"basecommerce:{name}": value},
            started=recorders.append,
        )
    assert recorders[0].registered == []
    return str(caught.value)


def test_an_unfit_request_is_refused_before_any_resource() -> None:
    text = refusal("origin_csr", "made-up")
    assert text.startswith("Pulumi.staging.yaml: basecommerce:origin_csr: this secret is not a certificate signing req")


def test_a_certificate_near_expiry_is_refused_before_any_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origin_certificates, "VALID_DAYS", 29)
    chain, _ = origin_certificates.new_client_certificate("staging-basecommerce.com.br")
    text = refusal("origin_pull_certificate", chain)
    assert "basecommerce:origin_pull_certificate: this secret expires on " in text
    assert "in less than 30 days" in text
