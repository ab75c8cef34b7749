"""release.py when something fails: the previous release comes back; interruption and lock."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import release_files

from tests.unit.release_support import (
    COMPOSE,
    Droplet,
    bundle,
    digest_of,
    kind,
)

ONE = digest_of(bundle("vertical", "1"))
TWO = digest_of(bundle("vertical", "2"))


# ---- failures bring the previous release back --------------------------------------------------------------------


@pytest.mark.parametrize(
    "failing",
    ["up .*postgres redis$", "psql", "run .*migrate$", "up .*remove-orphans"],
    ids=["stores", "password", "migrate", "up"],
)
def test_a_failed_step_brings_the_previous_release_back(
    infra: Droplet, failing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    infra.activate("1")
    state, variables, target = infra.state(), infra.variables(), (infra.home / "current").readlink()
    infra.calls()
    new = digest_of(bundle("infra", "2"))
    infra.answer(f"{new}.*{failing}", rc=1, stderr="it broke\n")
    assert infra.activate("2", password="another-password-of-31-letters") == 1
    assert kind(infra.steps()[-1]) == f"infra@{state[0]['digest'][:8]} up"
    assert (infra.state(), infra.variables(), (infra.home / "current").readlink()) == (state, variables, target)
    said = capsys.readouterr().err
    assert "it broke" in said
    assert f"{state[0]['digest'][:12]} serves again" in said


def test_the_message_names_the_sick_service_its_check_and_its_last_20_log_lines(
    vertical: Droplet, capsys: pytest.CaptureFixture[str]
) -> None:
    vertical.activate("1")
    sick = vertical.ps(construction=("running", "unhealthy"))
    vertical.answer(f"{TWO}.* up ", rc=1)
    vertical.answer("ps -a --format json", stdout=sick, times=1)
    vertical.answer("docker inspect", stdout="first\n\nConnection refused\n")
    vertical.answer("logs .*construction", stdout="".join(f"line {n}\n" for n in range(30)))
    assert vertical.activate("2") == 1
    said = capsys.readouterr().err
    assert "vertical: construction: running unhealthy" in said
    assert "health: Connection refused" in said
    assert [line for line in said.splitlines() if "log: " in line] == [f"  log: line {n}" for n in range(10, 30)]
    assert "haproxy" not in said


def test_a_release_whose_containers_die_after_the_wait_is_not_recorded(vertical: Droplet) -> None:
    vertical.activate("1")
    vertical.answer(f"{TWO}.*ps -a --format json", stdout=vertical.ps(construction=("restarting", "")))
    assert vertical.activate("2") == 1
    assert vertical.state()[0]["digest"] == ONE


def test_a_container_that_recovers_by_its_next_health_check_is_no_failure(vertical: Droplet) -> None:
    """Seen: HAProxy, still unhealthy from a bad construction, made the return to the good one fail."""
    vertical.answer(" up ", rc=1, stderr="container vertical-haproxy-1 is unhealthy\n")
    vertical.answer("ps -a --format json", stdout=vertical.ps(haproxy=("running", "unhealthy")), times=1)
    assert vertical.activate() == 0


def test_a_container_that_stays_unhealthy_is_a_failure(vertical: Droplet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("release.RECOVERY_WAIT", 0)
    vertical.answer(" up ", rc=1, stderr="container vertical-haproxy-1 is unhealthy\n")
    vertical.answer("ps -a --format json", stdout=vertical.ps(haproxy=("running", "unhealthy")))
    assert vertical.activate() == 1


def test_healthy_old_containers_do_not_excuse_a_failed_up(vertical: Droplet) -> None:
    vertical.activate("1")
    vertical.answer(f"{TWO}.* up ", rc=1, stderr="address already in use\n")
    assert vertical.activate("2") == 1


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


# ---- interruption and lock ---------------------------------------------------------------------------------------


def start_elsewhere(droplet: Droplet, tag: str) -> subprocess.Popen[bytes]:
    """The same activation as a process of its own."""
    program = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import release, release_files as f;"
        "d = Path(sys.argv[2]); sys.exit(release.main(sys.argv[3:], f.Paths(d / 'opt', d / 'units', d / 'data')))"
    )
    argv = [sys.executable, "-c", program, str(COMPOSE), str(droplet.directory)]
    argv += droplet.activation(bundle(droplet.tier, tag))
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


def test_a_second_activation_is_refused_and_told_who_holds_the_lock(
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


def test_leftovers_of_a_killed_run_are_replaced(vertical: Droplet) -> None:
    half = vertical.home / "releases" / f".{ONE}.new"
    half.mkdir(parents=True)
    (half / "compose.yaml").write_text("half")
    assert vertical.activate() == 0
    assert (vertical.home / "releases" / ONE / "compose.yaml").read_text() == "services: {}\n"
    assert not half.exists()


def test_an_edited_file_of_a_release_is_put_right(vertical: Droplet) -> None:
    vertical.activate()
    (vertical.home / "releases" / ONE / "compose.yaml").write_text("edited")
    vertical.activate()
    assert (vertical.home / "releases" / ONE / "compose.yaml").read_text() == "services: {}\n"


def test_a_release_is_refused_on_a_disk_that_it_could_fill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = shutil.disk_usage(tmp_path)._replace(free=1023 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    paths = release_files.Paths(root=tmp_path / "not/yet/there", data=tmp_path, units=tmp_path)
    with pytest.raises(release_files.ReleaseError, match="1023 MiB free, a release wants 1024") as refusal:
        release_files.check_disks("edge", paths)
    assert str(refusal.value).startswith(f"edge: disk: {tmp_path}/not/yet/there")


def test_the_data_volume_is_looked_at_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enough, little = (shutil.disk_usage(tmp_path)._replace(free=mib * 2**20) for mib in (5000, 100))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: little if path == tmp_path / "data" else enough)
    (tmp_path / "data").mkdir()
    paths = release_files.Paths(root=tmp_path, data=tmp_path / "data", units=tmp_path)
    release_files.check_disks("edge", paths)
    with pytest.raises(release_files.ReleaseError, match="data: 100 MiB free, a release wants 512"):
        release_files.check_disks("infra", paths)
