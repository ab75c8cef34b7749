"""Each service image starts without any network, as compose runs it: fixed user, read-only root, no capability."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localcloud.images.build import IMAGE_TABLE, Recipes, build_all, build_image, machine_recipes
from localcloud.images.push import tag_link

pytestmark = pytest.mark.real

START_TIMEOUT_S = 120.0
PASSWORD = "made-up-password-of-a-test"


def default_cache() -> Path:
    return Path(os.environ.get("BASECOMMERCE_CACHE", Path.home() / ".cache/basecommerce"))


def docker(*arguments: str, check: bool = True) -> str:
    run = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=120)
    if check:
        assert run.returncode == 0, f"{arguments}: {run.stdout}{run.stderr}"
    return run.stdout + run.stderr


def eventually(check: Callable[[], bool], container: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not check():
        assert time.monotonic() < deadline, docker("logs", container)
        time.sleep(0.2)


@pytest.fixture(scope="session")
def recipes() -> Recipes:
    return machine_recipes()


@pytest.fixture(autouse=True)
def readable(tmp_path: Path) -> None:
    """Let a container's user enter what a test mounts."""
    tmp_path.chmod(0o755)


@pytest.fixture
def run(recipes: Recipes) -> Iterator[Callable[..., str]]:
    """Start a container of an image as compose would: (image, user, options..., command=...)."""
    names: list[str] = []

    def start(image: str, user: str, *options: str, command: tuple[str, ...] = (), read_only: bool = True) -> str:
        build_image(image, default_cache(), print)
        names.append(f"imgt-{uuid.uuid4().hex[:8]}")
        strict = ("--read-only",) if read_only else ()
        docker(
            *("run", "--detach", "--name", names[-1], "--network", "none", "--user", user, *strict),
            *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", *options),
            *(recipes.reference(image), *command),
        )
        return names[-1]

    yield start
    for name in names:
        docker("rm", "--force", "--volumes", name, check=False)


def serves(container: str, port: int, path: str = "/") -> str:
    """Ask from inside the container, with bash alone; answers the status line and the rest."""
    script = f"exec 3<>/dev/tcp/127.0.0.1/{port}; printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"
    return docker("exec", container, "bash", "-c", script, check=False)


