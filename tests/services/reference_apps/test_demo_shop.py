"""The demo tenant of a local stack: made once, and its sale goes the whole way, on real servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from auth_app.app import create_app as create_auth
from auth_app.settings import Settings as AuthSettings
from construction_app.app import create_app as create_construction
from construction_app.settings import Settings as ConstructionSettings
from engines_worker.settings import Settings as EnginesSettings
from engines_worker.worker import Worker
from fastapi import FastAPI
from outbox_relay.relay import Relay
from pydantic import SecretStr
from redis import Redis
from sqlalchemy import Engine, create_engine, text

from basec.hosts import demo_tenant
from basec.hosts.facts import Facts
from basec.hosts.http import ask, get
from basec.local.cloud import StandIn
from tests.services.nginx_support import running_edge
from tests.services.reference_apps.conftest import Alembic
from tests.services.reference_apps.shop import SECRET_KEY
from topology.errors import BasecommerceError

PASSWORD = 'it\'s a \\ "password" of $HOME %s'
HOST = "demo.localhost"
TABLES = ("tenants", "users", "clientes", "produtos", "cotacoes", "cotacao_itens", "pedidos", "pedido_itens")
START_S = 10


@pytest.fixture(scope="module")
def url(new_database: Callable[[], str], alembic: Alembic) -> str:
    """A database of this file's own: there is one demo tenant in each."""
    url = new_database()
    assert alembic(url, "upgrade", "head").returncode == 0
    return url


@pytest.fixture(autouse=True)
def platform(url: str) -> Iterator[Engine]:
    engine = create_engine(url)
    yield engine
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE tenants CASCADE"))
    engine.dispose()


