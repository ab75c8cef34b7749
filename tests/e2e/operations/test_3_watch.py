"""A version that fails after it has begun to serve goes back by itself, also when nobody is there any more."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.shopping import Shopping
from tests.e2e.stack import STACK, LocalStack

pytestmark = pytest.mark.real

WATCH_S = 20
GOOD_S = 15
"""After its start, which is proven within a few seconds."""
SETTLED_S = 90
FAULTY = f"""
import time
from construction_app.main import app as good
BEGAN = time.monotonic()

async def app(scope, receive, send):
    if scope["type"] == "http" and time.monotonic() - BEGAN > {GOOD_S} and scope["path"] != "/health":
        await send({{"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"0")]}})
        await send({{"type": "http.response.body", "body": b""}})
    else:
        await good(scope, receive, send)
"""
ARMED = "cat /opt/basecommerce/vertical/armed 2>/dev/null || true"


@pytest.fixture
def watched(stack: LocalStack) -> Iterator[LocalStack]:
    """Watch releases for longer than local stacks do; the tree is as before in the end."""
    files = [stack.root / "Pulumi.local.yaml", stack.root / "compose/vertical/compose.yaml"]
    texts = [file.read_text() for file in files]
    files[0].write_text(texts[0].replace("release_watch_seconds: 5", f"release_watch_seconds: {WATCH_S}"))
    assert files[0].read_text() != texts[0]
    yield stack
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    (stack.root / "compose/vertical/construction/faulty.py").unlink(missing_ok=True)
    stack.up()


def serving(stack: LocalStack) -> str:
    """Return the id of construction's container that serves."""
    return stack.inside(
        "vertical", f"docker inspect --format '{{{{.Id}}}}' {stack.serving('vertical', 'construction')}"
    )


def break_after_a_while(stack: LocalStack) -> None:
    """Let construction answer with 500 some seconds after its start."""
    (stack.root / "compose/vertical/construction/faulty.py").write_text(FAULTY)
    compose = stack.root / "compose/vertical/compose.yaml"
    text = compose.read_text()
    compose.write_text(
        text.replace("uvicorn construction_app.main:app", "uvicorn --app-dir /etc/basecommerce faulty:app")
    )
    assert compose.read_text() != text


def test_a_version_that_fails_after_a_while_goes_back(watched: LocalStack) -> None:
    before = serving(watched)
    break_after_a_while(watched)
    with Shopping(watched) as shopping:
        output = watched.basec("up", "--env", STACK, expect=1)
        failed = len(shopping.bad)
        time.sleep(5)
    assert serving(watched) == before
    assert failed > 2, "it served, and failed"
    assert shopping.bad[failed:] == [], "the version before serves"
    assert {line.rpartition(" ")[2] for line in shopping.bad} == {"500"}
    screen = output[output.rindex("\nbasec: ") :].splitlines()
    assert any("answers were errors (5xx)" in line or "probes in a row failed" in line for line in screen), screen
    assert any(line.startswith("  the previous release serves again") for line in screen)


def test_an_activation_that_is_killed_in_its_watch_goes_back_without_anybody(watched: LocalStack) -> None:
    before, file = serving(watched), watched.root / "compose/vertical/construction/health.py"
    text = file.read_text()
    file.write_text(f"{text}# edited\n")
    try:
        with ThreadPoolExecutor(max_workers=1) as pool:
            running = pool.submit(watched.basec, "up", "--env", STACK, expect=1)
            since = f"@{int(time.time())}"
            journal = f"journalctl -t release.py --since {since} -o cat"
            while "watches construction-" not in watched.inside("vertical", journal):
                assert not running.done(), running.result()
                time.sleep(0.5)
            assert serving(watched) != before
            watched.inside("vertical", "pkill -KILL -f 'release.py activate'")
            killed = time.monotonic()
            running.result()
        while watched.inside("vertical", ARMED) or serving(watched) != before:
            assert time.monotonic() - killed < SETTLED_S, watched.inside("vertical", journal)
            time.sleep(1)
        assert "was not decided on, and nobody works on it: goes back" in watched.inside("vertical", journal)
    finally:
        file.write_text(text)
