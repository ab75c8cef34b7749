"""A new version of both web applications takes over without a failed request; so does the old one, on its way back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.shopping import Shopping
from tests.e2e.stack import STACK, LocalStack

pytestmark = pytest.mark.real

SERVED = (("vertical", "construction"), ("edge", "auth"))
HELD_S = 12
"""How long a row is locked: a request for it is in flight from before the switch until after it."""


@pytest.fixture(scope="module")
def edited(stack: LocalStack) -> Iterator[list[Path]]:
    """Yield the files whose edit recreates both applications; they are as before in the end."""
    files = [stack.root / "compose" / tier / service / "health.py" for tier, service in SERVED]
    texts = [file.read_text() for file in files]
    yield files
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)


def serving(stack: LocalStack) -> dict[str, str]:
    """Return the id of the container that serves, by service."""
    return {
        service: stack.inside(tier, f"docker inspect --format '{{{{.Id}}}}' {stack.serving(tier, service)}").strip()
        for tier, service in SERVED
    }


def held(stack: LocalStack, cookie: str, answers: list[int]) -> threading.Thread:
    """Lock a customer's row, and change that customer meanwhile: the request waits for the row."""
    customer = stack.sql(
        "SELECT id FROM clientes WHERE tenant_id = (SELECT id FROM tenants WHERE slug = 'demo') LIMIT 1"
    )
    lock = f"BEGIN; UPDATE clientes SET cidade = cidade WHERE id = '{customer}'; SELECT pg_sleep({HELD_S}); COMMIT"  # noqa: S608
    threading.Thread(target=stack.sql, args=(lock,)).start()
    headers = {"Authorization": f"Bearer {cookie.removeprefix('access_token=')}", "Content-Type": "application/json"}

    def change() -> None:
        time.sleep(1)
        path, body = f"/api/v1/clientes/{customer}", '{"observacoes": "in flight"}'
        answers.append(stack.request("PUT", path, headers=headers, body=body, timeout_s=60).status)

    thread = threading.Thread(target=change)
    thread.start()
    return thread


def fronts(stack: LocalStack) -> dict[str, str]:
    """Return id and start of the servers before the applications."""
    form = "docker inspect --format '{{.Id}} {{.State.StartedAt}}' "
    names = (("vertical", "vertical-haproxy-1"), ("edge", "edge-haproxy-1"), ("edge", "edge-nginx-1"))
    return {name: stack.inside(tier, form + name) for tier, name in names}


def up_while_shopping(stack: LocalStack, expect: int = 0) -> Shopping:
    """Bring a change up; a request is in flight from before construction's switch until after it."""
    answers: list[int] = []
    with Shopping(stack) as shopping, ThreadPoolExecutor(max_workers=1) as pool:
        running = pool.submit(stack.up, expect)
        while (
            "blue" not in (names := stack.inside("vertical", "docker ps --format '{{.Names}}'")) or "green" not in names
        ):
            assert not running.done(), running.result()
            time.sleep(0.1)
        waiting = held(stack, shopping.cookie, answers)
        stack.outputs["colours"] = running.result()
        waiting.join()
    assert answers == [200], "the request in flight"
    assert shopping.bad == []
    assert min(shopping.asked[name] for name in ("dashboard", "tenant", "login page", "write", "login")) > 1
    assert shopping.counted() == (len(shopping.written), len(shopping.written)), "each is there, and once"
    return shopping


def test_a_new_version_takes_over_and_no_request_fails(stack: LocalStack, edited: list[Path]) -> None:
    before, there = serving(stack), fronts(stack)
    for file in edited:
        file.write_text(file.read_text() + "# edited\n")
    up_while_shopping(stack)
    after = serving(stack)
    assert all(after[service] != before[service] for service in before)
    assert fronts(stack) == there, "what stands before them goes on"
    for tier, _ in SERVED:
        assert stack.inside(tier, "docker ps --filter name=-blue- --filter name=-green- -q").count("\n") == 1
    stack.outputs["colours before"] = " ".join(before.values())


def test_a_restart_of_haproxy_and_of_docker_serves_the_same_colour(stack: LocalStack) -> None:
    before = serving(stack)
    for tier, _ in SERVED:
        stack.inside(tier, f"docker restart {tier}-haproxy-1")
    stack.smoke_until_green()
    stack.basec("compose", "restart", "vertical", "--env", STACK)
    stack.smoke_until_green()
    assert serving(stack) == before


def test_the_version_of_before_comes_back_in_the_containers_that_were_kept(
    stack: LocalStack, edited: list[Path]
) -> None:
    for file in edited:
        file.write_text(file.read_text().removesuffix("# edited\n"))
    up_while_shopping(stack)
    assert " ".join(serving(stack).values()) == stack.outputs["colours before"]


def test_a_version_that_shows_no_page_never_serves(stack: LocalStack, edited: list[Path]) -> None:
    before = serving(stack)
    shop = edited[0]
    text = shop.read_text()
    shop.write_text(text.replace("/web/dashboard", "/web/no-such-page"))
    assert shop.read_text() != text
    try:
        up_while_shopping(stack, expect=1)
    finally:
        shop.write_text(text)
    assert serving(stack) == before
    assert "vertical: construction: healthy, but: " in stack.outputs["colours"]
    stack.up()
    assert serving(stack) == before
