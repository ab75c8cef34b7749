"""health.py of auth and construction, asked of the real applications: with the database, without it, and when dead."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from auth_app.app import create_app as create_auth
from auth_app.routers import login
from auth_app.settings import Settings as AuthSettings
from construction_app.app import create_app as create_construction
from construction_app.routers import web
from construction_app.settings import Settings as ConstructionSettings
from pydantic import SecretStr

from tests.services.nginx_support import free_port
from tests.services.reference_apps.shop import SECRET_KEY, Shop
from tests.services.reference_apps.test_demo_shop import served
from tests.unit.release_support import COMPOSE

WAITING: str = importlib.import_module("watchdog").WAITING
SCRIPTS = {
    "auth": (COMPOSE / "edge/auth/health.py", ":8001"),
    "construction": (COMPOSE / "vertical/construction/health.py", ":8000"),
}
NO_DATABASE = "postgresql+psycopg2://nobody@127.0.0.1:1/nothing"
Ports = dict[str, int]


def asked(service: str, port: int, database_url: str, *arguments: str, key: str = SECRET_KEY) -> tuple[int, str]:
    """Run a service's health.py as its container does; give exit code and what it printed."""
    script, own = SCRIPTS[service]
    environment = {"PATH": os.environ["PATH"], "DATABASE_URL": database_url, "SECRET_KEY": key}
    command = [sys.executable, "-c", script.read_text().replace(own, f":{port}"), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout.strip()


def serving(stack: ExitStack, url: str) -> Ports:
    auth = AuthSettings(database_url=SecretStr(url), secret_key=SecretStr(SECRET_KEY))
    construction = ConstructionSettings(database_url=SecretStr(url), secret_key=SecretStr(SECRET_KEY))
    return {
        "auth": stack.enter_context(served(create_auth(auth))),
        "construction": stack.enter_context(served(create_construction(construction))),
    }


@pytest.fixture
def ports(database_url: str) -> Iterator[Ports]:
    with ExitStack() as stack:
        yield serving(stack, database_url)


@pytest.mark.parametrize("service", SCRIPTS)
def test_with_its_database_it_is_well_and_shows_what_a_release_must(
    service: str, ports: Ports, database_url: str, shop: Shop
) -> None:
    assert shop.slug
    assert asked(service, ports[service], database_url) == (0, "ok")
    assert asked(service, ports[service], database_url, "release") == (0, "ok")


@pytest.mark.parametrize("service", SCRIPTS)
def test_without_its_database_it_says_what_it_waits_for_in_the_words_that_the_watchdog_knows(service: str) -> None:
    with ExitStack() as stack:
        code, said = asked(service, serving(stack, NO_DATABASE)[service], NO_DATABASE)
    assert code == 1
    assert said.startswith(WAITING)
    assert said.endswith(": 500")


@pytest.mark.parametrize("service", SCRIPTS)
def test_one_that_does_not_answer_waits_for_nobody(service: str) -> None:
    code, said = asked(service, free_port(), NO_DATABASE)
    assert code == 1
    assert "refused" in said
    assert not said.startswith(WAITING)


def test_a_login_page_that_does_not_render_is_no_release(
    ports: Ports, database_url: str, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shop.slug
    monkeypatch.setattr(login.templates, "TemplateResponse", lambda *_, **__: 1 / 0)
    assert asked("auth", ports["auth"], database_url) == (0, "ok")
    code, said = asked("auth", ports["auth"], database_url, "release")
    assert (code, said.endswith(": 500")) == (1, True)


def test_a_dashboard_that_does_not_render_is_no_release(
    ports: Ports, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web.templates, "TemplateResponse", lambda *_, **__: 1 / 0)
    assert asked("construction", ports["construction"], database_url) == (0, "ok")
    assert asked("construction", ports["construction"], database_url, "release") == (
        1,
        "/web/dashboard, logged in: 500",
    )


def test_another_key_of_tokens_than_the_applications_is_no_good_health(ports: Ports, database_url: str) -> None:
    code, said = asked("construction", ports["construction"], database_url, key="another-key-of-at-least-32-bytes")
    assert code == 1
    assert "401" in said
