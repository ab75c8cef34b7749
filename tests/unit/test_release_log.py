"""Each activation is in the log with how it ended; a damaged log stops none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.release_support import Droplet, release_log


def log_of(droplet: Droplet) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = release_log.ReleaseLog(droplet.home / "log.json").read()
    return found


def test_each_end_of_an_activation_is_kept_with_its_reason(vertical: Droplet) -> None:
    assert vertical.activate("1") == 0
    vertical.answer("-trial .* haproxy ", rc=1, stderr="[ALERT] unknown keyword\n")
    assert vertical.activate("2") == 1
    vertical.heal()
    vertical.answer(f"{vertical.digest('3')}.* up ", rc=1, stderr="no space left\n")
    assert vertical.activate("3") == 1
    third, second, first = log_of(vertical)
    assert [each["number"] for each in (first, second, third)] == [1, 2, 3]
    assert (first["outcome"], first["why"], first["images"]) == ("active", "", {"app": "registry.example/app:1"})
    assert second["outcome"] == "refused"
    assert second["why"].startswith("vertical: haproxy: refuses its new configuration [ALERT] unknown keyword")
    assert third["outcome"] == "went back"
    assert "no space left" in third["why"]
    assert all(each["began"] <= each["ended"] for each in (first, second, third))


def test_what_was_active_already_is_no_new_activation(vertical: Droplet) -> None:
    vertical.activate("1")
    vertical.activate("1")
    assert len(log_of(vertical)) == 1


def test_a_killed_run_is_told_by_the_next_one_or_by_the_watchdog(vertical: Droplet) -> None:
    log = release_log.ReleaseLog(vertical.home / "log.json")
    vertical.activate("1")
    log.begin("ab" * 32, {})
    (vertical.home / "armed").write_text("abab\n")
    assert vertical.run("settle", "vertical") == 0
    assert log_of(vertical)[0]["outcome"] == "killed"
    log.begin("cd" * 32, {})
    vertical.activate("2")
    assert [each["outcome"] for each in log_of(vertical)] == ["active", "killed", "killed", "active"]


def test_thirty_are_kept_and_numbers_go_on(tmp_path: Path) -> None:
    log = release_log.ReleaseLog(tmp_path / "log.json")
    for _ in range(35):
        log.begin("ab", {})
        log.end("active")
    assert [each["number"] for each in log.read()] == list(range(35, 5, -1))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"releases": 5}', '{"releases": [{"number": "1"}]}'])
def test_a_damaged_log_stops_no_release_and_begins_anew(vertical: Droplet, text: str) -> None:
    vertical.home.mkdir(parents=True)
    (vertical.home / "log.json").write_text(text)
    assert vertical.activate("1") == 0
    assert [(each["number"], each["outcome"]) for each in log_of(vertical)] == [(1, "active")]


def test_no_secret_is_in_a_reason(vertical: Droplet) -> None:
    vertical.activate("1")
    password = "a-password-of-26-letters-z"
    vertical.answer(f"{vertical.digest('2')}.* up ", rc=1, stderr=f"refused {password}\n")
    assert vertical.activate("2", password=password) == 1
    assert password not in (vertical.home / "log.json").read_text()