def made(url: str) -> demo_tenant.Demo:
    """Run the program as the container does."""
    run = subprocess.run(
        [sys.executable, "-"],
        input=demo_tenant.program(PASSWORD),
        env={"PATH": os.environ["PATH"], "DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=True,
    )
    return demo_tenant.Demo(email=demo_tenant.EMAIL, password=PASSWORD, **json.loads(run.stdout))


def counts(database: Engine) -> dict[str, int]:
    with database.connect() as connection:
        return {table: connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0 for table in TABLES}  # noqa: S608 - our own names


def rows(database: Engine, query: str) -> list[Any]:
    with database.connect() as connection:
        return list(connection.execute(text(query)))


@contextmanager
def served(app: FastAPI) -> Iterator[int]:
    """Serve an application on loopback and give its port."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + START_S
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < deadline, f"uvicorn does not listen after {START_S} s"
            time.sleep(0.02)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def known(url: str, tmp_path: Path) -> Iterator[Facts]:
    """The edge, auth and construction, as the last `up` would have left them."""
    secrets = {"database_url": SecretStr(url), "secret_key": SecretStr(SECRET_KEY)}
    with ExitStack() as stack:
        auth = stack.enter_context(served(create_auth(AuthSettings(**secrets))))
        construction = stack.enter_context(served(create_construction(ConstructionSettings(**secrets))))
        edge = stack.enter_context(running_edge(tmp_path, auth, construction, domain="localhost"))
        stand_in = StandIn(http_port=edge.port, https_port=None, ca_file=tmp_path / "unused")
        yield Facts(environment="local", domain="localhost", stand_in=stand_in, hosts={})


def page_of_the_dashboard(known: Facts) -> str:
    """Log in by the form, as a person does."""
    form = f"email={demo_tenant.EMAIL}&password=" + "".join(f"%{byte:02x}" for byte in PASSWORD.encode())
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = ask(known, HOST, "POST", "/auth/login/form", headers=kind, body=form)
    assert answer.status == 302, answer
    return get(known, HOST, "/web/dashboard", {"Cookie": answer.header("Set-Cookie").split(";")[0]}).text


def handle_all(worker: Worker) -> None:
    answer: Any = worker.redis.xreadgroup("engines", "test", {"events:materials": ">"}, count=100)
    for _, messages in answer:
        worker.handle_all(messages)


def test_a_new_demo_shop_has_quotes_orders_customers_and_products(url: str, platform: Engine) -> None:
    assert made(url).to_sell
    assert counts(platform) == dict(zip(TABLES, (1, 1, 4, 6, 6, 9, 2, 3), strict=True))
    states = Counter(state for (state,) in rows(platform, "SELECT status FROM cotacoes"))
    assert states == {"rascunho": 1, "enviada": 2, "aprovada": 2, "cancelada": 1}
    assert rows(platform, "SELECT 1 FROM event_outbox") == [], "nothing was done that would have told of itself"


def test_its_times_and_amounts_agree(url: str, platform: Engine) -> None:
    made(url)
    assert rows(platform, "SELECT numero FROM cotacoes WHERE NOT created_at <= coalesce(enviada_em, created_at)") == []
    assert rows(platform, "SELECT numero FROM cotacoes WHERE NOT enviada_em <= coalesce(aprovada_em, now())") == []
    assert rows(platform, "SELECT numero FROM cotacoes WHERE (aprovada_em IS NULL) = (status = 'aprovada')") == []
    for lines, of in (("cotacao_itens", "cotacao_id"), ("pedido_itens", "pedido_id")):
        wrong = f"SELECT id FROM {lines} WHERE valor_total <> round(quantidade * preco_unitario, 2) OR {of} IS NULL"  # noqa: S608 - our own names
        assert rows(platform, wrong) == []
    empty = "SELECT numero FROM cotacoes WHERE NOT EXISTS (SELECT FROM cotacao_itens WHERE cotacao_id = cotacoes.id)"
    assert rows(platform, empty) == []


def test_one_question_tells_whether_there_is_anything_to_do(url: str, platform: Engine, known: Facts) -> None:
    def done() -> bool:
        return bool(rows(platform, demo_tenant.DONE)[0][0])

    assert not done()
    demo = made(url)
    assert not done(), "the sale waits"
    demo_tenant.sell(known, demo)
    assert done()
    with platform.begin() as connection:
        connection.execute(text("UPDATE pedidos SET status = 'pendente' WHERE cotacao_id IS NOT NULL"))
    assert not done(), "the order was not delivered"
    demo_tenant.sell(known, demo)
    with platform.begin() as connection:
        connection.execute(text("DELETE FROM users"))
    assert not done()


def test_made_again_it_adds_nothing_even_where_somebody_cleared_it(url: str, platform: Engine) -> None:
    made(url)
    before = counts(platform)
    assert made(url).to_sell
    assert counts(platform) == before
    with platform.begin() as connection:
        connection.execute(text("DELETE FROM cotacoes"))
    assert not made(url).to_sell
    assert counts(platform)["cotacoes"] == 0


def test_a_demo_tenant_of_before_gets_no_shop(url: str, platform: Engine) -> None:
    with platform.begin() as connection:
        connection.execute(text("INSERT INTO tenants (nome, slug, email) VALUES ('Mine', 'demo', 'me@example.com')"))
    assert not made(url).to_sell
    assert (counts(platform)["users"], counts(platform)["cotacoes"]) == (1, 0)


def test_the_sale_goes_by_edge_and_outbox_to_the_engines_and_shows_on_the_dashboard(
    url: str, platform: Engine, known: Facts, redis: Redis, undecoded: Redis
) -> None:
    demo = made(url)
    before = page_of_the_dashboard(known)
    assert ("COT-006" in before, "Alertas de estoque" in before) == (True, False)
    demo_tenant.sell(known, demo)
    events = rows(platform, "SELECT event_type FROM event_outbox ORDER BY event_type")
    assert [kind for (kind,) in events] == ["order_status_changed", "quote_converted", "sale_recorded"]
    assert rows(platform, "SELECT numero, status FROM pedidos ORDER BY numero")[-1] == ("PED-003", "entregue")

    settings = EnginesSettings(database_url=SecretStr(url), secret_key=SecretStr(SECRET_KEY))
    worker = Worker(engine=platform, redis=undecoded, settings=settings)
    worker.make_group()
    assert Relay(engine=platform, redis=redis, batch_size=100, max_len=1000).round() == 3
    handle_all(worker)
    assert len(rows(platform, "SELECT 1 FROM engine_sales_facts")) == 3
    page = page_of_the_dashboard(known)
    for words in ("Alertas de estoque", "Cimento CP II 50 kg", "Areia média", "convertida", "alto"):
        assert words in page
    assert "COT-001" not in page, "the five newest quotes"


def test_an_interrupted_sale_is_finished_by_the_next_up_and_never_made_twice(
    url: str, platform: Engine, known: Facts
) -> None:
    demo_tenant.sell(known, made(url))
    assert not made(url).to_sell
    with platform.begin() as connection:  # as after an order that was made, and not delivered
        connection.execute(text("UPDATE pedidos SET status = 'pendente' WHERE cotacao_id IS NOT NULL"))
    again = made(url)
    assert again.to_sell
    demo_tenant.sell(known, again)
    assert rows(platform, "SELECT status FROM pedidos WHERE cotacao_id IS NOT NULL") == [("entregue",)]
    assert not made(url).to_sell


def test_a_shop_that_refuses_is_named_with_its_answer(url: str, known: Facts) -> None:
    demo = demo_tenant.Demo(email=demo_tenant.EMAIL, password="wrong", to_sell=made(url).to_sell)
    with pytest.raises(BasecommerceError) as refusal:
        demo_tenant.sell(known, demo)
    assert refusal.value.render() == (
        'demo.localhost: POST /auth/login: got 401, expected 200: {"detail":"Invalid email or password"}\n'
        "hint: basec smoke --env local"
    )


def test_a_shop_that_does_not_answer_is_named(tmp_path: Path) -> None:
    stand_in = StandIn(http_port=1, https_port=None, ca_file=tmp_path)
    known = Facts(environment="local", domain="localhost", stand_in=stand_in, hosts={})
    with pytest.raises(BasecommerceError, match=r"^demo\.localhost: POST /auth/login: .*refused"):
        demo_tenant.sell(known, demo_tenant.Demo(email="", password="", to_sell=True))
