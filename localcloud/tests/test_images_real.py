"""Each service image starts without any network, as compose runs it: fixed user, read-only root, no capability."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localcloud.images.build import OWN_IMAGES, build_all, build_image
from localcloud.images.push import tag_link
from localcloud.naming import default_cache
from localcloud.tests.container_support import Run, containers, docker, eventually, serves

pytestmark = pytest.mark.real

PASSWORD = "made-up-password-of-a-test"


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Start a container of an image that is built if it is missing."""
    tmp_path.chmod(0o755)  # a container's user enters what a test mounts
    with containers(lambda image: build_image(image, default_cache(), print)) as start:
        yield start


POSTGRES_OPTIONS = (
    *("--env", "POSTGRES_USER=shop", "--env", "POSTGRES_DB=shop"),
    *("--env", "POSTGRES_PASSWORD_FILE=/run/secrets/postgres_password"),
    *("--env", "POSTGRES_INITDB_ARGS=--data-checksums --encoding=UTF8 --locale=C.UTF-8 --auth-host=scram-sha-256"),
    *("--tmpfs", "/tmp:size=16m", "--tmpfs", "/var/run/postgresql:size=1m,uid=999,gid=999,mode=2775"),
)


def postgres_folder(tmp_path: Path) -> tuple[str, ...]:
    data, secret, scripts = tmp_path / "data", tmp_path / "password", tmp_path / "scripts"
    data.mkdir()
    os.chown(data, 999, 999)
    secret.write_text(PASSWORD)
    secret.chmod(0o400)
    os.chown(secret, 999, 999)
    scripts.mkdir()
    (scripts / "one.sql").write_text("CREATE TABLE made_by_script (id int);\n")
    return (
        *("--volume", f"{data}:/var/lib/postgresql/data", "--volume", f"{secret}:/run/secrets/postgres_password:ro"),
        *("--volume", f"{scripts}:/docker-entrypoint-initdb.d:ro"),
    )


def query(container: str, sql: str, *, password: str = PASSWORD, check: bool = True) -> str:
    login = f"postgresql://shop:{password}@127.0.0.1/shop"
    return docker("exec", container, "psql", "-X", "-A", "-t", login, "-c", sql, check=check).strip()


def postgres_is_ready(container: str) -> Callable[[], bool]:
    probe = ("exec", container, "pg_isready", "--host=127.0.0.1", "--username=shop")
    return lambda: "accepting" in docker(*probe, check=False)


def test_postgres_makes_its_database_once_and_keeps_it(run: Run, tmp_path: Path) -> None:
    options = (*POSTGRES_OPTIONS, *postgres_folder(tmp_path))
    command = ("postgres", "-c", "max_connections=17")
    container = run("postgres", "999:999", *options, command=command)
    eventually(postgres_is_ready(container), container)
    assert query(container, "SHOW max_connections; SHOW data_checksums;") == "17\non"
    assert query(container, "INSERT INTO made_by_script VALUES (7) RETURNING id").startswith("7")
    assert "password authentication failed" in query(container, "SELECT 1", password="wrong", check=False)
    assert docker("inspect", "--format", "{{.Config.StopSignal}}", container).strip() == "SIGINT"
    docker("stop", "--time", "20", container)
    assert docker("inspect", "--format", "{{.State.ExitCode}}", container).strip() == "0"
    docker("start", container)
    eventually(postgres_is_ready(container), container)
    assert query(container, "SELECT id FROM made_by_script") == "7"
    assert PASSWORD not in docker("inspect", container) + docker("logs", container)


def test_postgres_that_was_killed_in_its_first_start_begins_again(run: Run, tmp_path: Path) -> None:
    folder = postgres_folder(tmp_path)
    unfinished = tmp_path / "data/.unfinished"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("17\n")
    os.chown(unfinished, 999, 999)
    container = run("postgres", "999:999", *POSTGRES_OPTIONS, *folder)
    eventually(postgres_is_ready(container), container)
    assert query(container, "SELECT count(*) FROM made_by_script") == "0"
    assert not unfinished.exists()


def test_postgres_refuses_an_empty_password(run: Run) -> None:
    container = run("postgres", "999:999", read_only=False)
    docker("wait", container)
    assert "POSTGRES_PASSWORD: empty" in docker("logs", container)


def test_redis_runs_a_mounted_configuration_as_its_own_user(run: Run, tmp_path: Path) -> None:
    (tmp_path / "redis.conf").write_text(f"requirepass {PASSWORD}\nappendonly yes\ndir /data\n")
    container = run(
        *("redis", "999:999", "--tmpfs", "/data:uid=999,gid=999"),
        *("--volume", f"{tmp_path}:/etc/shop:ro"),
        command=("redis-server", "/etc/shop/redis.conf"),
    )
    ping = ("exec", "--env", f"REDISCLI_AUTH={PASSWORD}", container, "redis-cli")
    eventually(lambda: docker(*ping, "ping", check=False).strip() == "PONG", container)
    assert docker(*ping, "xadd", "events:materials", "1-1", "a", "b").strip() == "1-1"
    assert "NOAUTH" in docker("exec", container, "redis-cli", "get", "x")


def test_nginx_serves_port_80_without_root_and_logs_to_stdout(run: Run, tmp_path: Path) -> None:
    (tmp_path / "site.conf").write_text("server { listen 80; location / { return 200 'hello\\n'; } }\n")
    container = run(
        *("nginx", "101:101", "--tmpfs", "/tmp", "--tmpfs", "/var/cache/nginx:uid=101,gid=101"),
        *("--volume", f"{tmp_path}:/etc/nginx/conf.d:ro"),
    )
    eventually(lambda: "hello" in serves(container, 80), container)
    assert '"GET / HTTP/1.0" 200' in docker("logs", container)
    docker("stop", "--time", "10", container)
    assert docker("inspect", "--format", "{{.State.ExitCode}}", container).strip() == "0"


def test_haproxy_runs_its_configuration_as_user_99(run: Run, tmp_path: Path) -> None:
    text = "defaults\n mode http\n timeout client 5s\n timeout server 5s\n timeout connect 5s\n"
    text += "frontend f\n bind :8000\n http-request return status 200 content-type text/plain string here\n"
    (tmp_path / "haproxy.cfg").write_text(text)
    container = run("haproxy", "99:99", "--volume", f"{tmp_path}:/usr/local/etc/haproxy:ro")
    eventually(lambda: serves(container, 8000).endswith("here"), container)


def test_apt_works_in_an_image_with_the_machines_own_sources() -> None:
    image = build_image("base", default_cache(), print)
    shown = docker(
        "run", "--rm", "--network", "host", image, "sh", "-c", "apt-get update -qq && apt-cache policy hello"
    )
    assert "Candidate: (none)" not in shown
    assert "Candidate:" in shown


def test_a_second_build_builds_nothing_pushes_nothing_and_is_quick() -> None:
    first = build_all(default_cache(), print)
    lines: list[str] = []
    started = time.monotonic()
    second = build_all(default_cache(), lines.append)
    assert second == first
    assert lines == []
    assert time.monotonic() - started < 5
    for image in OWN_IMAGES.values():
        if image.published:
            tag = second.services[image.name].rpartition(":")[2]
            assert tag_link(default_cache() / "registry", image.name, tag).is_file()
