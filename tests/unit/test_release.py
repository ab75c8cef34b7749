"""release.py: order of steps, no-op, secrets, refusals, pruning and reboot, with a recording `docker`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.unit.release_support import (
    PASSWORD,
    Droplet,
    bundle,
    digest_of,
    files,
    kind,
    mode,
)

ONE = digest_of(bundle("vertical", "1"))
TWO = digest_of(bundle("vertical", "2"))


# ---- the order of a good activation --------------------------------------------------------------------------


def test_the_first_activation_starts_the_containers_and_installs_the_unit(vertical: Droplet) -> None:
    assert vertical.activate() == 0
    assert vertical.steps() == [
        f"docker compose vertical@{ONE[:8]} up -d --wait --wait-timeout 180 --remove-orphans",
        "systemctl daemon-reload",
        "systemctl enable basecommerce-vertical.service",
        "systemctl start --no-block basecommerce-vertical.service",
    ]
    assert vertical.state()[0]["digest"] == ONE
    assert (vertical.home / "current" / "compose.yaml").is_file()


def test_infra_migrates_after_its_stores_are_healthy_and_before_all_is_started(infra: Droplet) -> None:
    assert infra.activate() == 0
    at = f"infra@{digest_of(bundle('infra', '1'))[:8]}"
    assert infra.steps()[:5] == [
        f"docker compose {at} up -d --wait --wait-timeout 180 postgres redis",
        f"docker compose {at} exec -T postgres psql -qX -Ubasecommerce -f /etc/basecommerce/password.sql",
        "docker rm -f infra-migrate",
        f"docker compose {at} --profile migrate run --rm -T --no-deps --name infra-migrate migrate",
        f"docker compose {at} up -d --wait --wait-timeout 180 --remove-orphans",
    ]


def test_a_missing_image_is_pulled_before_anything_is_started(vertical: Droplet) -> None:
    vertical.answer("image inspect .*haproxy", rc=1)
    assert vertical.activate() == 0
    assert vertical.steps()[:2] == [
        "docker pull --quiet registry.example/haproxy:1",
        f"docker compose vertical@{ONE[:8]} up -d --wait --wait-timeout 180 --remove-orphans",
    ]


def test_the_unit_waits_for_the_data_volume_on_infra_only(infra: Droplet) -> None:
    assert infra.activate() == 0
    unit = (infra.paths.units / "basecommerce-infra.service").read_text()
    assert f"RequiresMountsFor={infra.paths.data}\n" in unit
    assert f"ExecStart=/usr/bin/python3 -B {infra.paths.root}/scripts/release.py start infra\n" in unit
    assert b"RequiresMountsFor" not in files.unit("vertical", infra.paths)


def test_a_restart_of_docker_does_not_stop_the_containers() -> None:
    assert b"Wants=docker.service" in files.unit("edge", files.Paths())
    assert b"Requires=docker.service" not in files.unit("edge", files.Paths())


# ---- nothing to do -------------------------------------------------------------------------------------------


def test_the_same_release_again_changes_no_file_and_no_container(
    vertical: Droplet, capsys: pytest.CaptureFixture[str]
) -> None:
    vertical.activate()
    units = vertical.paths.units / "multi-user.target.wants"
    units.mkdir()
    (units / "basecommerce-vertical.service").symlink_to("../basecommerce-vertical.service")  # as systemctl enable does
    before = vertical.tree()
    vertical.calls()
    capsys.readouterr()
    assert vertical.activate() == 0
    assert "already active" in capsys.readouterr().err
    assert vertical.tree() == before
    assert vertical.steps() == ["systemctl start --no-block basecommerce-vertical.service"]


@pytest.mark.parametrize("state", [("exited", ""), ("running", "unhealthy"), ("missing", "")])
def test_the_same_release_with_a_sick_container_is_brought_up_again(vertical: Droplet, state: tuple[str, str]) -> None:
    vertical.activate()
    vertical.calls()
    vertical.answer("ps -a --format json", stdout=vertical.ps(construction=state), times=1)
    assert vertical.activate() == 0
    assert kind(vertical.steps()[0]) == f"vertical@{ONE[:8]} up"


# ---- what a change touches -----------------------------------------------------------------------------------


def test_a_changed_secret_changes_only_the_path_of_its_own_file(vertical: Droplet) -> None:
    both = {"app.env": secret("one-one-one-one-one-one-one"), "other.env": secret("kept-kept-kept-kept-kept-kept")}
    vertical.activate(secrets=both)
    before = vertical.variables()
    vertical.activate(secrets={**both, "app.env": secret("two-two-two-two-two-two-two")})
    after = vertical.variables()
    assert {name for name in before if before[name] != after[name]} == {"SECRET_APP_ENV"}
    assert Path(after["SECRET_APP_ENV"]).read_text() == "two-two-two-two-two-two-two"


def test_a_new_tag_leaves_the_mounted_files_where_they_are(vertical: Droplet) -> None:
    vertical.activate("1")
    before = vertical.variables()
    vertical.activate("2")
    assert vertical.variables() == before
    assert vertical.state()[0]["digest"] == TWO


def test_a_changed_file_changes_the_path_of_its_directory(vertical: Droplet) -> None:
    vertical.activate(extra={"other/a.conf": "a"})
    before = vertical.variables()
    vertical.activate(extra={"other/a.conf": "b"})
    after = vertical.variables()
    assert {name for name in before if before[name] != after[name]} == {"OTHER_DIR"}
    assert (Path(after["OTHER_DIR"]) / "a.conf").read_text() == "b"


def test_a_changed_address_activates_the_same_bundle_again(vertical: Droplet) -> None:
    vertical.activate()
    vertical.calls()
    hosts = {"INFRA_ADDRESS": "10.20.0.99", "PRIVATE_ADDRESS": "127.0.0.1"}
    assert vertical.activate(hosts=hosts) == 0
    assert kind(vertical.steps()[0]) == f"vertical@{ONE[:8]} up"
    assert vertical.variables()["INFRA_ADDRESS"] == "10.20.0.99"


# ---- secrets -------------------------------------------------------------------------------------------------


def secret(content: str) -> dict[str, object]:
    return {"content": content, "uid": os.getuid(), "gid": os.getgid()}


def test_secret_files_are_0400_in_a_directory_for_root_alone(vertical: Droplet) -> None:
    vertical.activate()
    path = Path(vertical.variables()["SECRET_APP_ENV"])
    assert path.read_text() == f"PASSWORD='{PASSWORD}'\n"
    assert (mode(path), mode(path.parent)) == (0o400, 0o700)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_secret_files_belong_to_the_containers_user(vertical: Droplet) -> None:
    vertical.activate(secrets={"app.env": {"content": "x", "uid": 10001, "gid": 10001}})
    have = Path(vertical.variables()["SECRET_APP_ENV"]).stat()
    assert (have.st_uid, have.st_gid) == (10001, 10001)


def test_a_secret_file_with_a_wrong_mode_is_healed(vertical: Droplet) -> None:
    vertical.activate()
    path = Path(vertical.variables()["SECRET_APP_ENV"])
    path.chmod(0o644)
    vertical.activate()
    assert mode(path) == 0o400


def test_no_secret_is_in_any_argument_list_or_output(vertical: Droplet, capsys: pytest.CaptureFixture[str]) -> None:
    vertical.answer(" up ", rc=1, stderr=f"bad URL: postgresql://user:{PASSWORD}@host\n")
    vertical.answer("ps -a --format json", stdout=vertical.ps(construction=("running", "unhealthy")))
    vertical.answer(" logs ", stdout=f"cannot use {PASSWORD}\n")
    vertical.answer("docker inspect", stdout=f"refused {PASSWORD}\n")
    assert vertical.activate() == 1
    said = capsys.readouterr()
    assert "cannot use [secret]" in said.err
    assert PASSWORD not in said.err + said.out + "".join(vertical.calls())


def test_files_laid_under_a_tight_umask_are_readable_by_the_containers(vertical: Droplet) -> None:
    before = os.umask(0o077)
    try:
        vertical.activate()
    finally:
        os.umask(before)
    directory = Path(vertical.variables()["CONFIG_DIR"])
    assert (mode(directory), mode(directory / "service.conf")) == (0o755, 0o644)


# ---- refusals before anything is touched ------------------------------------------------------------------------


def test_an_image_that_cannot_be_pulled_leaves_the_running_release_alone(vertical: Droplet) -> None:
    vertical.activate("1")
    vertical.calls()
    vertical.answer("image inspect", rc=1)
    vertical.answer("pull", rc=1, stderr="manifest unknown\n")
    assert vertical.activate("2") == 1
    assert vertical.steps() == ["docker pull --quiet registry.example/construction:1"]
    assert vertical.state()[0]["digest"] == ONE


def test_without_the_private_address_nothing_is_started(vertical: Droplet, capsys: pytest.CaptureFixture[str]) -> None:
    assert vertical.activate(address="192.0.2.77") == 1
    assert "PRIVATE_ADDRESS: 192.0.2.77 is on no interface" in capsys.readouterr().err
    assert vertical.steps() == []


def test_without_the_data_volume_no_database_is_started(
    infra: Droplet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Path, "is_mount", lambda _: False)
    assert infra.activate() == 1
    assert "the data volume is not mounted" in capsys.readouterr().err
    assert infra.steps() == []
    assert list(infra.paths.data.iterdir()) == []


# ---- pruning -----------------------------------------------------------------------------------------------------


def test_three_releases_are_kept_and_the_image_of_the_fourth_is_removed(vertical: Droplet) -> None:
    for tag in "1234":
        assert vertical.activate(tag, password=f"password-number-{tag}-of-the-day") == 0
    kept = [digest_of(bundle("vertical", tag)) for tag in "432"]
    assert [r["digest"] for r in vertical.state()] == kept
    assert sorted(path.name for path in (vertical.home / "releases").iterdir()) == sorted(kept)
    assert len(list((vertical.home / "secrets").iterdir())) == 3
    assert [call for call in vertical.steps() if "image rm" in call] == ["docker image rm registry.example/app:1"]


def test_going_back_to_an_older_release_keeps_it_startable(vertical: Droplet) -> None:
    for tag in ("1", "2", "1"):
        assert vertical.activate(tag) == 0
    assert [r["digest"] for r in vertical.state()] == [ONE, TWO]
    assert vertical.run("start", "vertical") == 0


# ---- start, stop, status -----------------------------------------------------------------------------------------


def test_start_brings_up_the_recorded_release_and_pulls_nothing(vertical: Droplet) -> None:
    vertical.activate()
    vertical.calls()
    assert vertical.run("start", "vertical") == 0
    assert vertical.steps() == [f"docker compose vertical@{ONE[:8]} up -d --wait --wait-timeout 180 --remove-orphans"]


def test_start_refuses_without_the_data_volume(infra: Droplet, monkeypatch: pytest.MonkeyPatch) -> None:
    infra.activate()
    infra.calls()
    monkeypatch.setattr(Path, "is_mount", lambda _: False)
    assert infra.run("start", "infra") == 1
    assert infra.steps() == []


def test_start_waits_for_an_address_that_comes_late(vertical: Droplet, monkeypatch: pytest.MonkeyPatch) -> None:
    vertical.activate()
    answers = iter([False, False, True])
    monkeypatch.setattr(files, "is_local", lambda _: next(answers))
    monkeypatch.setattr("release.ADDRESS_WAIT", 10)
    assert vertical.run("start", "vertical") == 0


def test_start_without_any_release_says_so(vertical: Droplet, capsys: pytest.CaptureFixture[str]) -> None:
    assert vertical.run("start", "vertical") == 1
    said = capsys.readouterr().err
    assert "vertical: state.json: no release is active" in said
    assert "hint: " in said


def test_stop_stops_the_containers_and_keeps_them(vertical: Droplet) -> None:
    vertical.activate()
    vertical.calls()
    assert vertical.run("stop", "vertical") == 0
    assert vertical.steps() == [f"docker compose vertical@{ONE[:8]} stop"]


def test_status_shows_digest_time_and_health(vertical: Droplet, capsys: pytest.CaptureFixture[str]) -> None:
    vertical.activate()
    vertical.answer("ps -a --format json", stdout=vertical.ps(haproxy=("exited", "")))
    capsys.readouterr()
    assert vertical.run("status", "vertical", "--json") == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["tier"], status["digest"]) == ("vertical", ONE)
    assert status["since"] == vertical.state()[0]["since"]
    assert status["services"] == [
        {"name": "construction", "state": "running", "health": "healthy"},
        {"name": "haproxy", "state": "exited", "health": ""},
    ]


@pytest.mark.parametrize("argv", [["activate", "vertical"], ["activate", "vertical", "abc"], ["start", "nowhere"], []])
def test_a_wrong_call_exits_2(vertical: Droplet, argv: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        vertical.run(*argv)
    assert ended.value.code == 2


def test_the_variables_of_the_caller_do_not_reach_compose(vertical: Droplet, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would override the env files."""
    monkeypatch.setenv("IMAGE_APP", "evil:latest")
    (vertical.bin / "docker").write_text(f"#!/bin/sh\nenv >> {vertical.bin}/environment\nexit 1\n")
    vertical.activate()
    assert "IMAGE_APP" not in (vertical.bin / "environment").read_text()
