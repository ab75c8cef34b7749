"""release.py when something fails: the previous release comes back; interruption and lock."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from tests.unit.release_support import COMPOSE, Droplet, bundle, digest_of, kind

ONE = digest_of(bundle("vertical", "1"))
TWO = digest_of(bundle("vertical", "2"))


# ---- failures bring the previous release back --------------------------------------------------------------


@pytest.mark.parametrize(
    "failing",
    ["up .*postgres redis$", "psql", "run .*migrate$", "up .*relay$"],
    ids=["stores", "password", "migrate", "up"],
)
def test_a_failed_step_brings_the_previous_release_back(
    infra: Droplet, failing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    infra.activate("1")
    state, variables, target = infra.state(), infra.variables(), (infra.home / "current").readlink()
    infra.calls()
    new = infra.digest("2")
    infra.answer(f"{new}.*{failing}", rc=1, stderr="it broke\n")
    assert infra.activate("2", password="another-password-of-31-letters") == 1
    assert kind(infra.steps()[-1]) == f"infra@{state[0]['digest'][:8]} up"
    assert (infra.state(), infra.variables(), (infra.home / "current").readlink()) == (state, variables, target)
    said = capsys.readouterr().err
    assert "it broke" in said
    assert f"{state[0]['digest'][:12]} serves again" in said


def test_a_release_that_is_healthy_and_does_not_show_its_pages_is_taken_back(
    vertical: Droplet, capsys: pytest.CaptureFixture[str]
) -> None:
    vertical.activate("1")
    vertical.answer(f"{TWO}.*health.py release", rc=1, stdout="/web/dashboard, logged in: 500\n")
    assert vertical.activate("2") == 1
    said = capsys.readouterr().err
    assert "vertical: construction: healthy, but: /web/dashboard, logged in: 500" in said
    assert f"{ONE[:12]} serves again" in said
    assert [r["digest"] for r in vertical.state()] == [ONE]


def test_a_first_release_that_fails_leaves_nothing_running_and_no_unit(vertical: Droplet) -> None:
    vertical.answer(" up ", rc=1)
    assert vertical.activate() == 1
    assert vertical.steps()[-1] == f"docker compose vertical@{ONE[:8]} down --remove-orphans"
    assert not (vertical.home / "state.json").exists()
    assert list(vertical.paths.units.iterdir()) == []


def test_after_a_failure_the_same_release_can_be_activated(vertical: Droplet) -> None:
    vertical.activate("1")
    vertical.answer(f"{TWO}.* up ", rc=1)
    assert vertical.activate("2") == 1
    vertical.heal()
    assert vertical.activate("2") == 0
    assert [r["digest"] for r in vertical.state()] == [TWO, ONE]


# ---- interruption and lock ---------------------------------------------------------------------------------


def start_elsewhere(droplet: Droplet, tag: str) -> subprocess.Popen[bytes]:
    """The same activation as a process of its own."""
    program = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import release, tier_files as f;"
        "d = Path(sys.argv[2]); sys.exit(release.main(sys.argv[3:], f.Paths(d / 'opt', d / 'units')))"
    )
    argv = [sys.executable, "-c", program, str(COMPOSE), str(droplet.directory)]
    argv += droplet.activation(droplet.bundle(tag))
    return subprocess.Popen(argv, stderr=subprocess.DEVNULL)


def wait_for_call(droplet: Droplet, text: str) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        log = droplet.bin / "calls"
        if log.exists() and text in log.read_text():
            return
        time.sleep(0.02)
    raise AssertionError(f"no call of {text} in 10 s")


def slow_up(droplet: Droplet, seconds: float) -> None:
    droplet.answers.insert(0, {"pattern": " up ", "stdout": "", "sleep": seconds, "times": 1})
    droplet.answer("nothing matches this")


def test_a_second_activation_is_refused_and_shows_who_holds_the_lock(
    vertical: Droplet, capsys: pytest.CaptureFixture[str]
) -> None:
    slow_up(vertical, 2)
    first = start_elsewhere(vertical, "1")
    wait_for_call(vertical, '"up"')
    assert vertical.activate("2") == 1
    assert f"held for more than 0 s by `activate vertical {ONE[:12]}`, pid {first.pid}" in capsys.readouterr().err
    assert first.wait(10) == 0
    assert vertical.state()[0]["digest"] == ONE


def test_an_activation_killed_in_the_middle_is_healed_by_the_next(vertical: Droplet) -> None:
    vertical.activate("1")
    slow_up(vertical, 3)
    vertical.calls()
    process = start_elsewhere(vertical, "2")
    wait_for_call(vertical, '"up"')
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    assert vertical.state()[0]["digest"] == ONE
    # Its `docker compose up` still runs and holds the lock, so the next one does not run into it.
    assert vertical.activate("2") == 1
    time.sleep(3)
    assert vertical.activate("2") == 0
    assert vertical.state()[0]["digest"] == TWO
