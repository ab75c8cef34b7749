"""A new release is watched before it stays, and goes back by itself; a good one with known faults stays."""

from __future__ import annotations

import importlib
import random
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.release_support import Droplet, colours, programs, release, tier_files

watch: Any = importlib.import_module("watch")
Figures, State = watch.Figures, watch.State
PAIR = colours.Pair("construction", "green", {"blue": "10.0.0.1:8000", "green": "10.0.0.2:8000"})
RELEASE = tier_files.Release("d" * 64, "h" * 12)


class Tier:
    """What Docker, HAProxy and the probe say of a tier: each a function of how often it was asked."""

    def __init__(self, directory: Path) -> None:
        self.tier = "vertical"
        self.asked = 0
        self.state: Callable[[int], str] = lambda _: "0 false running healthy"
        self.figures: Callable[[int], tuple[int, int]] = lambda asked: (0, 10 * asked)
        self.old = (0, 1000)
        self.choices = SimpleNamespace(read=lambda: {"construction": "blue"})
        self.programs = SimpleNamespace(run=self.run)
        self.files = SimpleNamespace(
            bundle=lambda _: directory, variables=lambda _: {"SECRET_CONSTRUCTION_ENV": "/dev/null"}
        )
        self.started = "2999-01-01T00:00:00.000000000Z"
        (directory / "construction").mkdir()
        self.probe = directory / "construction/health.py"
        self.probe.write_text("print('ok')\n")

    def pairs(self, _: Any) -> list[Any]:
        return [PAIR]

    def lasting(self, _: Any) -> list[str]:
        return ["construction-green", "haproxy"]

    def running(self) -> set[str]:
        return {"haproxy"}

    def proxy(self) -> Any:
        return SimpleNamespace(container="vertical-haproxy-1", servers=self.servers)

    def run(self, argv: list[str], _deadline: float) -> str:
        if argv[:2] == ["docker", "inspect"] and argv[3] == watch.ADDRESS:
            return "10.0.0.9 \n"
        self.asked += 1
        old = "2001-01-01T00:00:00.000000000Z 0 false running healthy"
        return f"/vertical-construction-green-1 {self.started} {self.state(self.asked)}\n/vertical-haproxy-1 {old}\n"

    def servers(self, _: str) -> list[dict[str, str]]:
        kinds = dict.fromkeys(("hrsp_1xx", "hrsp_3xx", "hrsp_4xx", "hrsp_other"), "0")
        rows = zip(("blue", "green"), (self.old, self.figures(self.asked)), strict=True)
        return [
            {**kinds, "svname": name, "hrsp_5xx": str(errors), "hrsp_2xx": str(answers - errors)}
            for name, (errors, answers) in rows
        ]


@pytest.fixture
def tier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tier:
    monkeypatch.setattr(watch, "PERIOD_S", 0.02)
    monkeypatch.setattr(watch, "FAILS_S", 0.1)
    monkeypatch.setattr(watch, "SILENCE_S", 0.1)
    return Tier(tmp_path)


def watched(tier: Tier, seconds: float = 1.0) -> str:
    """Watch, and return why it goes back; empty when it stays."""
    one = watch.Watch(tier, RELEASE)
    one.look_before()
    try:
        one.run(seconds)
    except watch.GoBackError as error:
        return str(error)
    return ""


def test_a_good_release_stays_after_its_time(tier: Tier) -> None:
    began = time.monotonic()
    assert watched(tier, 2) == ""
    assert 2 <= time.monotonic() - began < 20
    assert tier.asked > 3


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("1 false running starting", "ended and is running"),
        ("0 false restarting -", "ended and is restarting"),
        ("0 false exited unhealthy", "ended and is exited"),
        ("0 true restarting -", "was killed for memory"),
        ("0 false running unhealthy", "is unhealthy"),
    ],
)
def test_a_container_that_ends_or_is_unhealthy_sends_it_back(tier: Tier, state: str, said: str) -> None:
    tier.state = lambda asked: state if asked > 2 else "0 false running healthy"
    assert watched(tier) == f"vertical: construction: {said}"


def test_containers_that_the_release_did_not_start_are_not_watched(tier: Tier) -> None:
    tier.started = "2001-01-01T00:00:00.000000000Z"
    tier.state = lambda asked: "5 false restarting -" if asked > 1 else "5 false running healthy"
    assert watched(tier) == ""
    assert tier.asked == 1


def test_probes_that_go_on_failing_send_it_back(tier: Tier) -> None:
    tier.probe.write_text("print('waits for the database: 500')\nraise SystemExit(1)\n")
    said = watched(tier, 3)
    assert said.startswith("vertical: construction: ")
    assert said.endswith(" probes in a row failed: waits for the database: 500")


def test_probes_that_fail_twice_do_not(tier: Tier, tmp_path: Path) -> None:
    counter = tmp_path / "count"
    tier.probe.write_text(
        f"import pathlib\nf = pathlib.Path({str(counter)!r})\nn = len(f.read_text()) if f.exists() else 0\n"
        "f.write_text('x' * (n + 1))\nraise SystemExit(0 if n % 3 == 2 else 1)\n"
    )
    assert watched(tier, 3) == ""
    assert len(counter.read_text()) > 5


