"""The watchdog restarts what stays unhealthy, and leaves everything else alone."""

from __future__ import annotations

import fcntl
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import watchdog

from localcloud.tests.damaged import KINDS, damages
from tests.unit.release_support import COMPOSE
from topology.fleet import load_tier

NAME = "vertical-construction-1"


class Engine:
    """A stand-in for docker that records restarts, and lists chosen containers as unhealthy, or as failing so far."""

    def __init__(self) -> None:
        self.unhealthy: dict[str, str] = {}
        self.failing: dict[str, str] = {}
        self.state: dict[str, Any] = {"Status": "healthy", "FailingStreak": 1}
        self.restarted: list[str] = []
        self.output = "connection\nrefused"
        self.broken: dict[str, Exception] = {}

    def __call__(self, *arguments: str, deadline: float = 30) -> str:
        del deadline
        for words, error in self.broken.items():
            if words in " ".join(arguments):
                raise error
        if arguments[0] == "ps":
            tier = arguments[2].rpartition("=")[2]
            listed = self.unhealthy if "health=unhealthy" in arguments else {**self.failing, **self.unhealthy}
            return "\n".join(name for name in listed if name.startswith(tier))
        if arguments[0] == "inspect":
            return json.dumps([self._entry(name) for name in arguments[1:]])
        assert arguments[0] == "restart"
        self.restarted.append(arguments[1])
        return ""

    def _entry(self, name: str) -> dict[str, Any]:
        labels = {"com.docker.compose.service": {**self.failing, **self.unhealthy}[name]}
        state = {"Status": "unhealthy", "FailingStreak": 3} if name in self.unhealthy else self.state
        return {
            "Name": f"/{name}",
            "Config": {"Labels": labels},
            "State": {"Health": {**state, "Log": [{"Output": "old"}, {"Output": self.output}]}},
        }


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine = Engine()
    engine.unhealthy = {NAME: "construction"}
    monkeypatch.setattr(watchdog, "docker", engine)
    return engine


@pytest.fixture
def dog(tmp_path: Path) -> watchdog.Watchdog:
    active(tmp_path, "vertical")
    return watchdog.Watchdog(tmp_path, tmp_path / "memory.json")


def active(root: Path, tier: str) -> Path:
    """Write an active release for a tier, with the description of the shipped one."""
    (root / tier / "current").mkdir(parents=True)
    (root / tier / "state.json").write_text("{}")
    described = root / tier / "current" / "tier.json"
    described.write_text(load_tier(COMPOSE.parent, tier).description(60))
    return described


def test_a_container_is_restarted_only_when_it_stays_unhealthy(dog: watchdog.Watchdog, engine: Engine) -> None:
    dog.run(0)
    dog.run(29)
    assert engine.restarted == []
    dog.run(30)
    assert engine.restarted == [NAME]


def test_one_that_recovers_in_between_begins_anew(dog: watchdog.Watchdog, engine: Engine) -> None:
    dog.run(0)
    engine.unhealthy = {}
    dog.run(20)
    engine.unhealthy = {NAME: "construction"}
    dog.run(40)
    assert engine.restarted == []


