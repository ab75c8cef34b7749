"""The second `up` changes nothing; an edit changes one tier; a wrong setting and a bad release change nothing."""

from __future__ import annotations

import time

import pytest

from tests import turns
from tests.e2e.asking import Asking
from tests.e2e.stack import STACK, TIERS, LocalStack, docker

pytestmark = pytest.mark.real

SHOP = "SELECT (SELECT count(*) FROM cotacoes), (SELECT count(*) FROM pedidos), (SELECT count(*) FROM event_outbox)"
FILES = "find /opt /etc -xdev -type f -printf '%p %T@ %s\\n' | sort"


def test_second_up_runs_no_command_and_touches_no_file(stack: LocalStack) -> None:
    containers = stack.container_ids()
    files = {droplet: stack.inside(droplet, FILES) for droplet in TIERS}
    events, shop = len(stack.journal()), stack.sql(SHOP)
    stack.up()
    assert stack.journal()[events:] == []
    assert stack.container_ids() == containers
    assert stack.sql(SHOP) == shop, "the demo shop is made once"
    assert {droplet: stack.inside(droplet, FILES) for droplet in TIERS} == files


def test_preview_of_the_unchanged_tree_finds_no_change(stack: LocalStack) -> None:
    events = len(stack.journal())
    stack.basec("preview", "--env", STACK)
    assert stack.journal()[events:] == []


@pytest.mark.parametrize(
    ("tier", "file", "edit"),
    [
        ("vertical", "haproxy/haproxy.cfg", ("maxconn 300", "maxconn 301")),
        (
            "edge",
            "nginx/nginx.conf",
            ("    add_header Referrer-Policy", '    add_header X-Edited "1" always;\n    add_header Referrer-Policy'),
        ),
    ],
)
def test_an_edit_of_one_tiers_file_is_read_by_the_same_container_and_no_request_fails(
    stack: LocalStack, tier: str, file: str, edit: tuple[str, str]
) -> None:
    before = stack.container_ids()
    events = len(stack.journal())
    config = stack.root / "compose" / tier / file
    text = config.read_text()
    assert edit[0] in text
    config.write_text(text.replace(*edit, 1))
    with Asking(stack) as visitor:
        stack.up()
    changed = [event for event in stack.journal()[events:] if event["op"] != "read"]
    assert [event["op"] for event in changed] == ["update"]
    assert f"activate {tier} " in changed[0]["text"]
    assert stack.container_ids() == before
    assert visitor.asked > 10
    assert visitor.bad == []


def test_what_was_edited_is_served(stack: LocalStack) -> None:
    assert stack.get("/health").all("X-Edited") == ["1"]
    shown = stack.inside("vertical", "docker top vertical-haproxy-1 -o pid,args | grep -c haproxy.cfg").strip()
    assert shown == "2", "the master process, and one worker: that of before has ended"


def test_a_wrong_setting_is_refused_in_five_seconds_before_anything_is_touched(stack: LocalStack) -> None:
    settings = stack.root / "Pulumi.local.yaml"
    text = settings.read_text()
    settings.write_text(text.replace("region: nyc3", "region: atlantis"))
    events = len(stack.journal())
    try:
        with turns.quiet():
            started = time.monotonic()
            output = stack.basec("up", "--env", STACK, expect=2)
            seconds = time.monotonic() - started
    finally:
        settings.write_text(text)
    assert seconds < 5
    assert "region" in output
    assert "atlantis" in output
    assert "hint:" in output
    assert "Traceback" not in output
    assert stack.journal()[events:] == []


@pytest.mark.parametrize(
    ("file", "line", "said"),
    [
        (
            "edge/nginx/nginx.conf",
            "bogus_directive on;",
            'unknown directive "bogus_directive" in /etc/nginx/nginx.conf',
        ),
        ("infra/redis/redis.conf", "maxmemory much", ">>> 'maxmemory much' argument must be a memory value"),
    ],
)
def test_a_configuration_that_its_own_service_refuses_touches_nothing_that_runs(
    stack: LocalStack, file: str, line: str, said: str
) -> None:
    config = stack.root / "compose" / file
    text, before = config.read_text(), stack.container_ids()
    config.write_text(f"{text}\n{line}\n")
    try:
        with Asking(stack) as visitor:
            output = stack.basec("up", "--env", STACK, expect=1)
    finally:
        config.write_text(text)
    tier, service, _ = file.split("/")
    screen = output[output.rindex("\nbasec: ") :].strip().splitlines()
    assert screen[1] == f"{tier}: {service}: refuses its new configuration"
    assert said in screen[2]
    assert screen[3:] == [
        "  nothing that runs there was touched",
        f"log: .basec/{STACK}/failed-run.log",
        f"hint: correct compose/{tier}/{service}/ and run the same command again",
    ]
    assert stack.container_ids() == before
    assert visitor.asked > 10
    assert visitor.bad == []


def test_a_release_that_never_gets_healthy_keeps_the_old_one_serving(stack: LocalStack) -> None:
    compose = stack.root / "compose/vertical/compose.yaml"
    text = compose.read_text()
    compose.write_text(text.replace("construction_app.main:app", "construction_app.gone:app"))
    assert compose.read_text() != text
    try:
        output = stack.outputs["failing up"] = stack.basec("up", "--env", STACK, expect=1)
    finally:
        compose.write_text(text)
    screen = output[output.rindex("\nbasec: ") :].strip().splitlines()
    assert len(screen) <= 10
    assert screen[1].startswith("vertical: construction: "), "the message names host and service"
    assert "construction_app.gone" in screen[2], "the message shows the decisive line of the service's log"
    assert output.count("construction_app.gone") == 1
    assert screen[3].startswith("  the previous release serves again")
    assert [line for line in screen if line.startswith("hint: ")] == screen[-1:]
    log = (stack.root / f".basec/{STACK}/failed-run.log").read_text()
    assert "release: vertical: construction: " in log
    assert "expected resource operations" not in output
    assert stack.get("/web/login").status == 302
    assert stack.get("/docs").status == 200
    # The same `up` with the file mended heals, by finding the release of before.
    stack.up()
    assert stack.get("/docs").status == 200


def test_a_second_version_and_an_own_image_run_like_any_other_tag_and_the_first_comes_back(stack: LocalStack) -> None:
    settings = stack.root / "Pulumi.local.yaml"
    image = docker("images", "--quiet", "localcloud/outbox-relay").split()[0]
    text, own = settings.read_text(), f"outbox-relay:own-{image}"
    docker("tag", image, own)
    stack.basec("images", "push", own, "--env", STACK)
    docker("image", "rm", own)
    services = f"services: {{relay: registry.localcloud.internal:80/{own}}}"
    settings.write_text(text.replace("tag: reference ", "tag: reference-v2 ").replace("services: {}", services))
    try:
        stack.up()
        assert "Aviso da loja: nenhum" in stack.get("/web/dashboard", Cookie=stack.cookie()).body
        assert stack.sql("SELECT version_num FROM alembic_version") == "0001_notices"
        images = stack.inside("infra", "docker ps --format '{{.Names}} {{.Image}}'")
        assert f"infra-relay-1 registry.localcloud.internal:80/{own}" in images.splitlines()
    finally:
        settings.write_text(text)
        stack.up()
    assert "Aviso da loja" not in stack.get("/web/dashboard", Cookie=stack.cookie()).body
    assert stack.sql("SELECT version_num FROM alembic_version") == "0001_notices", "migrations only expand"
