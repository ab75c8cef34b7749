"""TLS from the visitor to the edge: strict at each step, and the edge answers nobody but its own Cloudflare."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from localcloud.tests.certificate_support import self_signed
from tests.e2e import tls
from tests.e2e.asking import OK, Asking
from tests.e2e.exposure import Exposure
from tests.e2e.stack import STACK, Answer, LocalStack
from tests.e2e.vantage import addresses, reserved_address
from tests.e2e.visitor import Visitor

pytestmark = pytest.mark.real

HOST = "demo.localhost"
MOVED, REFUSED, MISDIRECTED = 301, 400, 421
OF_A_LOCAL_AUTHORITY = {"cert_revocation": "it has no service that could be asked: no CRL, no OCSP"}
"""What testssl holds against any certificate of an authority that is not public, whoever serves it."""
OF_THE_ORIGIN_CA = {
    **OF_A_LOCAL_AUTHORITY,
    "cert_validityPeriod": "certificates of the Origin CA live up to 15 years, since nobody but Cloudflare trusts them",
}


def zone_settings(stack: LocalStack) -> dict[str, str]:
    """Return what the zone was told, from the records of the local cloud."""
    folder = stack.root / ".local" / STACK / "cloud/documents-zone_setting"
    documents = [tls.read_json(path)["document"] for path in folder.glob("*.json")]
    return {document["settingId"]: document["value"] for document in documents}


Scans = dict[str, Future[list[tls.Finding]]]


@pytest.fixture(scope="module", autouse=True)
def scans(stack: LocalStack, exposure: Exposure, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scans]:
    """Scan both servers while the other tests of this file run: each makes hundreds of handshakes, one by one."""
    reports = tmp_path_factory.mktemp("testssl")
    port, edge = stack.cloud["https_port"], addresses(stack, "edge")["public"]
    origin_ca, within = stack.ca_file.with_name("origin.pem"), exposure.containers["cloudflare"]
    with ThreadPoolExecutor(2) as pool:
        yield {
            "visitors": pool.submit(tls.findings, reports / "visitors.json", HOST, port, "127.0.0.1", stack.ca_file),
            "edge": pool.submit(tls.findings, reports / "edge.json", "localhost", 443, edge, origin_ca, within=within),
        }


def test_the_zone_is_strict_always_uses_https_and_refuses_old_versions(stack: LocalStack) -> None:
    assert zone_settings(stack) == {"ssl": "strict", "always_use_https": "on", "min_tls_version": "1.2"}


def test_the_shop_is_served_by_https_to_who_trusts_the_stacks_authority(stack: LocalStack) -> None:
    answer = stack.get("/health")
    assert (answer.status, answer.json()) == (200, {"status": "ok", "edge": True, "ssl": True})
    with pytest.raises(ssl.SSLCertVerificationError):
        Visitor(HOST, stack.cloud["https_port"], stack.ca_file.with_name("origin.pem")).request("GET", "/")


@pytest.mark.parametrize("path", ["/", "/web/dashboard?a=b", "/health"])
def test_a_visitor_by_http_is_sent_to_https_and_is_told_nothing_else(stack: LocalStack, path: str) -> None:
    answer: Answer = stack.plain(path)
    wanted = f"https://{HOST}:{stack.cloud['https_port']}{path}"
    assert (answer.status, answer.all("location")) == (MOVED, [wanted])


def test_the_stand_in_speaks_tls_with_the_edge(stack: LocalStack) -> None:
    stack.get("/health", User_Agent="tls-test")
    log = stack.inside("edge", "docker logs --tail 500 edge-nginx-1 2>&1")
    assert "port=443 host=demo.localhost" in log


@pytest.fixture
def stranger_certificate(tmp_path: Path) -> tuple[str, ...]:
    """Return curl's options for a client certificate that somebody made for himself, with the very name of ours."""
    pair = self_signed(f"Cloudflare for {HOST.partition('.')[2]}")
    path = tmp_path / "stranger.pem"
    path.write_text(pair.certificate + pair.key)
    return ("--cert", str(path))


@pytest.fixture
def own_certificate(stack: LocalStack) -> tuple[str, ...]:
    """Return curl's options for the certificate that the stand-in shows."""
    (path,) = (stack.root / ".local" / STACK / "cloud/cloudflare").glob("client-*.pem")
    return ("--cert", str(path))


def test_the_edge_answers_to_the_zones_own_client_certificate_alone(
    exposure: Exposure, own_certificate: tuple[str, ...], stranger_certificate: tuple[str, ...]
) -> None:
    for address in doors(exposure.stack):
        asked = {
            kind: tls.status_from(exposure.containers["cloudflare"], address, HOST, *options)
            for kind, options in (("none", ()), ("a stranger's", stranger_certificate), ("our own", own_certificate))
        }
        assert asked == {"none": REFUSED, "a stranger's": REFUSED, "our own": 200}, address


@pytest.mark.parametrize("host", ["example.com", "localhost.example.com", "demo.localhost.example.com"])
def test_the_edge_answers_to_the_right_host_alone(
    exposure: Exposure, own_certificate: tuple[str, ...], host: str
) -> None:
    address = addresses(exposure.stack, "edge")["public"]
    own = ("--header", f"Host: {host}")
    assert tls.status_from(exposure.containers["cloudflare"], address, HOST, *own_certificate, *own) == MISDIRECTED
    assert tls.status_from(exposure.containers["cloudflare"], address, host, *own_certificate) == MISDIRECTED


def test_who_does_not_come_from_cloudflare_gets_no_answer_even_with_the_certificate(
    exposure: Exposure, own_certificate: tuple[str, ...]
) -> None:
    for address in doors(exposure.stack):
        assert tls.status_from(exposure.containers["public"], address, HOST, *own_certificate) == 0


def doors(stack: LocalStack) -> list[str]:
    """List the edge's public addresses."""
    return [addresses(stack, "edge")["public"], reserved_address(stack)]


def test_a_scan_of_what_visitors_see_has_no_finding_above_low(scans: Scans) -> None:
    assert tls.above_low(scans["visitors"].result(), OF_A_LOCAL_AUTHORITY) == {}


def test_a_scan_of_the_edge_has_no_finding_above_low(scans: Scans) -> None:
    assert tls.above_low(scans["edge"].result(), OF_THE_ORIGIN_CA) == {}


def test_a_switch_of_the_mode_there_and_back_loses_no_request(stack: LocalStack, exposure: Exposure) -> None:
    settings = stack.root / "Pulumi.local.yaml"
    strict = settings.read_text()
    flexible = strict.replace("ssl: strict", "ssl: flexible")
    assert flexible != strict

    def at_the_origin() -> int:
        address = addresses(stack, "edge")["public"]
        return tls.plain_status_from(exposure.containers["cloudflare"], address, HOST, "/tenant.json")

    try:
        with Asking(stack) as visitor:
            settings.write_text(flexible)
            assert "2 updated" in stack.up()
            assert (zone_settings(stack)["ssl"], at_the_origin()) == ("flexible", OK)
            settings.write_text(strict)
            assert "2 updated" in stack.up()
            assert (zone_settings(stack)["ssl"], at_the_origin()) == ("strict", MOVED)
    finally:
        settings.write_text(strict)
    assert visitor.asked > 50
    assert visitor.bad == []
