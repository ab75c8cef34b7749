"""host_checks.py: no container is started without room, the private address and the data volume."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.unit.release_support import Droplet, host_checks, programs, tier_files


def description(mount: Path, **data: int) -> Any:
    return tier_files.Description(mount, data, {}, 0)


def test_a_release_is_refused_on_a_disk_that_it_could_fill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = shutil.disk_usage(tmp_path)._replace(free=1023 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    paths = tier_files.Paths(root=tmp_path / "not/yet/there", units=tmp_path)
    with pytest.raises(programs.ReleaseError, match="1023 MiB free, a release needs 1024") as refusal:
        host_checks.check_disks("edge", paths, description(tmp_path))
    assert str(refusal.value).startswith(f"edge: disk: {tmp_path}/not/yet/there")


def test_an_activation_lays_nothing_on_such_a_disk(vertical: Droplet, monkeypatch: pytest.MonkeyPatch) -> None:
    little = shutil.disk_usage(vertical.directory)._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: little)
    assert vertical.activate() == 1
    assert vertical.calls() == []
    assert not (vertical.home / "releases").exists()


def test_the_data_volume_is_looked_at_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enough, little = (shutil.disk_usage(tmp_path)._replace(free=mib * 2**20) for mib in (5000, 100))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: little if path == tmp_path / "data" else enough)
    (tmp_path / "data").mkdir()
    paths = tier_files.Paths(root=tmp_path, units=tmp_path)
    host_checks.check_disks("edge", paths, description(tmp_path / "data"))
    with pytest.raises(programs.ReleaseError, match="data: 100 MiB free, a release needs 512"):
        host_checks.check_disks("infra", paths, description(tmp_path / "data", postgres=999))


def test_without_the_private_address_nothing_is_started(vertical: Droplet, capsys: pytest.CaptureFixture[str]) -> None:
    assert vertical.activate(address="192.0.2.77") == 1
    assert "PRIVATE_ADDRESS: 192.0.2.77 is on no interface" in capsys.readouterr().err
    assert vertical.steps() == []


def test_start_waits_for_an_address_that_comes_late(vertical: Droplet, monkeypatch: pytest.MonkeyPatch) -> None:
    vertical.activate()
    answers = iter([False, False, True])
    monkeypatch.setattr(host_checks, "is_local", lambda _: next(answers))
    monkeypatch.setattr(host_checks, "ADDRESS_WAIT", 10)
    assert vertical.run("start", "vertical") == 0


def test_without_the_data_volume_no_database_is_started(
    infra: Droplet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Path, "is_mount", lambda _: False)
    assert infra.activate() == 1
    assert "the data volume is not mounted" in capsys.readouterr().err
    assert infra.steps() == []
    assert list(infra.volume.iterdir()) == []


def test_start_refuses_without_the_data_volume(infra: Droplet, monkeypatch: pytest.MonkeyPatch) -> None:
    infra.activate()
    infra.calls()
    monkeypatch.setattr(Path, "is_mount", lambda _: False)
    assert infra.run("start", "infra") == 1
    assert infra.steps() == []
