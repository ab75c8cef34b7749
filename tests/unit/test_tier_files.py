"""tier_files.py: what is laid under which name, with which mode, what is kept, and the unit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.release_support import COMPOSE, PASSWORD, Droplet, bundle, digest_of, mode

ONE = digest_of(bundle("vertical", "1"))
TWO = digest_of(bundle("vertical", "2"))


# ---- what a change touches ---------------------------------------------------------------------------------


def secret(content: str) -> dict[str, object]:
    return {"content": content, "uid": os.getuid(), "gid": os.getgid()}


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


def test_a_name_is_the_hash_of_what_it_names(vertical: Droplet) -> None:
    """By value: names of other hashes would recreate every container of every droplet."""
    vertical.activate()
    variables = vertical.variables()
    names = {name: Path(variables[name]).name for name in ("CONFIG_DIR", "SECRET_APP_ENV")}
    assert names == {"CONFIG_DIR": "config-c95f243f39b4", "SECRET_APP_ENV": "app.env.63335a332a05"}


# ---- modes and owners --------------------------------------------------------------------------------------


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


def test_files_laid_under_a_tight_umask_are_readable_by_the_containers(vertical: Droplet) -> None:
    before = os.umask(0o077)
    try:
        vertical.activate()
    finally:
        os.umask(before)
    directory = Path(vertical.variables()["CONFIG_DIR"])
    assert (mode(directory), mode(directory / "service.conf")) == (0o755, 0o644)


# ---- whole or not at all -----------------------------------------------------------------------------------


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


# ---- pruning -----------------------------------------------------------------------------------------------


def test_three_releases_are_kept_and_the_image_of_the_fourth_is_removed(vertical: Droplet) -> None:
    for tag in "1234":
        assert vertical.activate(tag, password=f"password-number-{tag}-of-the-day") == 0
    kept = [digest_of(bundle("vertical", tag)) for tag in "432"]
    assert [r["digest"] for r in vertical.state()] == kept
    assert sorted(path.name for path in (vertical.home / "releases").iterdir()) == sorted(kept)
    assert len(list((vertical.home / "secrets").glob("app.env.*"))) == 3
    assert [call for call in vertical.steps() if "image rm" in call] == ["docker image rm registry.example/app:1"]


def test_going_back_to_an_older_release_keeps_it_startable(vertical: Droplet) -> None:
    for tag in ("1", "2", "1"):
        assert vertical.activate(tag) == 0
    assert [r["digest"] for r in vertical.state()] == [ONE, TWO]
    assert vertical.run("start", "vertical") == 0


# ---- the unit, and the scripts that it runs ----------------------------------------------------------------


def test_the_unit_waits_for_the_data_volume_on_infra_only(infra: Droplet) -> None:
    assert infra.activate() == 0
    unit = (infra.paths.units / "basecommerce-infra.service").read_text()
    assert f"RequiresMountsFor={infra.volume}\n" in unit
    assert f"ExecStart=/usr/bin/python3 -B {infra.paths.root}/scripts/release.py start infra\n" in unit


def test_the_unit_of_a_tier_without_data_waits_for_docker_and_no_volume(vertical: Droplet) -> None:
    """A restart of Docker must not stop the containers."""
    assert vertical.activate() == 0
    unit = (vertical.paths.units / "basecommerce-vertical.service").read_text()
    assert "RequiresMountsFor" not in unit
    assert "Wants=docker.service" in unit
    assert "Requires=docker.service" not in unit


def test_the_active_releases_scripts_are_what_the_unit_runs(vertical: Droplet) -> None:
    """They find beside them what they import; what an earlier release had there is gone."""
    scripts = vertical.paths.root / "scripts"
    scripts.mkdir(parents=True)
    (scripts / "release.py").write_text("import release_files\n")
    (scripts / "release_files.py").write_text("")
    vertical.activate()
    assert sorted(path.name for path in scripts.iterdir()) == sorted(path.name for path in COMPOSE.glob("*.py"))
    command = [sys.executable, "-B", str(scripts / "release.py"), "--help"]
    assert subprocess.run(command, capture_output=True, check=True).stdout.startswith(b"usage: release.py")


def test_scripts_of_the_host_stay_beside_those_of_a_release(vertical: Droplet) -> None:
    vertical.activate()
    scripts = vertical.paths.root / "scripts"
    (scripts / "prune.sh").write_text("#!/bin/sh\n")
    (scripts / "watchdog.py").write_text("older")
    vertical.activate("2")
    assert (scripts / "prune.sh").read_text() == "#!/bin/sh\n"
    assert (scripts / "watchdog.py").read_text() == (COMPOSE / "watchdog.py").read_text()
    assert mode(scripts / "watchdog.py") == 0o755
    assert not list(scripts.glob("*.next"))