def test_a_probe_reads_the_services_secrets_and_asks_haproxy(tier: Tier, tmp_path: Path) -> None:
    secrets, said = tmp_path / "env", tmp_path / "said"
    secrets.write_text("SECRET_KEY='a key'\n")
    tier.files.variables = lambda _: {"SECRET_CONSTRUCTION_ENV": str(secrets)}
    tier.probe.write_text(
        f"import os, pathlib\nfound = os.environ['SECRET_KEY'] + os.environ['HEALTH_ORIGIN']\n"
        f"pathlib.Path({str(said)!r}).write_text(found)\n"
    )
    assert watched(tier, 0.1) == ""
    assert said.read_text() == "a keyhttp://10.0.0.9:8000"


def test_errors_above_those_of_the_version_before_send_it_back(tier: Tier) -> None:
    tier.figures = lambda asked: (5 * asked, 10 * asked)
    assert " answers were errors (5xx); the version before had 0 of 1000" in watched(tier)


def test_errors_of_probes_are_not_counted_with_them(tier: Tier) -> None:
    tier.probe.write_text("raise SystemExit(1)\n")
    tier.figures = lambda asked: (asked, asked)
    assert "probes in a row failed" in watched(tier, 3)


def test_haproxy_that_says_nothing_sends_it_back(tier: Tier) -> None:
    def silent(asked: int) -> tuple[int, int]:
        if asked > 2:
            raise programs.ReleaseError("vertical: docker exec: exit code 1", "")
        return 0, 10

    tier.figures = silent
    assert watched(tier, 3) == "vertical: haproxy: gives no figures for 0.1 s: vertical: docker exec: exit code 1"


def test_a_haproxy_that_counts_anew_is_no_error(tier: Tier) -> None:
    tier.figures = lambda asked: (2, 100) if asked < 3 else (0, asked)
    assert watched(tier, 0.3) == ""


@pytest.mark.parametrize(
    ("new", "old", "back"),
    [
        ((2, 2), (0, 1000), False),  # too few
        ((3, 3), (0, 1000), True),
        ((9, 901), (0, 1_000_000), False),  # under one percent
        ((10, 901), (0, 1_000_000), True),
        ((30, 600), (500, 10_000), False),  # as before
        ((70, 600), (500, 10_000), True),
        ((50, 100), (0, 0), False),  # nothing is known of before
        ((3, 300), (0, 600), False),  # it may be chance
    ],
)
def test_errors_are_compared_with_those_of_before(new: tuple[int, int], old: tuple[int, int], back: bool) -> None:
    assert Figures(*new).too_many(Figures(*old)) is back


@pytest.mark.parametrize("share", [0.0, 0.002, 0.01, 0.05, 0.3])
def test_fifty_good_releases_with_the_same_known_faults_all_stay(share: float) -> None:
    """Ten times over: a page that always answers 500 has this share of 5 requests a second; looked at every 2 s."""
    chance = random.Random(1)  # noqa: S311 - the same each time
    for _ in range(500):
        old = Figures(sum(chance.random() < share for _ in range(600)), 600)
        errors = answers = 0
        for _ in range(30):
            answers += 10
            errors += sum(chance.random() < share for _ in range(10))
            assert not Figures(errors, answers).too_many(old), (errors, answers, old)


@pytest.mark.parametrize(("share", "looks"), [(1.0, 1), (0.3, 2), (0.1, 10)])
def test_a_release_that_fails_more_is_found_soon(share: float, looks: int) -> None:
    old = Figures(3, 600)
    assert Figures(round(share * 10 * looks), 10 * looks).too_many(old)


def test_an_activation_that_goes_back_ends_with_1_and_the_other_release_serves(
    vertical: Droplet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert vertical.activate("1") == 0
    assert not (vertical.home / "armed").exists()

    def run(self: Any, _seconds: float) -> None:
        assert (vertical.home / "armed").read_text().strip() == self.release.digest
        raise watch.GoBackError("vertical: construction: is unhealthy", "")

    monkeypatch.setattr(release.Watch, "run", run)
    assert vertical.activate("2") == 1
    said = capsys.readouterr().err
    assert "vertical: construction: is unhealthy" in said
    assert "serves again" in said
    assert [each["digest"] for each in vertical.state()] == [vertical.digest("1")]
    assert not (vertical.home / "armed").exists()


def test_a_first_release_is_not_watched(vertical: Droplet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release.Watch, "run", lambda *_: pytest.fail("there is nothing to go back to"))
    assert vertical.activate("1") == 0


def test_what_a_killed_run_left_undecided_goes_back(vertical: Droplet, capsys: pytest.CaptureFixture[str]) -> None:
    vertical.activate("1")
    vertical.calls()
    (vertical.home / "armed").write_text("abcdef0123456789\n")
    assert vertical.run("settle", "vertical") == 0
    assert [step for step in vertical.steps() if f"vertical@{vertical.digest('1')[:8]} up" in step]
    assert "vertical: abcdef012345 was not decided on, and nobody works on it: goes back" in capsys.readouterr().err
    assert not (vertical.home / "armed").exists()
    assert vertical.run("settle", "vertical") == 0
    assert vertical.steps() == []
