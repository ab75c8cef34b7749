"""A new version of a service with two colours starts beside the old one, is proven, and takes over; forth and back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from tests.unit.release_support import Droplet, colours, switch

BLUE, GREEN = "construction-blue", "construction-green"
STAT = "# pxname,svname,scur,sid,status,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other\n"


class Health(BaseHTTPRequestHandler):
    """Answers 200."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def port() -> Any:
    server = HTTPServer(("127.0.0.1", 0), Health)
    Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


class Engine:
    """What Docker and HAProxy say of the vertical tier: containers by service, each with a definition and a state."""

    def __init__(self, droplet: Droplet, port: int) -> None:
        self.droplet = droplet
        self.port = port
        self.made: dict[str, tuple[str, str]] = {}
        self.flying = 0
        self.kept = 0
        droplet.answer("config --format json", stdout=json.dumps({"services": self.services()}))
        droplet.answer(" top .* pid,rss", stdout="PID RSS\n7 51200\n8 51200\n")
        droplet.answer("inspect --format {{.State.Status}}", stdout="running\n")

    def breaks(self, tag: str) -> None:
        """Let the green one of this tag's bundle answer at no port."""
        services = {**self.services(), GREEN: {**self.services()[GREEN], "expose": ["1"]}}
        said = json.dumps({"services": services})
        self.droplet.answer(f"{self.droplet.digest(tag)}.* config --format json", stdout=said)

    def services(self) -> Mapping[str, Any]:
        network = {"networks": {"vertical": {"ipv4_address": "127.0.0.1"}}}
        colour = {"image": "registry.example/construction:1", "expose": [str(self.port)], **network}
        return {"haproxy": {"image": "registry.example/haproxy:1"}, BLUE: colour, GREEN: colour}

    def defines(self, tag: str, version: str) -> None:
        """Let the bundle of this tag define both colours in this version."""
        hashes = {"haproxy": "h", BLUE: f"{version}-blue", GREEN: f"{version}-green"}
        said = "".join(f"{name} {found}\n" for name, found in hashes.items())
        self.droplet.answer(f"{self.droplet.digest(tag)}.* config --hash", stdout=said)

    def has(self, **made: tuple[str, str]) -> None:
        """Let these containers be there, by colour: version and state."""
        self.made = {"haproxy": ("h", "running"), **{f"construction-{colour}": each for colour, each in made.items()}}
        rows = [(name, f"{found}-{name.rpartition('-')[2]}", state) for name, (found, state) in self.made.items()]
        rows = [(name, "h" if name == "haproxy" else found, state) for name, found, state in rows]
        self.droplet.answer("docker ps .*config-hash", stdout="".join(f"{n} {f} {s}\n" for n, f, s in rows))
        self.droplet.answer("docker ps .*oneoff", stdout="".join(f"{n} False {s}\n" for n, _, s in rows))
        healthy = [{"Service": name, "State": "running", "Health": "healthy"} for name in self.services()]
        self.droplet.answer("ps -a --format json", stdout="".join(f"{json.dumps(row)}\n" for row in healthy))
        self.answer_stat()

    def answer_stat(self) -> None:
        """HAProxy has two backends with both colours; each works at so many requests."""
        rows = [f"{b},{c},{self.flying},{n},UP,0,9,0,0,0,0" for b in ("construction", "construction_large")
                for n, c in enumerate(("blue", "green"), 1)]  # fmt: skip
        rows += ["construction,BACKEND,9,0,UP,0,9,0,0,9,0", "shop,blue,9,1,UP,0,9,0,0,9,0"]
        self.droplet.answer("docker exec .*show stat$", stdout=STAT + "\n".join(rows) + "\n")
        self.droplet.answer("docker exec .*show table", stdout="# table\n" + "key=1 server_id=1\n" * self.kept)


