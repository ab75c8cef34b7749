"""A stand-in in a container, on a public network of the test's own, and an origin that tells what it sees."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from localcloud.cloudflare.certificates import PUBLIC, authority_file
from localcloud.config import CloudConfig, Mode
from localcloud.images.build import build_image, machine_recipes
from localcloud.machine.networks import public_network
from localcloud.naming import default_cache
from localcloud.tests.certificate_support import Pair

WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
SUBNET = list(IPv4Network("198.51.100.0/24").subnets(new_prefix=27))[(7, 5, 4, 3)[WORKER % 4]]
"""For each of the runs beside each other one of the last slices of the range: allocation begins at the other end, and
`test_machines_real.py` has the last but one."""
ORIGIN = SUBNET[8]
DEAD_ORIGIN = SUBNET[9]
ZONE = "0" * 32
SEEN = {
    "host": "$http_host",
    "cf": "$http_cf_connecting_ip",
    "xff": "$http_x_forwarded_for",
    "proto": "$http_x_forwarded_proto",
    "ray": "$http_cf_ray",
    "upgrade": "$http_upgrade",
    "te": "$http_te",
    "connection": "$http_connection",
    "scheme": "$scheme",
    "sni": "$ssl_server_name",
    "client": "$ssl_client_s_dn",
}
ECHO = """
server {
    listen 80;
    $tls
    location = /broken { return 502 "the origin's own\\n"; }
    location = /cut { return 444; }
    location / {
        default_type application/json;
        return 200 '$seen';
    }
}
"""


ECHO_TLS = """
    listen 443 ssl;
    ssl_certificate conf.d/origin.pem;
    ssl_certificate_key conf.d/origin.pem;
    ssl_verify_client optional_no_ca;
"""


def docker(*arguments: str, check: bool = True) -> str:
    run = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=120)
    if check:
        assert run.returncode == 0, f"{arguments}: {run.stdout}{run.stderr}"
    return run.stdout


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def cloud(tmp_path: Path) -> Iterator[CloudConfig]:
    """Describe a cloud without records; what was made of it is removed afterwards."""
    tmp_path.chmod(0o755)
    build_image("cloudflare", default_cache(), print)
    config = CloudConfig(
        name=f"imgt-{uuid.uuid4().hex[:6]}",
        mode=Mode.REAL,
        state=tmp_path / "state",
        cache=default_cache(),
        public_subnet=SUBNET,
        cloudflare_address=SUBNET[2],
        registry_address=SUBNET[3],
        vpc_range=IPv4Network("10.77.250.0/24"),
        http_port=free_port(),
        https_port=free_port(),
        visitor_labels=("demo",),
    )
    (tmp_path / "state/records").mkdir(parents=True)
    try:
        yield config
    finally:
        for kind in ("cloudflare", "registry", "origin"):
            docker("rm", "--force", config.physical(kind), check=False)
        docker("network", "rm", public_network(config), check=False)


def start_origin(config: CloudConfig, folder: Path, tls: Pair | None = None) -> None:
    """Start the origin; with a certificate, it speaks TLS too."""
    folder.mkdir()
    text = ECHO.replace("$seen", json.dumps(SEEN)).replace("$tls", ECHO_TLS if tls else "")
    (folder / "echo.conf").write_text(text)
    if tls:
        (folder / "origin.pem").write_text(tls.certificate + tls.key)
    docker(
        *("run", "--detach", "--name", config.physical("origin"), "--user", "101:101"),
        *("--network", public_network(config), "--ip", str(ORIGIN)),
        *("--volume", f"{folder}:/etc/nginx/conf.d:ro", machine_recipes().reference("nginx")),
    )
    fetch(f"http://{ORIGIN}/")  # wait until it listens


def put_document(config: CloudConfig, kind: str, name: str, **fields: object) -> None:
    folder = config.state / f"documents-{kind}"
    folder.mkdir(exist_ok=True)
    document = {"urn": name, "document": {"zoneId": ZONE, **fields}}
    (folder / f"{name}.json").write_text(json.dumps(document))


def set_zone(config: CloudConfig, **values: str) -> None:
    """Set zone settings, e.g. `ssl="strict"`."""
    for name, value in values.items():
        put_document(config, "zone_setting", f"{ZONE}:{name}", settingId=name, value=value)


def put_record(config: CloudConfig, name: str, address: IPv4Address = ORIGIN, *, proxied: bool = True) -> Path:
    path = config.state / "records" / f"{uuid.uuid4().hex}.json"
    record = {"zone_id": ZONE, "name": name, "type": "A", "content": str(address), "proxied": proxied, "ttl": 1}
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


def get_tls(
    config: CloudConfig, host: str, path: str = "/", context: ssl.SSLContext | None = None
) -> tuple[int, dict[str, str], str]:
    """Ask over TLS with the visitor's name in it, trusting the cloud's public CA."""
    trusting = context or visitor(config)
    with (
        socket.create_connection(("127.0.0.1", config.https_port), timeout=30) as plain,
        trusting.wrap_socket(plain, server_hostname=host) as wrapped,
    ):
        wrapped.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = http.client.HTTPResponse(wrapped)
        answer.begin()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode()


def visitor(config: CloudConfig) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority_file(config, PUBLIC)))


def fetch(url: str) -> bytes:
    for _ in range(50):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310
                return bytes(answer.read())
        except urllib.error.URLError:
            time.sleep(0.1)
    raise AssertionError(url)
