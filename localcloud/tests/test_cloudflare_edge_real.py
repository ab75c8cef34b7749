"""The stand-in and the registry in containers, on a public network of the test's own."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from localcloud.cloudflare.real import edge
from localcloud.config import CloudConfig
from localcloud.errors import CloudError
from localcloud.images import registry
from localcloud.images.build import build_all
from localcloud.machine import labels
from localcloud.naming import default_cache
from localcloud.tests.cloudflare_support import (
    DEAD_ORIGIN,
    SUBNET,
    cloud,
    docker,
    fetch,
    get,
    put_record,
    start_origin,
)

pytestmark = pytest.mark.real


@pytest.fixture
def config(tmp_path: Path) -> Iterator[CloudConfig]:
    with cloud(tmp_path) as made:
        yield made


async def test_a_name_is_served_the_moment_its_record_is_there_and_no_longer(
    config: CloudConfig, tmp_path: Path
) -> None:
    await edge.ensure(config)
    start_origin(config, tmp_path / "origin")
    assert get(config, "demo.localhost")[0] == 530
    record = put_record(config, "*.localhost")
    await edge.reload(config)
    status, body = get(config, f"demo.localhost:{config.http_port}")
    assert status == 200
    assert json.loads(body)["host"] == f"demo.localhost:{config.http_port}"
    assert get(config, "a.b.localhost")[0] == 200
    assert get(config, "localhost")[0] == 530
    assert get(config, "demo.example.com")[0] == 530
    record.unlink()
    await edge.reload(config)
    status, body = get(config, "demo.localhost")
    assert status == 530
    assert "1016" in body


async def test_the_origin_gets_cloudflares_headers_and_no_forged_ones(config: CloudConfig, tmp_path: Path) -> None:
    put_record(config, "demo.localhost")
    await edge.ensure(config)
    start_origin(config, tmp_path / "origin")
    forged = {"CF_Connecting_IP": "8.8.8.8", "CF_Ray": "forged", "X_Forwarded_Proto": "https", "TE": "trailers"}
    status, body = get(config, "demo.localhost", X_Forwarded_For="9.9.9.9", Upgrade="h2c", **forged)
    seen = json.loads(body)
    assert status == 200
    assert IPv4Address(seen["cf"]) == SUBNET[1]  # loopback publication: the engine's gateway is the visitor
    assert seen["xff"] == f"9.9.9.9, {SUBNET[1]}"
    assert seen["proto"] == "http"
    assert seen["ray"].endswith("-LCL")
    assert (seen["upgrade"], seen["te"], seen["connection"]) == ("", "", "")


async def test_a_dead_origin_is_521_a_cut_answer_520_and_an_origins_own_502_passes(
    config: CloudConfig, tmp_path: Path
) -> None:
    put_record(config, "demo.localhost")
    put_record(config, "dead.localhost", DEAD_ORIGIN)
    await edge.ensure(config)
    start_origin(config, tmp_path / "origin")
    assert get(config, "demo.localhost", "/broken") == (502, "the origin's own\n")
    assert get(config, "demo.localhost", "/cut")[0] == 520
    assert get(config, "dead.localhost")[0] == 521
    docker("kill", config.physical("origin"))
    # The machine may still remember where the address was: then the connection is not refused but times out (19 s).
    assert get(config, "demo.localhost")[0] in {521, 522}


async def test_a_bad_record_changes_nothing_that_is_served(config: CloudConfig, tmp_path: Path) -> None:
    put_record(config, "demo.localhost")
    await edge.ensure(config)
    start_origin(config, tmp_path / "origin")
    bad = put_record(config, "other.localhost")
    bad.write_text(bad.read_text().replace('"A"', '"CNAME"'))
    with pytest.raises(CloudError, match="proxies A records only"):
        await edge.reload(config)
    assert get(config, "demo.localhost")[0] == 200


async def test_ensure_keeps_a_container_that_is_as_wanted_and_starts_a_stopped_one(config: CloudConfig) -> None:
    name = config.physical("cloudflare")
    await edge.ensure(config)
    first = docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", name)
    await edge.ensure(config)
    assert docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", name) == first
    docker("stop", name)
    put_record(config, "later.localhost", DEAD_ORIGIN)
    await edge.reload(config)  # nothing runs: nothing to do
    await edge.ensure(config)
    assert docker("inspect", "--format", "{{.Id}}", name).strip() == first.split()[0]
    assert get(config, "later.localhost")[0] == 521
    ports = {f"80/tcp -> 127.0.0.1:{config.http_port}", f"443/tcp -> 127.0.0.1:{config.https_port}"}
    assert set(docker("port", name).splitlines()) == ports
    await edge.remove(config)
    assert docker("ps", "--all", "--quiet", "--filter", f"name={name}") == ""
    await edge.remove(config)


async def test_the_registry_serves_the_built_tags_and_takes_no_push(config: CloudConfig) -> None:
    images = await asyncio.to_thread(build_all, default_cache(), print)
    await registry.ensure(config)
    await registry.ensure(config)
    address = str(config.registry_address)
    tags = json.loads(await asyncio.to_thread(fetch, f"http://{address}/v2/redis/tags/list"))
    assert images.services["redis"].rpartition(":")[2] in tags["tags"]
    refused = urllib.request.Request(f"http://{address}/v2/redis/blobs/uploads/", method="POST")
    with pytest.raises(urllib.error.HTTPError) as caught:
        await asyncio.to_thread(urllib.request.urlopen, refused, timeout=5)
    assert caught.value.code == 405
    shown = docker("inspect", "--format", "{{json .Config.Labels}}", config.physical("registry"))
    assert json.loads(shown)[labels.CLOUD] == config.name
    await registry.remove(config)
    assert docker("ps", "--all", "--quiet", "--filter", f"name={config.physical('registry')}") == ""
