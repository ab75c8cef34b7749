"""What release.py really prints when it fails, and what `basec` finds in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from basec.engine.release_words import Words, decisive, read
from tests.unit.release_support import Droplet
from topology.fleet import tiers

TIERS = tiers(Path(__file__).parents[2])
ENDED = "the command ended with exit code 1"
HAPROXY = [
    "[NOTICE] (1) : haproxy version is 3.2.4",
    "[ALERT] (1) : config : parsing [/usr/local/etc/haproxy/haproxy.cfg:62] : unknown keyword 'this' in 'backend'",
    "[ALERT] (1) : config : Error(s) found in configuration file : /usr/local/etc/haproxy/haproxy.cfg",
    "[ALERT] (1) : config : Fatal errors found in configuration.",
]
TRACEBACK = [
    "Traceback (most recent call last):",
    '  File "/usr/lib/python3.13/runpy.py", line 198, in _run_module_as_main',
    "ModuleNotFoundError: No module named 'outbox_relay.mainx'",
]
COMPOSE = " Container vertical-haproxy-1  Started\ncontainer vertical-haproxy-1 is restarting\n"


def new(droplet: Droplet) -> str:
    return droplet.digest("2")


def fails(droplet: Droplet, capsys: pytest.CaptureFixture[str], tag: str = "2", **changes: Any) -> Words:
    """Let an activation fail, and read what it said."""
    capsys.readouterr()
    assert droplet.activate(tag, **changes) == 1
    return read(capsys.readouterr().err.splitlines(), ENDED, TIERS)


def test_a_service_that_never_gets_healthy_is_named_with_its_line_once(
    vertical: Droplet, capsys: pytest.CaptureFixture[str]
) -> None:
    vertical.activate("1")
    old = vertical.state()[0]["digest"][:12]
    vertical.answer(f"{new(vertical)}.* ps -a --format json", stdout=vertical.ps(haproxy=("restarting", "")))
    vertical.answer(f"{new(vertical)}.* up ", rc=1, stderr=COMPOSE)
    vertical.answer("logs", stdout="\n".join(HAPROXY * 6))
    assert fails(vertical, capsys) == Words(
        service="haproxy",
        what="restarting",
        line=HAPROXY[1],
        count=5,
        serves=f"the previous release serves again ({old})",
        is_release=True,
    )


NO_SERVER = [
    "[WARNING]  (1) : Server construction/construction is DOWN, reason: Layer4 connection problem, 0 active servers.",
    "[ALERT]    (1) : backend 'construction' has no server available!",
]


@pytest.mark.parametrize("condition", [("restarting", ""), ("running", "unhealthy")])
def test_who_only_waits_for_the_failed_service_is_not_named(
    vertical: Droplet, capsys: pytest.CaptureFixture[str], condition: tuple[str, str]
) -> None:
    vertical.activate("1")
    sick = vertical.ps(construction=condition, haproxy=("running", "unhealthy"))
    vertical.answer(f"{new(vertical)}.* ps -a --format json", stdout=sick)
    vertical.answer(f"{new(vertical)}.* up ", rc=1, stderr=COMPOSE)
    vertical.answer("logs .*construction", stdout='ERROR:    Could not import module "app".\n')
    vertical.answer("docker inspect", stdout="URLError: <urlopen error [Errno 111] Connection refused>\n")
    vertical.answer("logs .*haproxy", stdout="\n".join(NO_SERVER))
    words = fails(vertical, capsys)
    assert (words.service, words.line) == ("construction", 'ERROR: Could not import module "app".')


def test_of_a_first_release_nothing_is_left_to_serve(vertical: Droplet, capsys: pytest.CaptureFixture[str]) -> None:
    vertical.answer("ps -a --format json", stdout=vertical.ps(construction=("running", "unhealthy")))
    vertical.answer(" up ", rc=1, stderr="container vertical-construction-1 is restarting\n")
    vertical.answer("logs", stdout="INFO: started\n")
    vertical.answer("docker inspect", stdout="curl: (7) Failed to connect to localhost port 8000\n")
    words = fails(vertical, capsys, "1")
    assert (words.service, words.what) == ("construction", "running unhealthy")
    assert words.line == "curl: (7) Failed to connect to localhost port 8000", "the health check, if the log is silent"
    assert words.serves == "nothing serves there: this was its first release"


def test_a_migration_that_fails_is_named_though_another_service_is_unhealthy(
    infra: Droplet, capsys: pytest.CaptureFixture[str]
) -> None:
    infra.activate("1")
    infra.answer(f"{new(infra)}.* ps -a --format json", stdout=infra.ps(redis=("running", "unhealthy")))
    infra.answer("logs", stdout="Warning: no config file\n")
    infra.answer(f"{new(infra)}.* run .*migrate$", rc=1, stderr="\n".join(TRACEBACK))
    words = fails(infra, capsys)
    assert (words.service, words.line) == ("migrate", TRACEBACK[-1])
    assert words.what.endswith("migrate: exit code 1")
    assert words.serves.startswith("the previous release serves again")


def test_a_missing_image_is_reported_with_nothing_touched(
    vertical: Droplet, capsys: pytest.CaptureFixture[str]
) -> None:
    vertical.activate("1")
    vertical.answer("image inspect", rc=1)
    vertical.answer("docker pull --quiet registry.example/haproxy", rc=1, stderr="manifest unknown: sha-abcdef1\n")
    words = fails(vertical, capsys)
    assert (words.service, words.line) == ("haproxy", "manifest unknown: sha-abcdef1")
    assert words.serves == "nothing that runs there was touched"


def test_a_failed_return_to_the_previous_release_is_reported(
    vertical: Droplet, capsys: pytest.CaptureFixture[str]
) -> None:
    vertical.activate("1")
    vertical.answer(" up ", rc=1, stderr="Error response from daemon: no space left on device\n")
    words = fails(vertical, capsys)
    assert words.line == "Error response from daemon: no space left on device"
    assert words.serves == "the previous release could not be restored: the host may serve nothing"


def test_a_hint_of_its_own_is_kept_and_one_that_points_above_is_not(
    vertical: Droplet, capsys: pytest.CaptureFixture[str]
) -> None:
    (vertical.home).mkdir(parents=True, exist_ok=True)
    assert fails(vertical, capsys, address="192.0.2.1").hint not in ("", "the lines above say why")
    vertical.answer(" up ", rc=1)
    assert fails(vertical, capsys).hint == ""


def test_output_that_lost_its_first_lines_is_still_read() -> None:
    words = read(
        [f"  log: {line}" for line in HAPROXY] + ["release: vertical: 2f0b182b5df5: not activated"], ENDED, TIERS
    )
    assert (words.what, words.line) == (ENDED, HAPROXY[1])


@pytest.mark.parametrize(
    ("lines", "what", "line"),
    [
        (["cloud-init finished with warnings", "error: no user basec"], "no user basec", ""),
        (["+ ufw --force delete", "ERROR: Invalid syntax"], ENDED, "ERROR: Invalid syntax"),
        (
            [*TRACEBACK[:2], "json.decoder.JSONDecodeError: Expecting value"],
            ENDED,
            "json.decoder.JSONDecodeError: Expecting value",
        ),
        ([], ENDED, ""),
    ],
)
def test_of_another_script_its_own_error_counts(lines: list[str], what: str, line: str) -> None:
    words = read(lines, ENDED, TIERS)
    assert (words.what, words.line, words.serves, words.is_release) == (what, line, "", False)


@pytest.mark.parametrize(
    ("log", "line", "count"),
    [
        (
            [
                '2026/11/28 22:58:28 [emerg] 1#1: unknown directive "bogus" in /etc/nginx/nginx.conf:12',
                'nginx: [emerg] unknown directive "bogus" in /etc/nginx/nginx.conf:12',
                '2026/11/28 22:58:29 [emerg] 7#7: unknown directive "bogus" in /etc/nginx/nginx.conf:12',
            ],
            '[emerg] 1#1: unknown directive "bogus" in /etc/nginx/nginx.conf:12',
            3,
        ),
        (
            [
                "2026-11-28 22:58:28.123 UTC [1] LOG:  starting PostgreSQL 17.6",
                "2026-11-28 22:58:28.125 UTC [1] FATAL:  data directory has wrong ownership",
            ],
            "[1] FATAL: data directory has wrong ownership",
            1,
        ),
        (HAPROXY[2:] + HAPROXY, HAPROXY[1], 1),
        (["ERROR:    Application startup failed. Exiting.", *TRACEBACK], TRACEBACK[-1], 1),
        (["all is well", "bye"], "all is well", 1),
    ],
    ids=["nginx", "postgres", "a cut cycle", "uvicorn", "nothing telling"],
)
def test_the_line_that_tells_most_is_given_once_with_its_count(log: list[str], line: str, count: int) -> None:
    assert decisive(log) == (line, count)