POSTGRES_OPTIONS = (
    *("--env", "POSTGRES_USER=basecommerce", "--env", "POSTGRES_DB=basecommerce"),
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
    login = f"postgresql://basecommerce:{password}@127.0.0.1/basecommerce"
    return docker("exec", container, "psql", "-X", "-A", "-t", login, "-c", sql, check=check).strip()


def postgres_is_ready(container: str) -> Callable[[], bool]:
    probe = ("exec", container, "pg_isready", "--host=127.0.0.1", "--username=basecommerce")
    return lambda: "accepting" in docker(*probe, check=False)


def test_postgres_makes_its_database_once_and_keeps_it(run: Callable[..., str], tmp_path: Path) -> None:
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


def test_postgres_that_was_killed_in_its_first_start_begins_again(run: Callable[..., str], tmp_path: Path) -> None:
    folder = postgres_folder(tmp_path)
    unfinished = tmp_path / "data/.unfinished"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("17\n")
    os.chown(unfinished, 999, 999)
    container = run("postgres", "999:999", *POSTGRES_OPTIONS, *folder)
    eventually(postgres_is_ready(container), container)
    assert query(container, "SELECT count(*) FROM made_by_script") == "0"
    assert not unfinished.exists()


def test_postgres_refuses_an_empty_password(run: Callable[..., str]) -> None:
    container = run("postgres", "999:999", read_only=False)
    docker("wait", container)
    assert "POSTGRES_PASSWORD: empty" in docker("logs", container)


def test_redis_runs_a_mounted_configuration_as_its_own_user(run: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "redis.conf").write_text(f"requirepass {PASSWORD}\nappendonly yes\ndir /data\n")
    container = run(
        *("redis", "999:999", "--tmpfs", "/data:uid=999,gid=999"),
        *("--volume", f"{tmp_path}:/etc/basecommerce:ro"),
        command=("redis-server", "/etc/basecommerce/redis.conf"),
    )
    ping = ("exec", "--env", f"REDISCLI_AUTH={PASSWORD}", container, "redis-cli")
    eventually(lambda: docker(*ping, "ping", check=False).strip() == "PONG", container)
    assert docker(*ping, "xadd", "events:materials", "1-1", "a", "b").strip() == "1-1"
    assert "NOAUTH" in docker("exec", container, "redis-cli", "get", "x")


def test_nginx_serves_port_80_without_root_and_logs_to_stdout(run: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "site.conf").write_text("server { listen 80; location / { return 200 'hello\\n'; } }\n")
    container = run(
        *("nginx", "101:101", "--tmpfs", "/tmp", "--tmpfs", "/var/cache/nginx:uid=101,gid=101"),
        *("--volume", f"{tmp_path}:/etc/nginx/conf.d:ro"),
    )
    eventually(lambda: "hello" in serves(container, 80), container)
    assert '"GET / HTTP/1.0" 200' in docker("logs", container)
    docker("stop", "--time", "10", container)
    assert docker("inspect", "--format", "{{.State.ExitCode}}", container).strip() == "0"


def test_haproxy_runs_its_configuration_as_user_99(run: Callable[..., str], tmp_path: Path) -> None:
    text = "defaults\n mode http\n timeout client 5s\n timeout server 5s\n timeout connect 5s\n"
    text += "frontend f\n bind :8000\n http-request return status 200 content-type text/plain string here\n"
    (tmp_path / "haproxy.cfg").write_text(text)
    container = run("haproxy", "99:99", "--volume", f"{tmp_path}:/usr/local/etc/haproxy:ro")
    eventually(lambda: serves(container, 8000).endswith("here"), container)


@pytest.mark.parametrize(
    ("image", "module", "port"), [("auth", "auth_app", 8001), ("construction", "construction_app", 8000)]
)
def test_an_application_answers_health_without_database_or_network(
    run: Callable[..., str], tmp_path: Path, image: str, module: str, port: int
) -> None:
    settings = (
        "DATABASE_URL='postgresql+psycopg2://u:p@127.0.0.1:1/d'\nSECRET_KEY='a-made-up-key-of-32-characters-here'\n"
    )
    (tmp_path / "env").write_text(settings)
    server = f"exec uvicorn {module}.main:app --host 0.0.0.0 --port {port}"
    container = run(
        *(image, "10001:10001", "--tmpfs", "/tmp", "--tmpfs", "/app/logs:uid=10001,gid=10001"),
        *("--volume", f"{tmp_path}/env:/run/secrets/env:ro"),
        command=("sh", "-c", f"set -a; . /run/secrets/env; {server}"),
    )
    eventually(lambda: '"status":"ok"' in serves(container, port, "/health"), container)
    assert "HTTP" in docker("exec", container, "curl", "--silent", "--include", f"http://127.0.0.1:{port}/health")


def test_construction_brings_the_migrations_and_the_clients_of_postgresql(recipes: Recipes) -> None:
    image = build_image("construction", default_cache(), print)
    shown = docker(
        "run", "--rm", "--network", "none", image, "sh", "-c", "pwd; ls; psql --version; pg_isready --version"
    )
    assert {"/app", "alembic", "alembic.ini", "src"} <= set(shown.split())
    assert shown.count("PostgreSQL) 17") == 2


def test_apt_works_in_an_image_with_the_machines_own_sources(recipes: Recipes) -> None:
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
    for image in IMAGE_TABLE.values():
        if image.published:
            tag = second.tag if image.application else second.services[image.name].rpartition(":")[2]
            assert tag_link(default_cache() / "registry", image.name, tag).is_file()
