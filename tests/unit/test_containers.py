"""containers.py: which containers serve, how long a sick one is waited for, and what is reported of it."""

from __future__ import annotations

import pytest

from tests.unit.release_support import Droplet, bundle, containers, digest_of

ONE = digest_of(bundle("vertical", "1"))
TWO = digest_of(bundle("vertical", "2"))


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
    assert "vertical: haproxy" not in said


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


def test_a_check_of_before_that_ends_after_the_start_is_no_failure(vertical: Droplet) -> None:
    """Seen: construction was back and compose content, and then HAProxy's last check of the bad one ended."""
    vertical.answer("ps -a --format json", stdout=vertical.ps(haproxy=("running", "unhealthy")), times=1)
    assert vertical.activate() == 0


def test_a_container_that_is_started_again_and_gets_healthy_is_no_failure(vertical: Droplet) -> None:
    vertical.answer("ps -a --format json", stdout=vertical.ps(construction=("restarting", "starting")), times=1)
    assert vertical.activate() == 0


def test_a_container_whose_check_has_not_said_anything_yet_does_not_serve(
    vertical: Droplet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen: one that crashed and was started over and over had no health for an instant, and was taken for healthy."""
    monkeypatch.setattr(containers, "RECOVERY_WAIT", 0)
    vertical.answer(" up ", rc=1, stderr="container vertical-construction-1 is unhealthy\n")
    vertical.answer("ps -a --format json", stdout=vertical.ps(construction=("running", "")))
    assert vertical.activate() == 1


def test_a_container_that_died_after_the_start_is_not_waited_for(
    vertical: Droplet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "RECOVERY_WAIT", 60)
    vertical.answer("ps -a --format json", stdout=vertical.ps(construction=("exited", "")), times=1)
    assert vertical.activate() == 1


def test_a_container_that_stays_unhealthy_is_a_failure(vertical: Droplet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "RECOVERY_WAIT", 0)
    vertical.answer(" up ", rc=1, stderr="container vertical-haproxy-1 is unhealthy\n")
    vertical.answer("ps -a --format json", stdout=vertical.ps(haproxy=("running", "unhealthy")))
    assert vertical.activate() == 1


def test_healthy_old_containers_do_not_excuse_a_failed_up(vertical: Droplet) -> None:
    vertical.activate("1")
    vertical.answer(f"{TWO}.* up ", rc=1, stderr="address already in use\n")
    assert vertical.activate("2") == 1
