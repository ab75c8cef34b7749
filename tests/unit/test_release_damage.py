"""Whatever release.py reads back may be damaged: it reports which file, and the next activation repairs it."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path
from typing import Any

import pytest

from localcloud.tests.damaged import KINDS, damages
from tests.unit.release_support import Droplet, atomic_files, bundle, digest_of, kind, programs, tier_files

ONE = digest_of(bundle("vertical", "1"))
TWO = digest_of(bundle("vertical", "2"))
RECORDS: dict[str, Any] = {
    "no releases": {"tier": "vertical"},
    "a release that is null": {"releases": [None]},
    "a release without its hosts": {"releases": [{"digest": ONE}]},
    "a digest that leads elsewhere": {"releases": [{"digest": "../..", "hosts": "0123456789ab"}]},
    "a time that is a number": {"releases": [{"digest": ONE, "hosts": "0123456789ab", "since": 5}]},
}
DAMAGES = (*KINDS, *RECORDS)
TRIED = ("empty", "cut", "not UTF-8", "no releases")
"""On a whole droplet; the others on the file alone, since each activation takes half a second."""


def content(whole: bytes, damage: str) -> bytes:
    return {**damages(whole), **{name: json.dumps(each).encode() for name, each in RECORDS.items()}}[damage]


@pytest.mark.parametrize("damage", DAMAGES)
def test_no_damaged_record_is_taken_for_one(tmp_path: Path, damage: str) -> None:
    files = tier_files.TierFiles("vertical", tier_files.Paths(tmp_path))
    whole = {"releases": [{"digest": ONE, "hosts": "0123456789ab", "since": "2026-11-29T03:00:00Z"}]}
    files.directory.mkdir()
    files.state_file.write_text(json.dumps(whole))
    assert files.active().digest == ONE
    files.state_file.write_bytes(damaged := content(files.state_file.read_bytes(), damage))
    for ask in (files.history, files.latest, files.active):
        with pytest.raises(programs.ReleaseError, match=r"/state\.json: damaged: "):
            ask()
    assert files.set_damaged_record_aside()
    assert (files.latest(), files.damaged_file.read_bytes()) == (None, damaged)
    assert files.set_damaged_record_aside() is None


@pytest.mark.parametrize("damage", [*KINDS, "gone"])
def test_no_damaged_variables_are_taken_for_whole(tmp_path: Path, damage: str) -> None:
    files = tier_files.TierFiles("vertical", tier_files.Paths(tmp_path))
    whole = b"PRIVATE_ADDRESS=127.0.0.1\nSECRET_A=/a\n"
    release = tier_files.Release(ONE, tier_files.short(whole))
    path = files.variables_file(release)
    path.parent.mkdir(parents=True)
    path.write_bytes(whole)
    assert files.variables(release) == {"PRIVATE_ADDRESS": "127.0.0.1", "SECRET_A": "/a"}
    path.unlink() if damage == "gone" else path.write_bytes(damages(whole)[damage])
    with pytest.raises(programs.ReleaseError, match=r"\.env: missing or damaged"):
        files.variables(release)


PAYLOADS: dict[str, Any] = {
    "an address that is none": {"hosts": {"A": "10.0.0"}, "secrets": {}},
    "a secret that is a text": {"hosts": {}, "secrets": {"a.env": "text"}},
    "a secret that is a number": {"hosts": {}, "secrets": {"a.env": {"content": 5, "uid": 1, "gid": 1}}},
    "an owner that is a text": {"hosts": {}, "secrets": {"a.env": {"content": "hunter2", "uid": "1", "gid": 1}}},
}


@pytest.mark.parametrize("damage", [*KINDS, *PAYLOADS])
def test_no_damaged_payload_is_taken_for_whole(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "payload.json"
    whole: dict[str, Any] = {"hosts": {}, "secrets": {}}
    path.write_text(json.dumps(whole))
    assert tier_files.read_payload(path) == whole
    path.write_bytes(json.dumps(PAYLOADS[damage]).encode() if damage in PAYLOADS else damages(b'{"hosts": {}')[damage])
    with pytest.raises(programs.ReleaseError, match=r"payload\.json: damaged payload: ") as caught:
        tier_files.read_payload(path)
    assert "hunter2" not in str(caught.value)


@pytest.fixture
def damaged(vertical: Droplet, request: pytest.FixtureRequest) -> tuple[Droplet, bytes]:
    """A droplet with an active release whose record was damaged, and the damage."""
    assert vertical.activate("1") == 0
    path = vertical.home / "state.json"
    path.write_bytes(damage := content(path.read_bytes(), request.param))
    vertical.calls()
    return vertical, damage


@pytest.mark.parametrize("damaged", TRIED, indirect=True)
def test_an_activation_sets_a_damaged_record_aside_and_makes_it_anew(
    damaged: tuple[Droplet, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    vertical, content = damaged
    assert vertical.activate("2") == 0
    assert [release["digest"] for release in vertical.state()] == [TWO, ONE], "the links name what ran"
    assert (vertical.home / "state.json.damaged").read_bytes() == content
    said = capsys.readouterr().err
    assert f"release: vertical: {vertical.home}/state.json: damaged: " in said
    assert f"; it is now state.json.damaged, and {ONE[:12]}, which `current` names, is recorded\n" in said


@pytest.mark.parametrize("command", ["start", "stop"])
@pytest.mark.parametrize("damaged", ["cut"], indirect=True)
def test_the_unit_starts_and_stops_what_the_links_name(damaged: tuple[Droplet, bytes], command: str) -> None:
    vertical, _ = damaged
    assert vertical.run(command, "vertical") == 0
    done = {"start": "up", "stop": "stop"}[command]
    assert {kind(step) for step in vertical.steps()} == {f"vertical@{ONE[:8]} {done}"}
    assert [release["digest"] for release in vertical.state()] == [ONE]


@pytest.mark.parametrize("damaged", ["cut"], indirect=True)
@pytest.mark.parametrize("link", ["current", "hosts.env"])
def test_links_that_lead_to_nothing_whole_are_not_taken_for_a_record(damaged: tuple[Droplet, bytes], link: str) -> None:
    vertical, _ = damaged
    if link == "current":
        (vertical.home / link).unlink()
    else:
        (vertical.home / link).resolve().write_bytes(b"PRIVATE_ADDRESS=127.0.0.2\n")
    assert vertical.run("start", "vertical") == 1
    assert not (vertical.home / "state.json").exists()
    assert vertical.steps() == []


@pytest.mark.parametrize("damaged", ["cut"], indirect=True)
def test_after_a_damaged_record_a_failed_release_brings_back_what_the_links_name(
    damaged: tuple[Droplet, bytes],
) -> None:
    vertical, _ = damaged
    vertical.answer(f"{TWO}.* up ", rc=1)
    assert vertical.activate("2") == 1
    assert {kind(step) for step in vertical.steps()} == {f"vertical@{TWO[:8]} up", f"vertical@{ONE[:8]} up"}


@pytest.mark.parametrize("damaged", ["cut"], indirect=True)
def test_without_record_and_links_a_failed_release_stops_nothing_that_runs(
    damaged: tuple[Droplet, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    vertical, _ = damaged
    (vertical.home / "current").unlink()
    vertical.answer(" up ", rc=1)
    for _ in range(2):  # the second finds no record at all
        assert vertical.activate("2") == 1
        assert {kind(step) for step in vertical.steps()} == {f"vertical@{TWO[:8]} up"}
        assert "its record was damaged: leaves all as it is" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["start", "stop", "status"])
@pytest.mark.parametrize("damaged", ["cut"], indirect=True)
def test_other_commands_name_the_file_and_the_way_on(
    damaged: tuple[Droplet, bytes], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    vertical, _ = damaged
    (vertical.home / "current").unlink()
    vertical.run(command, "vertical")
    said = capsys.readouterr().err
    assert f"release: vertical: {vertical.home}/state.json: damaged: " in said
    assert "release: hint: run `basec up`: what runs stays, and the record is written again\n" in said
    assert vertical.steps() == []


@pytest.mark.parametrize("damaged", ["cut"], indirect=True)
def test_check_reports_a_damaged_record_and_touches_nothing(
    damaged: tuple[Droplet, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    vertical, content = damaged
    assert vertical.run("check", "vertical") == 0
    assert capsys.readouterr().out.startswith(f"vertical: {vertical.home}/state.json: damaged: ")
    assert (vertical.home / "state.json").read_bytes() == content


def test_check_reports_damaged_variables_and_a_lost_record_and_only_those(
    vertical: Droplet, capsys: pytest.CaptureFixture[str]
) -> None:
    def said() -> str:
        capsys.readouterr()
        assert vertical.run("check", "vertical") == 0
        return capsys.readouterr().out

    assert said() == "", "nothing was ever activated"
    vertical.activate()
    assert said() == ""
    compose = vertical.home / "current/compose.yaml"
    whole = compose.read_text()
    compose.write_text("")
    assert said() == f"vertical: {compose.parent.resolve()}: a file is missing or damaged"
    compose.unlink()
    assert said().endswith(": a file is missing or damaged")
    assert vertical.activate() == 0, "the same release once more"
    assert (compose.read_text(), said()) == (whole, "")
    path = (vertical.home / "hosts.env").resolve()
    path.write_bytes(b"")
    assert said() == f"vertical: {path}: missing or damaged"
    (vertical.home / "state.json").rename(vertical.home / "state.json.damaged")
    assert said() == f"vertical: {vertical.home}/state.json: gone"


@pytest.mark.parametrize("damaged", ["cut"], indirect=True)
def test_status_only_looks_since_it_does_not_wait_for_the_lock(damaged: tuple[Droplet, bytes]) -> None:
    vertical, content = damaged
    assert vertical.run("status", "vertical") == 1
    assert (vertical.home / "state.json").read_bytes() == content


def test_a_record_with_what_a_newer_release_added_is_read(vertical: Droplet) -> None:
    vertical.activate("1")
    path = vertical.home / "state.json"
    state = json.loads(path.read_text())
    state["releases"][0]["colour"] = "blue"
    path.write_text(json.dumps({**state, "version": 2}))
    assert vertical.run("status", "vertical") == 0
    assert vertical.activate("2") == 0
    assert [release["digest"] for release in vertical.state()] == [TWO, ONE]


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_file_of_variables_is_named_and_laid_anew(
    vertical: Droplet, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    vertical.activate()
    path = (vertical.home / "hosts.env").resolve()
    whole = path.read_bytes()
    path.unlink() if damage == "gone" else path.write_bytes(damages(whole)[damage])
    capsys.readouterr()
    assert vertical.run("start", "vertical") == 1
    assert capsys.readouterr().err.splitlines() == [
        f"release: vertical: {path}: missing or damaged",
        "release: hint: run `basec up`: it writes the file again",
    ]
    assert vertical.activate() == 0
    assert path.read_bytes() == whole
    assert vertical.run("start", "vertical") == 0


def test_damaged_variables_of_an_older_release_stop_no_activation(vertical: Droplet) -> None:
    vertical.activate("1", password="another-password-of-31-letters")
    (vertical.home / "hosts.env").resolve().write_bytes(b"\0")
    assert vertical.activate("2") == 0
    assert [release["digest"] for release in vertical.state()] == [TWO, ONE]


@pytest.mark.parametrize("damage", ["cut", "not UTF-8"])
def test_a_damaged_payload_touches_nothing_and_says_so(
    vertical: Droplet, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = vertical.activation(bundle("vertical"))
    path = Path(argv[-1])
    path.write_bytes(damages(path.read_bytes())[damage])
    assert vertical.run(*argv) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith(f"release: {path}: damaged payload: ")
    assert said[1:] == ["release: hint: run the same command again"]
    assert vertical.calls() == []


@pytest.mark.parametrize("content", [b"", b"\0" * 40, b"caf\xe9"])
def test_a_lock_whose_holder_cannot_be_read_is_still_a_lock(
    vertical: Droplet, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    vertical.home.mkdir(parents=True)
    with (vertical.home / "lock").open("wb") as lock:
        lock.write(content)
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert vertical.activate() == 1
    assert "vertical: lock: held for more than 0 s by " in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["not UTF-8"])
def test_a_damaged_bundle_on_the_disk_is_laid_anew(vertical: Droplet, damage: str) -> None:
    vertical.activate("1")
    path = vertical.home / "current" / ".env"
    whole = path.read_bytes()
    path.write_bytes(damages(whole)[damage])
    assert vertical.activate("2") == 0
    assert vertical.activate("1") == 0
    assert (vertical.home / "current" / ".env").read_bytes() == whole


def test_what_cannot_be_removed_is_reported_and_the_rest_is_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "directory").mkdir()
    gone, there, directory = tmp_path / "gone", tmp_path / "there", tmp_path / "directory"
    there.touch()
    atomic_files.remove([gone, there, directory])
    assert not there.exists()
    assert not directory.exists()
    assert capsys.readouterr().err == f"release: {gone}: cannot be removed: No such file or directory\n"
