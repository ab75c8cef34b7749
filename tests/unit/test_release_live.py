"""A service that reads its files again gets a signal instead of a new container, forth and back."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime

import pytest

from tests.unit.release_support import Droplet, containers, mode

CONTAINER = "c0ffee000001"


@pytest.fixture
def edge(edge: Droplet, monkeypatch: pytest.MonkeyPatch) -> Droplet:
    """The edge with its first release active, and nginx running since a minute before."""
    monkeypatch.setattr(containers, "RELOAD_WAIT", 0.3)
    runs(edge, started=datetime.now(UTC).timestamp() - 60)
    assert edge.activate(extra={"nginx/nginx.conf": "1"}) == 0
    edge.calls()
    return edge


def runs(droplet: Droplet, started: float, container: str = CONTAINER) -> None:
    """Let nginx run as this container, and take each signal: another process is there after it."""
    since = datetime.fromtimestamp(started, UTC).isoformat().replace("+00:00", "123Z")
    droplet.answer("ps -q nginx", stdout=f"{container}\n")
    droplet.answer("inspect --format {{.State.Pid}}", stdout=f"100 {since}\n")
    takes_signals(droplet)


def takes_signals(droplet: Droplet) -> None:
    droplet.answer(" top ", stdout="PID PPID\n100 99\n102 100\n")
    droplet.answer(" top ", stdout="PID PPID\n100 99\n101 100\n", times=1)


def read(droplet: Droplet) -> str:
    """Return what nginx would read now."""
    return str((droplet.home / "live/nginx/current/nginx.conf").read_text())


def signals(calls: list[str]) -> list[str]:
    return [call for call in calls if call.startswith("docker kill")]


HUP = f"docker kill --signal HUP {CONTAINER}"


def test_a_changed_file_is_read_again_by_the_same_container(edge: Droplet) -> None:
    takes_signals(edge)
    assert edge.activate(extra={"nginx/nginx.conf": "2"}) == 0
    assert read(edge) == "2"
    steps = edge.steps()
    assert signals(steps) == [HUP]
    up = next(n for n, step in enumerate(steps) if " up " in step)
    assert up < steps.index(HUP), "a container that is made anew needs no signal"
    assert edge.variables()["NGINX_LIVE"] == str(edge.home / "live/nginx"), "compose sees no difference"


def test_a_changed_secret_is_read_again(edge: Droplet) -> None:
    takes_signals(edge)
    secrets = {
        "app.env": {"content": "", "uid": os.getuid(), "gid": os.getgid()},
        "origin.key": {"content": "another key", "uid": os.getuid(), "gid": os.getgid()},
    }
    assert edge.activate(extra={"nginx/nginx.conf": "1"}, secrets=secrets) == 0
    assert signals(edge.steps()) == [HUP]
    key = edge.home / "live/nginx/current/secrets/origin.key"
    assert (key.read_text(), mode(key)) == ("another key", 0o400)
    assert mode(edge.home / "live") == 0o700
    assert list((edge.home / "secrets").glob("origin.key*")) == [], "a secret lies in one place"


def test_what_did_not_change_is_not_read_again(edge: Droplet) -> None:
    assert edge.activate("2", extra={"nginx/nginx.conf": "1"}) == 0
    assert signals(edge.steps()) == []
    assert edge.activate("2", extra={"nginx/nginx.conf": "1"}) == 0
    assert signals(edge.steps()) == []


def test_a_new_container_has_read_when_it_started(edge: Droplet) -> None:
    runs(edge, started=datetime.now(UTC).timestamp() + 60, container="c0ffee000002")
    assert edge.activate(extra={"nginx/nginx.conf": "2"}) == 0
    assert signals(edge.steps()) == []


def test_a_release_that_fails_goes_back_by_a_signal(edge: Droplet) -> None:
    takes_signals(edge)
    edge.answer("up -d --wait", rc=1, stderr="no space left", times=1)
    assert edge.activate(extra={"nginx/nginx.conf": "2"}) == 1
    assert read(edge) == "1"
    assert signals(edge.steps()) == [HUP], "the link was switched, so nginx may have read it"


def test_a_server_that_takes_nothing_new_fails_the_release(edge: Droplet, capsys: pytest.CaptureFixture[str]) -> None:
    edge.answer(" top ", stdout="PID PPID\n100 99\n101 100\n")
    edge.answer("logs --no-color .*--tail 5 nginx", stdout="[emerg] host not found\n")
    assert edge.activate(extra={"nginx/nginx.conf": "2"}) == 1
    said = capsys.readouterr().err
    assert "edge: nginx: has not read its new configuration after 0.3 s\n  [emerg] host not found" in said
    assert read(edge) == "1"


@pytest.mark.parametrize("tag", ["1", "3"])
def test_what_a_killed_run_switched_is_switched_and_read_again(edge: Droplet, tag: str) -> None:
    """Killed between link and signal, or after it: nobody knows what nginx has read."""
    files = edge.home / "live/nginx"
    (files / "of-a-killed-run").mkdir()
    (files / "current").unlink()
    (files / "current").symlink_to("of-a-killed-run")
    takes_signals(edge)
    assert edge.activate(tag, extra={"nginx/nginx.conf": "1"}) == 0
    assert read(edge) == "1"
    assert signals(edge.steps()) == [HUP]


def test_start_reads_what_the_active_release_has(edge: Droplet) -> None:
    (edge.home / "live/nginx/current").unlink()
    (edge.home / "live/nginx/current").symlink_to("gone")
    takes_signals(edge)
    assert edge.run("start", "edge") == 0
    assert read(edge) == "1"


def test_what_no_kept_release_reads_is_removed(edge: Droplet) -> None:
    for number in range(2, 7):
        takes_signals(edge)
        assert edge.activate(str(number), extra={"nginx/nginx.conf": str(number)}) == 0
    left = {path.name for path in (edge.home / "live/nginx").iterdir()} - {"current", "loaded"}
    assert len(left) == 3
    kept = [json.loads((edge.home / "state.json").read_text())["releases"][n]["hosts"] for n in range(3)]
    named = {
        line.partition("=")[2]
        for hosts in kept
        for line in (edge.home / f"hosts/{hosts}.env").read_text().splitlines()
        if line.startswith("NGINX_CURRENT=")
    }
    assert left == named


def test_a_message_names_the_file_without_its_hash(edge: Droplet, capsys: pytest.CaptureFixture[str]) -> None:
    takes_signals(edge)
    assert edge.activate("2", extra={"nginx/nginx.conf": "2"}) == 0
    current = edge.variables()["NGINX_CURRENT"]
    edge.answer(
        "-trial .* nginx ", rc=1, stderr=f"nginx: [emerg] unknown directive in /etc/nginx/{current}/nginx.conf:3"
    )
    assert edge.activate("3", extra={"nginx/nginx.conf": "2"}) == 1
    assert "  [emerg] unknown directive in /etc/nginx/nginx.conf:3\n" in capsys.readouterr().err
