"""The stand-in and the registry in containers, on a public network of the test's own."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from localcloud import cloudflare_edge, registry
from localcloud.backend import CloudError
from localcloud.config import CloudConfig, Mode
from localcloud.images.build import build_all, build_image, machine_recipes
from localcloud.machines.networks import public_network

pytestmark = pytest.mark.real

SUBNET = IPv4Network("198.51.100.224/27")
"""The last slice of the range; allocation begins at the other end."""
ORIGIN = SUBNET[8]
DEAD_ORIGIN = SUBNET[9]
SEEN = {
    "host": "$http_host",
    "cf": "$http_cf_connecting_ip",
    "xff": "$http_x_forwarded_for",
    "proto": "$http_x_forwarded_proto",
    "ray": "$http_cf_ray",
    "upgrade": "$http_upgrade",
    "te": "$http_te",
    "connection": "$http_connection",
}
ECHO = """
server {
    listen 80;
    location = /broken { return 502 "the origin's own\\n"; }
    location = /cut { return 444; }
    location / {
        default_type application/json;
        return 200 '$seen';
    }
}
"""


def default_cache() -> Path:
    return Path(os.environ.get("BASECOMMERCE_CACHE", Path.home() / ".cache/basecommerce"))


def docker(*arguments: str, check: bool = True) -> str:
    run = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=120)
    if check:
        assert run.returncode == 0, f"{arguments}: {run.stdout}{run.stderr}"
    return run.stdout


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def config(tmp_path: Path) -> Iterator[CloudConfig]:
    tmp_path.chmod(0o755)
    build_image("cloudflare", default_cache(), print)
    cloud = CloudConfig(
        name=f"imgt-{uuid.uuid4().hex[:6]}",
        mode=Mode.REAL,
        state=tmp_path / "state",
        cache=default_cache(),
        public_subnet=SUBNET,
        cloudflare_address=SUBNET[2],
        registry_address=SUBNET[3],
        vpc_range=IPv4Network("10.77.250.0/24"),
        http_port=free_port(),
    )
    (tmp_path / "state/records").mkdir(parents=True)
    yield cloud
    for kind in ("cloudflare", "registry", "origin"):
        docker("rm", "--force", cloud.physical(kind), check=False)
    docker("network", "rm", public_network(cloud), check=False)


def start_origin(config: CloudConfig, folder: Path) -> None:
    folder.mkdir()
    (folder / "echo.conf").write_text(ECHO.replace("$seen", json.dumps(SEEN)))
    docker(
        *("run", "--detach", "--name", config.physical("origin"), "--user", "101:101"),
        *("--network", public_network(config), "--ip", str(ORIGIN)),
        *("--volume", f"{folder}:/etc/nginx/conf.d:ro", machine_recipes().reference("nginx")),
    )
    fetch(f"http://{ORIGIN}/")  # wait until it listens


def put_record(config: CloudConfig, name: str, address: IPv4Address = ORIGIN, *, proxied: bool = True) -> Path:
    path = config.state / "records" / f"{uuid.uuid4().hex}.json"
    record = {"zone_id": "0" * 32, "name": name, "type": "A", "content": str(address), "proxied": proxied, "ttl": 1}
    path.write_text(json.dumps(record))
    return path


def get(config: CloudConfig, host: str, path: str = "/", **headers: str) -> tuple[int, str]:
    sent = {"Host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    request = urllib.request.Request(f"http://127.0.0.1:{config.http_port}{path}", headers=sent)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


async def test_a_name_is_served_the_moment_its_record_is_there_and_no_longer(
    config: CloudConfig, tmp_path: Path
) -> None:
    await cloudflare_edge.ensure(config)
    start_origin(config, tmp_path / "origin")
    assert get(config, "demo.localhost")[0] == 530
    record = put_record(config, "*.localhost")
    await cloudflare_edge.reload(config)
    status, body = get(config, f"demo.localhost:{config.http_port}")
    assert status == 200
    assert json.loads(body)["host"] == f"demo.localhost:{config.http_port}"
    assert get(config, "a.b.localhost")[0] == 200
    assert get(config, "localhost")[0] == 530
    assert get(config, "demo.example.com")[0] == 530
    record.unlink()
    await cloudflare_edge.reload(config)
    status, body = get(config, "demo.localhost")
    assert status == 530
    assert "1016" in body


async def test_the_origin_gets_cloudflares_headers_and_no_forged_ones(config: CloudConfig, tmp_path: Path) -> None:
    put_record(config, "demo.localhost")
    await cloudflare_edge.ensure(config)
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
    await cloudflare_edge.ensure(config)
    start_origin(config, tmp_path / "origin")
    assert get(config, "demo.localhost", "/broken") == (502, "the origin's own\n")
    assert get(config, "demo.localhost", "/cut")[0] == 520
    assert get(config, "dead.localhost")[0] == 521
    docker("kill", config.physical("origin"))
    # The machine may still remember where the address was: then the connection is not refused but times out (19 s).
    assert get(config, "demo.localhost")[0] in {521, 522}


async def test_a_bad_record_changes_nothing_that_is_served(config: CloudConfig, tmp_path: Path) -> None:
    put_record(config, "demo.localhost")
    await cloudflare_edge.ensure(config)
    start_origin(config, tmp_path / "origin")
    bad = put_record(config, "other.localhost")
    bad.write_text(bad.read_text().replace('"A"', '"CNAME"'))
    with pytest.raises(CloudError, match="proxies A records only"):
        await cloudflare_edge.reload(config)
    assert get(config, "demo.localhost")[0] == 200


async def test_ensure_keeps_a_container_that_is_as_wanted_and_starts_a_stopped_one(config: CloudConfig) -> None:
    name = config.physical("cloudflare")
    await cloudflare_edge.ensure(config)
    first = docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", name)
    await cloudflare_edge.ensure(config)
    assert docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", name) == first
    docker("stop", name)
    put_record(config, "later.localhost", DEAD_ORIGIN)
    await cloudflare_edge.reload(config)  # nothing runs: nothing to do
    await cloudflare_edge.ensure(config)
    assert docker("inspect", "--format", "{{.Id}}", name).strip() == first.split()[0]
    assert get(config, "later.localhost")[0] == 521
    assert docker("port", name).strip() == f"80/tcp -> 127.0.0.1:{config.http_port}"
    await cloudflare_edge.remove(config)
    assert docker("ps", "--all", "--quiet", "--filter", f"name={name}") == ""
    await cloudflare_edge.remove(config)


async def test_the_registry_serves_the_built_tags_and_takes_no_push(config: CloudConfig) -> None:
    images = await asyncio.to_thread(build_all, default_cache(), print)
    await registry.ensure(config)
    await registry.ensure(config)
    address = str(config.registry_address)
    tags = json.loads(await asyncio.to_thread(fetch, f"http://{address}/v2/auth/tags/list"))
    assert images.tag in tags["tags"]
    refused = urllib.request.Request(f"http://{address}/v2/auth/blobs/uploads/", method="POST")
    with pytest.raises(urllib.error.HTTPError) as caught:
        await asyncio.to_thread(urllib.request.urlopen, refused, timeout=5)
    assert caught.value.code == 405
    labels = docker("inspect", "--format", "{{json .Config.Labels}}", config.physical("registry"))
    assert json.loads(labels)["basecommerce.cloud"] == config.name
    await registry.remove(config)
    assert docker("ps", "--all", "--quiet", "--filter", f"name={config.physical('registry')}") == ""


def fetch(url: str) -> bytes:
    for _ in range(50):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310
                return bytes(answer.read())
        except urllib.error.URLError:
            time.sleep(0.1)
    raise AssertionError(url)
