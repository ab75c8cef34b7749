"""The stand-in speaks TLS as Cloudflare does: with visitors, and with an origin that it trusts."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from localcloud.cloudflare import certificates
from localcloud.cloudflare.real import edge
from localcloud.config import CloudConfig
from localcloud.tests.certificate_support import Pair, request_and_key, self_signed
from localcloud.tests.cloudflare_support import (
    DEAD_ORIGIN,
    ZONE,
    cloud,
    docker,
    get,
    get_tls,
    put_document,
    put_record,
    set_zone,
    start_origin,
    visitor,
)

pytestmark = pytest.mark.real

NAMES = ("localhost", "*.localhost")


@pytest.fixture
def config(tmp_path: Path) -> Iterator[CloudConfig]:
    with cloud(tmp_path) as made:
        for name in NAMES:
            put_record(made, name)
        yield made


def origin_certificate(config: CloudConfig, names: Sequence[str] = NAMES) -> Pair:
    """Have the Origin CA sign for these names."""
    request, key = request_and_key()
    return Pair(certificates.pem(certificates.sign_request(config, request, names, 30)), key)


async def test_a_flexible_zone_serves_https_and_passes_it_on_in_clear(config: CloudConfig, tmp_path: Path) -> None:
    await edge.ensure(config)
    start_origin(config, tmp_path / "origin")
    status, _, body = get_tls(config, "demo.localhost")
    seen = json.loads(body)
    assert (status, seen["scheme"], seen["proto"]) == (200, "http", "https")
    assert json.loads(get(config, "demo.localhost")[1])["proto"] == "http"


async def test_a_strict_zone_passes_https_on_by_https_to_the_name_it_verifies(
    config: CloudConfig, tmp_path: Path
) -> None:
    set_zone(config, ssl="strict")
    await edge.ensure(config)
    start_origin(config, tmp_path / "origin", origin_certificate(config))
    for host in ("demo.localhost", "localhost"):
        status, _, body = get_tls(config, host)
        seen = json.loads(body)
        assert (status, seen["scheme"], seen["proto"], seen["sni"]) == (200, "https", "https", "localhost")
        assert (seen["host"], seen["client"]) == (host, "")
    # As Cloudflare: who comes by http is passed on by http, until the zone always uses https.
    assert json.loads(get(config, "demo.localhost")[1])["scheme"] == "http"


@pytest.mark.parametrize("what", ["self-signed", "for another name"])
async def test_a_strict_zone_refuses_an_origin_it_does_not_trust_with_526(
    config: CloudConfig, tmp_path: Path, what: str
) -> None:
    set_zone(config, ssl="strict")
    pair = self_signed("localhost", *NAMES) if what == "self-signed" else origin_certificate(config, ["example.com"])
    await edge.ensure(config)
    start_origin(config, tmp_path / "origin", pair)
    status, _, body = get_tls(config, "demo.localhost", "/secret-path")
    assert (status, "Error 526: Invalid SSL certificate" in body) == (526, True)
    assert "secret-path" not in docker("logs", config.physical("origin")), "nothing of the visitor's went there"
    set_zone(config, ssl="flexible")
    await edge.reload(config)
    assert get_tls(config, "demo.localhost")[0] == 200


async def test_an_origin_that_refuses_or_speaks_no_tls_is_told_apart(config: CloudConfig, tmp_path: Path) -> None:
    set_zone(config, ssl="strict")
    put_record(config, "dead.localhost", DEAD_ORIGIN)
    await edge.ensure(config)
    start_origin(config, tmp_path / "origin", origin_certificate(config))
    assert get_tls(config, "demo.localhost", "/broken")[::2] == (502, "the origin's own\n")
    assert get_tls(config, "demo.localhost", "/cut")[0] == 520
    docker("exec", "--user", "101", config.physical("origin"), "nginx", "-s", "stop", check=False)
    docker("wait", config.physical("origin"))
    assert get_tls(config, "demo.localhost")[0] in {521, 522}


async def test_the_client_certificate_is_shown_while_origin_pulls_are_on(config: CloudConfig, tmp_path: Path) -> None:
    client = self_signed("our own client")
    fields = {"certificate": client.certificate, "privateKey": client.key, "uploadedOn": "2026-11-25T10:00:00Z"}
    put_document(config, "origin_pulls_certificate", "one", **fields)
    set_zone(config, ssl="strict")
    await edge.ensure(config)
    start_origin(config, tmp_path / "origin", origin_certificate(config))
    for enabled, shown in ((False, ""), (True, "CN=our own client"), (False, "")):
        put_document(config, "origin_pulls_setting", ZONE, enabled=enabled)
        await edge.reload(config)
        assert json.loads(get_tls(config, "demo.localhost")[2])["client"] == shown


async def test_a_zone_that_always_uses_https_redirects_to_the_published_port(
    config: CloudConfig, tmp_path: Path
) -> None:
    set_zone(config, always_use_https="on")
    await edge.ensure(config)
    start_origin(config, tmp_path / "origin")
    connection = http.client.HTTPConnection("127.0.0.1", config.http_port, timeout=15)
    connection.request("GET", "/a/path?with=query", headers={"Host": f"demo.localhost:{config.http_port}"})
    answer = connection.getresponse()
    wanted = f"https://demo.localhost:{config.https_port}/a/path?with=query"
    assert (answer.status, answer.getheader("Location")) == (301, wanted)
    connection.close()
    assert get_tls(config, "demo.localhost")[0] == 200


async def test_visitors_older_than_the_zones_minimum_are_refused(config: CloudConfig) -> None:
    await edge.ensure(config)
    old = visitor(config)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    assert get_tls(config, "demo.localhost", context=old)[0] in {521, 522}, "nothing is there, but TLS was spoken"
    set_zone(config, min_tls_version="1.3")
    await edge.reload(config)
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        get_tls(config, "demo.localhost", context=old)
    assert get_tls(config, "demo.localhost")[0] in {521, 522}


async def test_curl_trusts_the_listed_names_by_the_ca_file_and_no_others(config: CloudConfig) -> None:
    await edge.ensure(config)
    file = certificates.authority_file(config, certificates.PUBLIC)

    def curl(name: str, *options: str) -> int:
        command = ("curl", "--silent", "--output", "/dev/null", *options, f"https://{name}:{config.https_port}/")
        return subprocess.run(command, check=False, timeout=30).returncode

    untrusted, not_in_certificate = 60, 60
    assert curl("demo.localhost", "--cacert", str(file)) == 0
    assert curl("demo.localhost") == untrusted
    assert curl("acme.localhost", "--cacert", str(file)) == not_in_certificate
