"""`up` leaves the person's name on the hosts that it gave a release, and nobody's anywhere else."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from basec.environments import Environment
from basec.hosts import activations
from basec.hosts.onhost import sign
from basec.hosts.onhost.status import active_release
from basec.io.console import Stages
from basec.session import Session
from tests.cli.fake_droplets import ROLES, install
from tests.unit.release_support import release_log
from topology.errors import BasecommerceError

SINCE = "%Y-%m-%dT%H:%M:%SZ"


def activate(root: Path, tier: str, seconds_ago: float = 0) -> None:
    """Record a release as release.py does."""
    directory = root / "opt/basecommerce" / tier
    directory.mkdir(parents=True, exist_ok=True)
    since = time.strftime(SINCE, time.gmtime(time.time() - seconds_ago))
    state = {"tier": tier, "releases": [{"digest": "ab" * 32, "hosts": "0", "since": since}]}
    (directory / "state.json").write_text(json.dumps(state))


def name_on(root: Path, tier: str) -> str | None:
    return (active_release(root, tier) or {})["by"]


def test_an_activation_of_before_is_somebody_elses(tmp_path: Path) -> None:
    activate(tmp_path, "edge", seconds_ago=100)
    sign.main("edge", "ana", "90", tmp_path)
    assert name_on(tmp_path, "edge") is None
    sign.main("edge", "ana", "110", tmp_path)
    assert name_on(tmp_path, "edge") == "ana"


def test_a_name_is_of_one_activation_and_of_no_later_one(tmp_path: Path) -> None:
    activate(tmp_path, "edge", seconds_ago=50)
    sign.main("edge", "ana", "90", tmp_path)
    activate(tmp_path, "edge", seconds_ago=20)
    assert name_on(tmp_path, "edge") is None
    sign.main("edge", "bia", "90", tmp_path)
    assert name_on(tmp_path, "edge") == "bia"


def test_the_log_names_who_activated_its_newest(tmp_path: Path) -> None:
    activate(tmp_path, "edge", seconds_ago=20)
    path = tmp_path / "opt/basecommerce/edge/log.json"
    log = release_log.ReleaseLog(path)
    log.begin("ab" * 32, {})
    sign.main("edge", "ana", "0", tmp_path)
    assert [each["by"] for each in log.read()] == [""]
    sign.main("edge", "ana", "90", tmp_path)
    sign.main("edge", "bia", "90", tmp_path)
    assert [each["by"] for each in log.read()] == ["ana"]
    path.write_text("[")
    sign.main("edge", "ana", "90", tmp_path)
    assert name_on(tmp_path, "edge") == "ana"


def test_where_nothing_was_ever_activated_nothing_is_left(tmp_path: Path) -> None:
    sign.main("edge", "ana", "90", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def machine(tmp_path: Path, clone: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three droplets that share one root, where every tier has an active release of an hour ago."""
    install(tmp_path / "droplets", clone, monkeypatch)
    root = tmp_path / "root"
    for tier in ROLES:
        activate(root, tier, seconds_ago=3600)
    monkeypatch.setattr(activations, "PROGRAM", activations.PROGRAM.replace('Path("/")', f"Path({str(root)!r})"))
    monkeypatch.setattr(activations, "person", lambda: "ana; touch /tmp/$HOME 'x'")
    return root


def up(clone: Path, root: Path, stages: Stages, *tiers: str, fail: bool = False) -> None:
    """Activate a release of these tiers in the stage of that name; it may fail after it."""
    environment = Environment(name="local", root=clone)
    (clone / ".local/local").mkdir(parents=True, exist_ok=True)
    cloud = {"mode": "real", "public_subnet": "", "cloudflare_address": "", "vpc_range": "", "http_port": 80}
    environment.cloud_file.parent.mkdir(parents=True, exist_ok=True)
    environment.cloud_file.write_text(json.dumps(cloud))
    with activations.signed(Session(environment), stages), stages.stage("up"):
        for tier in tiers:
            activate(root, tier)
        if fail:
            raise BasecommerceError("basec: local: the shop does not serve", "look")


def test_the_name_is_left_where_this_up_activated_something_and_as_it_was_typed(clone: Path, machine: Path) -> None:
    up(clone, machine, Stages(), "edge", "infra")
    assert name_on(machine, "edge") == name_on(machine, "infra") == "ana; touch /tmp/$HOME 'x'"
    assert name_on(machine, "vertical") is None


def test_an_up_that_fails_half_way_leaves_the_name_of_what_it_did_and_fails_as_before(
    clone: Path, machine: Path
) -> None:
    with pytest.raises(BasecommerceError, match="the shop does not serve"):
        up(clone, machine, Stages(), "edge", fail=True)
    assert name_on(machine, "edge") == "ana; touch /tmp/$HOME 'x'"


def test_a_host_that_does_not_answer_goes_without_and_nothing_fails(clone: Path, machine: Path, tmp_path: Path) -> None:
    (tmp_path / "droplets/edge.down").touch()
    up(clone, machine, Stages(), "edge", "infra")
    assert name_on(machine, "edge") is None
    assert name_on(machine, "infra") is not None


def test_an_up_with_nothing_to_do_asks_no_host(clone: Path, machine: Path, tmp_path: Path) -> None:
    for name in ("ssh", "ssh-add"):
        (tmp_path / "droplets" / name).write_text("#!/bin/sh\ntouch $DROPLETS/asked\n")
    with activations.signed(Session(Environment(name="local", root=clone)), Stages()):
        pass
    assert not (tmp_path / "droplets/asked").exists()


def test_a_person_is_named_as_in_commits_else_by_the_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("SUDO_USER", "bia")
    assert activations.person() == "bia"
    monkeypatch.delenv("SUDO_USER")
    monkeypatch.setenv("LOGNAME", "caio")
    assert activations.person() == "caio"
    named = ["git", "config", "--file", str(tmp_path / "gitconfig"), "user.name"]
    subprocess.run([*named, "Ana \x1b[31mSouza"], check=True)
    assert activations.person() == "Ana [31mSouza"
    subprocess.run([*named, "A" * 50], check=True)
    assert activations.person() == "A" * 40