@pytest.fixture
def engine(vertical: Droplet, port: int, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """A vertical that serves blue, of version 1."""
    monkeypatch.setattr(switch, "DRAIN_WAIT", 0.5)
    monkeypatch.setattr(switch, "available_mib", lambda: 1000)
    engine = Engine(vertical, port)
    engine.defines("1", "1")
    engine.defines("2", "2")
    engine.has()
    assert vertical.activate("1") == 0
    assert choices(vertical) == {"construction": "blue"}
    vertical.calls()
    return engine


def choices(droplet: Droplet) -> dict[str, str]:
    found: dict[str, str] = colours.Choices(droplet.home / "live/haproxy/colours.cfg").read()
    return found


def said_to_haproxy(calls: list[str]) -> list[str]:
    return [call.partition(">&3; cat <&3 ")[2] for call in calls if "docker exec" in call and "set server" in call]


def short(calls: list[str]) -> list[str]:
    """The steps that start, stop or switch, without their options."""
    found = []
    for call in calls:
        match = re.search(
            r" (up|stop) (?:-d |--wait |--no-deps |--no-recreate |--remove-orphans |--wait-timeout 180 )*(.*)", call
        )
        if match:
            found.append(f"{match[1]} {match[2]}")
        elif "health.py" in call:
            found.append(f"prove {call.split()[5]}")
        elif "set server" in call:
            found.append("switch" if "state ready" in call else "rest")
    return found


def test_the_other_colour_starts_is_proven_takes_over_and_then_the_old_one_ends(
    vertical: Droplet, engine: Engine
) -> None:
    engine.has(blue=("1", "running"))
    # Asked again after the start, Docker has it; the choice of before stays.
    vertical.answer(
        "docker ps .*oneoff", stdout=f"{BLUE} False running\n{GREEN} False running\nhaproxy False running\n"
    )
    assert vertical.activate("2") == 0
    calls = vertical.calls()
    assert short(calls) == [
        f"up {GREEN}", f"prove {GREEN}", "switch",
        f"up {GREEN} haproxy", f"prove {GREEN}", "switch",
        "rest", f"stop {BLUE}",
    ]  # fmt: skip
    assert said_to_haproxy(calls)[0] == (
        "set server construction/green health up; set server construction/green state ready; "
        "set server construction_large/green state ready; set server construction/blue state drain; "
        "set server construction_large/blue state drain"
    )
    assert choices(vertical) == {"construction": "green"}


def test_a_release_with_the_same_definition_switches_nothing(vertical: Droplet, engine: Engine) -> None:
    engine.defines("2", "1")
    engine.has(blue=("1", "running"))
    assert vertical.activate("2") == 0
    steps = short(vertical.calls())
    assert f"up {BLUE} haproxy" in steps
    assert not [step for step in steps if GREEN in step]
    assert choices(vertical) == {"construction": "blue"}


def test_the_way_back_starts_the_container_that_was_kept(vertical: Droplet, engine: Engine) -> None:
    engine.has(blue=("1", "exited"), green=("2", "running"))
    colours.Choices(vertical.home / "live/haproxy/colours.cfg").write({"construction": "green"})
    assert vertical.activate("1") == 0
    assert short(vertical.calls())[0] == f"up {BLUE}"
    assert choices(vertical) == {"construction": "blue"}


def test_a_colour_that_does_not_answer_is_never_served(
    vertical: Droplet, engine: Engine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switch, "HEALTH_DEADLINE", 1)
    engine.has(blue=("1", "running"))
    engine.breaks("2")
    assert vertical.activate("2") == 1
    assert f"vertical: health: {GREEN} is running, and has not answered in " in capsys.readouterr().err
    assert not [call for call in said_to_haproxy(vertical.calls()) if "green state ready" in call]
    assert choices(vertical) == {"construction": "blue"}


def test_a_colour_that_ends_is_not_waited_for(
    vertical: Droplet, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.has(blue=("1", "running"))
    engine.breaks("2")
    vertical.answer("inspect --format {{.State.Status}}", stdout="restarting\n")
    assert vertical.activate("2") == 1
    assert f"vertical: health: {GREEN} is restarting, and has not answered in 1 s" in capsys.readouterr().err


@pytest.mark.parametrize("state", ["running", "restarting"])
def test_a_colour_that_came_to_nothing_is_stopped(vertical: Droplet, engine: Engine, state: str) -> None:
    engine.has(blue=("1", "running"), green=("2", state))
    engine.breaks("2")
    vertical.answer("inspect --format {{.State.Status}}", stdout="restarting\n")
    assert vertical.activate("2") == 1
    assert short(vertical.calls())[-1] == f"stop {GREEN}"


def test_a_colour_that_shows_no_page_is_never_served(vertical: Droplet, engine: Engine) -> None:
    engine.has(blue=("1", "running"))
    vertical.answer(f"exec -T {GREEN} .*health.py", rc=1, stdout="/web/dashboard: 500\n")
    assert vertical.activate("2") == 1
    assert not [call for call in said_to_haproxy(vertical.calls()) if "green state ready" in call]
    assert choices(vertical) == {"construction": "blue"}


def test_a_failure_after_the_switch_switches_back_and_stops_the_new_colour(vertical: Droplet, engine: Engine) -> None:
    engine.has(blue=("1", "running"))
    new = vertical.digest("2")
    vertical.answer(f"{new}.* up .*haproxy$", rc=1, stderr="no space left\n")
    # What the release of before has is asked when it is brought back: both run then.
    both = f"{BLUE} {{}} running\n{GREEN} {{}} running\nhaproxy {{}} running\n"
    vertical.answer("docker ps .*oneoff", stdout=both.format("False", "False", "False"))
    assert vertical.activate("2") == 1
    calls = vertical.calls()
    assert [("green" in said.partition("ready")[0]) for said in said_to_haproxy(calls) if "ready" in said] == [
        True, False, False,
    ]  # fmt: skip
    assert short(calls)[-1] == f"stop {GREEN}"
    assert choices(vertical) == {"construction": "blue"}


@pytest.mark.parametrize(("flying", "kept"), [(1, 0), (0, 1)])
def test_the_old_colour_has_its_time_for_requests_and_for_visitors_it_keeps(
    vertical: Droplet, engine: Engine, flying: int, kept: int, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.flying, engine.kept = flying, kept
    engine.has(blue=("1", "running"))
    assert vertical.activate("2") == 0
    said = f"vertical: {BLUE}: ends after 0.5 s with {2 * flying} requests and {kept} visitors"
    assert said in capsys.readouterr().err
    assert short(vertical.calls())[-1] == f"stop {BLUE}"


def test_a_second_colour_without_memory_is_refused_before_anything_is_started(
    vertical: Droplet, engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(switch, "available_mib", lambda: 129)
    engine.has(blue=("1", "running"))
    assert vertical.activate("2") == 1
    said = capsys.readouterr().err
    assert (
        "memory: 129 MiB available, and a second construction needs 130: 1.3 times what construction-blue uses" in said
    )
    assert short(vertical.calls()) == []
    monkeypatch.setattr(switch, "available_mib", lambda: 130)
    assert vertical.activate("2") == 0


def test_containers_that_the_release_has_not_end_when_servers_have_ended_what_they_had(
    vertical: Droplet, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.has(blue=("1", "running"))
    rows = f"construction False running\n{BLUE} False running\nhaproxy False running\n"
    vertical.answer("docker ps .*oneoff", stdout=rows)
    assert vertical.activate("2") == 0
    last = [call for call in vertical.calls() if " up " in call][-1]
    assert last.endswith(f"up -d --no-recreate --remove-orphans {GREEN} haproxy")


def test_start_serves_the_colour_of_the_recorded_release_again(vertical: Droplet, engine: Engine) -> None:
    """A run that was killed after the switch left the other one in HAProxy's configuration."""
    colours.Choices(vertical.home / "live/haproxy/colours.cfg").write({"construction": "green"})
    engine.has(blue=("1", "exited"), green=("2", "running"))
    assert vertical.run("start", "vertical") == 0
    assert short(vertical.calls())[0] == f"up {BLUE}"
    assert choices(vertical) == {"construction": "blue"}


def test_the_container_that_serves_is_named(
    vertical: Droplet, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    for service in ("construction", "haproxy"):
        assert vertical.run("serving", "vertical", service) == 0
    assert capsys.readouterr().out == f"{BLUE}\nhaproxy\n"


SERVICES = {
    name: {"networks": {"n": {"ipv4_address": f"10.0.0.{number}"}}, "expose": ["80"]}
    for number, name in enumerate(("web-blue", "web-green"), 1)
}
HASHES = {"web-blue": "2b", "web-green": "2g"}


@pytest.mark.parametrize(
    ("made", "serving", "colour"),
    [
        ({}, {}, "blue"),
        ({"web-blue": "1b"}, {"web": "blue"}, "green"),
        ({"web-green": "1g"}, {"web": "green"}, "blue"),
        ({"web-blue": "2b", "web-green": "1g"}, {"web": "green"}, "blue"),
        ({"web-blue": "2b", "web-green": "2g"}, {"web": "green"}, "green"),
        ({"web-blue": "1b", "web-green": "2g"}, {"web": "green"}, "green"),
        ({}, {"web": "green"}, "green"),
        ({"web-blue": "1b", "web-green": "1g"}, {"web": "blue"}, "green"),
    ],
)
def test_the_colour_is_that_of_a_container_with_the_definition_or_else_the_one_that_does_not_serve(
    made: Mapping[str, str], serving: Mapping[str, str], colour: str
) -> None:
    (pair,) = colours.choose(SERVICES, HASHES, made, serving)
    assert (pair.service, pair.colour) == ("web", colour)
    assert pair.addresses == {"blue": "10.0.0.1:80", "green": "10.0.0.2:80"}