def test_the_journal_says_what_was_restarted_and_why(
    dog: watchdog.Watchdog, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    dog.run(0)
    dog.run(60)
    assert capsys.readouterr().out == f"{NAME}: unhealthy for 60 s, restarts it: connection refused\n"


def test_after_three_restarts_in_an_hour_it_is_left_alone_until_the_hour_ends(
    dog: watchdog.Watchdog, engine: Engine
) -> None:
    for moment in range(0, 3600, 20):
        dog.run(moment)
    assert len(engine.restarted) == 3
    dog.run(3700)
    assert len(engine.restarted) == 4


def test_restarts_are_counted_also_when_it_recovers_after_each(dog: watchdog.Watchdog, engine: Engine) -> None:
    for start in range(0, 1200, 200):
        engine.unhealthy = {NAME: "construction"}
        dog.run(start)
        dog.run(start + 60)
        engine.unhealthy = {}
        dog.run(start + 80)
    assert len(engine.restarted) == 3


def test_nothing_is_restarted_while_somebody_works_on_the_tier(
    dog: watchdog.Watchdog, engine: Engine, tmp_path: Path
) -> None:
    with (tmp_path / "vertical/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        dog.run(0)
        dog.run(100)
        assert engine.restarted == []
    dog.run(120)
    assert engine.restarted == [NAME]


def test_postgres_is_reported_and_not_restarted(
    dog: watchdog.Watchdog, engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    active(tmp_path, "infra")
    engine.unhealthy = {"infra-postgres-1": "postgres"}
    dog.run(0)
    dog.run(500)
    assert engine.restarted == []
    assert "infra-postgres-1: unhealthy for 500 s, is not restarted" in capsys.readouterr().out


def test_one_that_waits_for_the_database_is_reported_and_not_restarted(
    dog: watchdog.Watchdog, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.unhealthy = {NAME: "construction"}
    engine.output = f"{watchdog.WAITING}: /api/v1/dashboard/: 500"
    dog.run(0)
    dog.run(60)
    assert engine.restarted == []
    assert f"{NAME}: unhealthy for 60 s, is not restarted: waits for the database" in capsys.readouterr().out


def test_a_tier_without_a_release_is_not_looked_at(dog: watchdog.Watchdog, engine: Engine) -> None:
    engine.unhealthy = {"edge-nginx-1": "nginx"}
    dog.run(0)
    dog.run(100)
    assert engine.restarted == []


def test_a_proxy_is_left_alone_while_what_stands_behind_it_is_unhealthy(dog: watchdog.Watchdog, engine: Engine) -> None:
    engine.unhealthy = {"vertical-haproxy-1": "haproxy", NAME: "construction"}
    dog.run(0)
    dog.run(60)
    assert engine.restarted == [NAME]
    engine.unhealthy = {"vertical-haproxy-1": "haproxy"}
    dog.run(80)
    dog.run(140)
    assert engine.restarted == [NAME, "vertical-haproxy-1"]


@pytest.mark.parametrize("state", [{"Status": "healthy", "FailingStreak": 1}, {"Status": "starting"}])
def test_a_proxy_is_left_alone_while_what_stands_behind_it_starts_or_begins_to_fail(
    dog: watchdog.Watchdog, engine: Engine, state: dict[str, Any]
) -> None:
    engine.unhealthy, engine.failing, engine.state = {"vertical-haproxy-1": "haproxy"}, {NAME: "construction"}, state
    dog.run(0)
    dog.run(60)
    assert engine.restarted == []
    engine.state = {"Status": "healthy", "FailingStreak": 0}
    dog.run(80)
    dog.run(140)
    assert engine.restarted == ["vertical-haproxy-1"]


# ---- what fails keeps it from nothing else -------------------------------------------------------------------

OTHER = "vertical-haproxy-2"
FAILURES = {
    "docker says no": subprocess.CalledProcessError(1, ["docker"], stderr="address already in use\n"),
    "docker hangs": subprocess.TimeoutExpired(["docker"], 180),
    "docker is gone": FileNotFoundError(2, "No such file or directory"),
    "docker says what nobody can read": ValueError("Expecting value"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_restart_that_fails_counts_and_the_next_container_is_served(
    dog: watchdog.Watchdog, engine: Engine, failure: str, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.unhealthy = {NAME: "construction", OTHER: "auth"}
    engine.broken = {f"restart {NAME}": FAILURES[failure]}
    tries = 0
    for moment in range(0, 3600, 20):
        dog.run(moment)
        tries += capsys.readouterr().out.count(f"{NAME}: unhealthy for ")
    assert tries == 3
    assert engine.restarted == [OTHER] * 3
    assert not dog.run(3600)


def test_the_journal_says_why_a_restart_failed(
    dog: watchdog.Watchdog, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.broken = {"restart": FAILURES["docker says no"]}
    dog.run(0)
    assert dog.is_well
    assert not dog.run(60)
    assert "address already in use" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize("failure", FAILURES)
def test_a_tier_that_cannot_be_looked_at_hides_no_other_and_keeps_its_counts(
    dog: watchdog.Watchdog, engine: Engine, tmp_path: Path, failure: str
) -> None:
    for tier in ("infra", "edge"):
        active(tmp_path, tier)
    engine.unhealthy = {"infra-relay-1": "relay", "edge-auth-1": "auth"}
    assert dog.run(0)
    engine.broken = {"inspect infra": FAILURES[failure]}
    assert not dog.run(20)
    assert not dog.run(40)
    assert engine.restarted == ["edge-auth-1"]
    engine.broken = {}
    dog.run(60)
    assert engine.restarted == ["edge-auth-1", "infra-relay-1"]


@pytest.mark.parametrize("damage", [*KINDS, "an unknown word", "gone"])
def test_without_its_description_a_tier_is_not_restarted_and_other_tiers_are(
    dog: watchdog.Watchdog, engine: Engine, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """PostgreSQL must not be restarted because its policy is missing."""
    described = active(tmp_path, "infra")
    engine.unhealthy = {"infra-postgres-1": "postgres", NAME: "construction"}
    given = {**damages(described.read_bytes()), "an unknown word": b'{"watchdog": {"postgres": "spare"}}'}
    described.unlink() if damage == "gone" else described.write_bytes(given[damage])
    assert not dog.run(0)
    assert not dog.run(60)
    assert engine.restarted == [NAME]
    assert "infra: " in capsys.readouterr().out


def test_a_tier_of_any_name_is_looked_at(dog: watchdog.Watchdog, engine: Engine, tmp_path: Path) -> None:
    active(tmp_path, "edge").parents[1].rename(tmp_path / "front")
    engine.unhealthy = {"front-nginx-1": "nginx"}
    dog.run(0)
    dog.run(60)
    assert engine.restarted == ["front-nginx-1"]


def test_a_tier_whose_record_was_set_aside_is_looked_at(dog: watchdog.Watchdog, engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "vertical/state.json").rename(tmp_path / "vertical/state.json.damaged")
    dog.run(0)
    dog.run(60)
    assert engine.restarted == [NAME]


MEMORIES = {
    "a time that is a text": {NAME: {"since": "noon", "restarts": []}},
    "restarts that are no list": {NAME: {"restarts": 5}},
    "a restart that is null": {NAME: {"restarts": [None]}},
}


@pytest.mark.parametrize("damage", [*KINDS, *MEMORIES])
def test_a_damaged_memory_is_set_aside_and_counted_anew(
    dog: watchdog.Watchdog, engine: Engine, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "memory.json"
    dog.run(0)
    given = {**damages(path.read_bytes()), **{name: json.dumps(each).encode() for name, each in MEMORIES.items()}}
    path.write_bytes(given[damage])
    dog.run(100)
    dog.run(130)
    assert engine.restarted == [NAME]
    if damage != "an empty object":
        assert (tmp_path / "memory.damaged").read_bytes() == given[damage]
        assert f"{path}: damaged: " in capsys.readouterr().out.splitlines()[0]


def test_a_memory_with_more_in_it_than_is_known_is_read(dog: watchdog.Watchdog, engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "memory.json").write_text(json.dumps({NAME: {"since": 0, "restarts": [], "by": "a newer one"}}))
    dog.run(40)
    assert engine.restarted == [NAME]


def test_a_clock_that_was_set_back_keeps_nothing_from_being_restarted(
    dog: watchdog.Watchdog, engine: Engine, tmp_path: Path
) -> None:
    future = {NAME: {"since": 10**9, "restarts": [10**9] * 3}}
    (tmp_path / "memory.json").write_text(json.dumps(future))
    dog.run(0)
    dog.run(40)
    assert engine.restarted == [NAME]


SCRIPT = """#!/bin/sh
echo "$@" >> "$(dirname "$0")/calls"
exit {code}
"""


def settles(root: Path, code: int = 0) -> Path:
    """Leave a release undecided, and return where the calls of release.py are noted."""
    script = root / "scripts/release.py"
    script.parent.mkdir()
    script.write_text(SCRIPT.format(code=code))
    script.chmod(0o755)
    (root / "vertical/armed").write_text("abcdef\n")
    (root / "vertical/lock").touch()
    return script.with_name("calls")


def test_what_a_killed_activation_left_undecided_is_settled(
    dog: watchdog.Watchdog, engine: Engine, tmp_path: Path
) -> None:
    engine.unhealthy = {}
    calls = settles(tmp_path)
    assert dog.run(0)
    assert calls.read_text() == "settle vertical\n"
    (tmp_path / "vertical/armed").unlink()
    assert dog.run(20)
    assert calls.read_text() == "settle vertical\n"


def test_an_activation_that_goes_on_is_left_alone(dog: watchdog.Watchdog, engine: Engine, tmp_path: Path) -> None:
    engine.unhealthy = {}
    calls = settles(tmp_path)
    with (tmp_path / "vertical/lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert dog.run(0)
    assert not calls.exists()


def test_what_cannot_be_settled_is_reported_and_the_rest_goes_on(
    dog: watchdog.Watchdog, engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settles(tmp_path, code=1)
    assert not dog.run(0)
    assert not dog.run(40)
    assert engine.restarted == [NAME]
    said = capsys.readouterr().out
    assert "vertical: CalledProcessError: " in said
    assert "release.py', 'settle', 'vertical']' returned non-zero exit status 1" in said
