"""A throw-away PostgreSQL for the applications' tests, and clients of both applications on it.

The server listens on a unix socket in a temporary directory only, so it meets no other server.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp

import bcrypt
import pytest
from auth_app.app import create_app as create_auth
from auth_app.settings import Settings as AuthSettings
from construction_app.app import create_app as create_construction
from construction_app.settings import Settings as ConstructionSettings
from engines_worker.settings import Settings as EnginesSettings
from engines_worker.worker import Worker
from fastapi.testclient import TestClient
from outbox_relay.relay import Relay
from pydantic import SecretStr
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine, create_engine, text

from tests.services import servers
from tests.services.postgres_support import SUPERUSER, running_postgres
from tests.services.reference_apps.shop import SECRET_KEY, Shop

CONSTRUCTION = Path(__file__).parents[3] / "reference_apps/construction"
START_TIMEOUT_S = 30

# A database's name to its URL on the throw-away server.
Urls = Callable[[str], str]


@pytest.fixture(scope="session")
def urls() -> Iterator[Urls]:
    # The zone as shipped: a time without a zone is hours off unless the session says UTC.
    with running_postgres(timezone="America/Sao_Paulo") as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGTZ", "UTC")  # as the compose files give it to every application
        yield lambda database: f"postgresql+psycopg2://{SUPERUSER}@/{database}?host={server.directory}"


@pytest.fixture(scope="session")
def new_database(urls: Urls) -> Callable[[], str]:
    """Make an empty database and return its URL."""

    def create() -> str:
        name = f"test_{uuid.uuid4().hex[:8]}"
        engine = create_engine(urls("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return urls(name)

    return create


Alembic = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def alembic() -> Alembic:
    """Run alembic as the one-off container does: in the directory of alembic.ini, settings by environment."""

    def run(database_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{CONSTRUCTION / 'src'}:{CONSTRUCTION.parent / 'common'}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "DATABASE_URL": database_url,
            "SECRET_KEY": SECRET_KEY,
        }
        command = [sys.executable, "-m", "alembic", *arguments]
        return subprocess.run(command, cwd=CONSTRUCTION, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def database_url(new_database: Callable[[], str], alembic: Alembic) -> str:
    """Return the URL of a migrated database that all tests share; each test makes its own tenant."""
    url = new_database()
    result = alembic(url, "upgrade", "head")
    assert result.returncode == 0, result.stderr
    return url


@pytest.fixture(scope="session")
def database(database_url: str) -> Iterator[Engine]:
    engine = create_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """Start a throw-away Redis on a unix socket and give its URL."""
    program = servers.redis()
    assert program
    directory = Path(mkdtemp(prefix="basecommerce-redis-"))
    path = directory / "redis.sock"
    server = subprocess.Popen(
        [program, "--port", "0", "--unixsocket", path, "--save", "", "--dir", directory], stdout=subprocess.DEVNULL
    )
    url = f"unix://{path}"
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            with contextlib.suppress(RedisError), Redis.from_url(url) as client:
                client.ping()
                break
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"Redis did not start within {START_TIMEOUT_S} s")
            time.sleep(0.05)
        yield url
    finally:
        server.terminate()
        server.wait(10)
        shutil.rmtree(directory)


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    """Yield an empty Redis."""
    with Redis.from_url(redis_url, decode_responses=True) as client:
        client.flushall()
        yield client


@pytest.fixture
def new_shop(database: Engine) -> Callable[[], Shop]:
    def create() -> Shop:
        slug = f"shop-{uuid.uuid4().hex[:12]}"
        email, password = f"admin@{slug}.com.br", "correct horse"
        # The lowest cost: the tests of the cost itself make their own hashes.
        password_hash = bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=4)).decode()
        with database.begin() as connection:
            tenant_id = connection.scalar(
                text("INSERT INTO tenants (nome, slug, email) VALUES (:nome, :slug, :email) RETURNING id"),
                {"nome": f"Loja {slug}", "slug": slug, "email": email},
            )
            user_id = connection.scalar(
                text(
                    "INSERT INTO users (tenant_id, nome, email, password_hash, role)"
                    " VALUES (:tenant_id, 'Admin', :email, :password_hash, 'admin') RETURNING id"
                ),
                {"tenant_id": tenant_id, "email": email, "password_hash": password_hash},
            )
        assert isinstance(tenant_id, uuid.UUID)
        assert isinstance(user_id, uuid.UUID)
        return Shop(id=tenant_id, slug=slug, nome=f"Loja {slug}", email=email, password=password, user_id=user_id)

    return create


@pytest.fixture
def shop(new_shop: Callable[[], Shop]) -> Shop:
    return new_shop()


@pytest.fixture
def auth_settings(database_url: str) -> AuthSettings:
    return AuthSettings(database_url=SecretStr(database_url), secret_key=SecretStr(SECRET_KEY))


@pytest.fixture
def auth(auth_settings: AuthSettings) -> Iterator[TestClient]:
    with TestClient(create_auth(auth_settings), follow_redirects=False) as client:
        yield client


@pytest.fixture
def construction(database_url: str) -> Iterator[TestClient]:
    settings = ConstructionSettings(database_url=SecretStr(database_url), secret_key=SecretStr(SECRET_KEY))
    with TestClient(create_construction(settings), follow_redirects=False) as client:
        yield client


@pytest.fixture
def token(auth: TestClient, shop: Shop) -> str:
    """Return a token as auth issues it: what construction is tested with."""
    credentials = {"email": shop.email, "password": shop.password, "tenant_slug": shop.slug}
    access_token: str = auth.post("/login", json=credentials).json()["access_token"]
    return access_token


@pytest.fixture
def no_events_of_other_tests(database: Engine) -> None:
    """The relay sends whatever it finds, so tests must not find each other's rows."""
    with database.begin() as connection:
        connection.execute(text("DELETE FROM event_outbox"))


@pytest.fixture
def relay(database: Engine, redis: Redis) -> Relay:
    return Relay(engine=database, redis=redis, batch_size=100, max_len=1000)


@pytest.fixture
def undecoded(redis: Redis, redis_url: str) -> Iterator[Redis]:
    """Yield the emptied Redis by a client that leaves answers as bytes, as the worker's own does."""
    assert redis
    with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def worker(database: Engine, undecoded: Redis, database_url: str) -> Worker:
    settings = EnginesSettings(
        database_url=SecretStr(database_url),
        secret_key=SecretStr(SECRET_KEY),
        engines_consumer_name="engines-1",
        engines_block_ms=10,
    )
    worker = Worker(engine=database, redis=undecoded, settings=settings)
    worker.make_group()
    return worker
