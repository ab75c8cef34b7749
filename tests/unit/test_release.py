"""release.py: order of steps, no-op, refusals and commands, with a recording `docker`."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from tests.unit.release_support import Droplet, bundle, digest_of, kind

ONE = digest_of(bundle("vertical", "1"))


# ---- the order of a good activation ------------------------------------------------------------------------


def test_the_first_activation_starts_the_containers_and_installs_the_unit(vertical: Droplet) -> None:
    assert vertical.activate() == 0
    assert vertical.steps() == [
        f"docker compose vertical@{ONE[:8]} up -d --wait --wait-timeout 180 construction haproxy",
        f"docker compose vertical@{ONE[:8]} exec -T construction sh -c set -a; . /run/secrets/env; exec python3"
        " /etc/basecommerce/health.py release",
        "systemctl daemon-reload",
        "systemctl enable basecommerce-vertical.service",
        "systemctl start --no-block basecommerce-vertical.service",
    ]
    assert vertical.state()[0]["digest"] == ONE
    assert (vertical.home / "current" / "compose.yaml").is_file()


def test_infra_migrates_after_its_stores_are_healthy_and_before_all_is_started(infra: Droplet) -> None:
    assert infra.activate() == 0
    at = f"infra@{infra.digest('1')[:8]}"
    roles = f"docker compose {at} exec -T postgres psql -qX --single-transaction -Ubasecommerce -f -"
    assert infra.steps()[:6] == [
        f"docker compose {at} up -d --wait --wait-timeout 180 postgres redis",
        roles,
        "docker rm -f infra-migrate",
        f"docker compose {at} --profile migrate run --rm -T --no-deps --name infra-migrate migrate",
        roles,
        f"docker compose {at} up -d --wait --wait-timeout 180 postgres redis relay",
    ]


def test_workers_are_stopped_while_redis_gets_other_passwords_and_only_then(infra: Droplet) -> None:
    def with_users(text: str) -> Any:
        owner = {"uid": os.getuid(), "gid": os.getgid()}
        files = {"redis_auth.conf": text, "database_logins.json": "[]"}
        return {"secrets": {name: {"content": content, **owner} for name, content in files.items()}}

    infra.activate("1", **with_users("one"))
    infra.calls()
    infra.activate("2", **with_users("one"))
    assert not [step for step in infra.steps() if " stop " in step]
    infra.activate("3", **with_users("two"))
    before = infra.digest("2")[:8]
    assert infra.steps()[0] == f"docker compose infra@{before} stop relay engines"
    infra.answer(f"{infra.digest('4')}.* up ", rc=1)
    infra.activate("4", **with_users("three"))
    stops = [kind(step) for step in infra.steps() if " stop " in step]
    assert stops == [f"infra@{infra.digest(tag)[:8]} stop" for tag in ("3", "4")]


def test_retiring_old_logins_runs_the_active_releases_own_script(
    infra: Droplet, capsys: pytest.CaptureFixture[str]
) -> None:
    infra.activate()
    infra.calls()
    assert infra.run("retire", "infra") == 0
    at = f"infra@{infra.digest('1')[:8]}"
    assert infra.steps() == [
        f"docker compose {at} up -d --wait --wait-timeout 180 postgres",
        f"docker compose {at} exec -T postgres psql -qX --single-transaction -Ubasecommerce -f -",
    ]
    assert "infra: old logins are retired" in capsys.readouterr().err


def test_an_older_release_leaves_a_newer_schema_as_it_is(infra: Droplet, capsys: pytest.CaptureFixture[str]) -> None:
    said = "FAILED: Can't locate revision identified by '0001_notices'\n"
    infra.answer("--name infra-migrate", rc=255, stderr=said)
    assert infra.activate() == 0
    assert "release: infra: the schema is newer than this release, and stays as it is" in capsys.readouterr().err


def test_a_migration_that_fails_otherwise_is_a_failure(infra: Droplet) -> None:
    infra.answer("--name infra-migrate", rc=1, stderr="FAILED: multiple heads\n")
    assert infra.activate() == 1


def test_a_missing_image_is_pulled_before_anything_is_started(vertical: Droplet) -> None:
    vertical.answer("image inspect .*haproxy", rc=1)
    assert vertical.activate() == 0
    assert vertical.steps()[:2] == [
        "docker pull --quiet registry.example/haproxy:1",
        f"docker compose vertical@{ONE[:8]} up -d --wait --wait-timeout 180 construction haproxy",
    ]


# ---- nothing to do -----------------------------------------------------------------------------------------


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


# ---- what starts containers anew, and what does not --------------------------------------------------------


def test_a_changed_address_activates_the_same_bundle_again(vertical: Droplet) -> None:
    vertical.activate()
    vertical.calls()
    hosts = {"INFRA_ADDRESS": "10.20.0.99", "PRIVATE_ADDRESS": "127.0.0.1"}
    assert vertical.activate(hosts=hosts) == 0
    assert kind(vertical.steps()[0]) == f"vertical@{ONE[:8]} up"
    assert vertical.variables()["INFRA_ADDRESS"] == "10.20.0.99"


def test_an_image_that_cannot_be_pulled_leaves_the_running_release_alone(vertical: Droplet) -> None:
    vertical.activate("1")
    vertical.calls()
    vertical.answer("image inspect", rc=1)
    vertical.answer("pull", rc=1, stderr="manifest unknown\n")
    assert vertical.activate("2") == 1
    assert vertical.steps() == ["docker pull --quiet registry.example/construction:1"]
    assert vertical.state()[0]["digest"] == ONE


# ---- start, stop, status -----------------------------------------------------------------------------------


def test_start_brings_up_the_recorded_release_and_pulls_nothing(vertical: Droplet) -> None:
    vertical.activate()
    vertical.calls()
    assert vertical.run("start", "vertical") == 0
    assert vertical.steps() == [
        f"docker compose vertical@{ONE[:8]} up -d --wait --wait-timeout 180 construction haproxy"
    ]


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


@pytest.mark.parametrize(
    "argv", [["activate", "vertical"], ["activate", "vertical", "abc"], ["start", "../nowhere"], []]
)
def test_a_wrong_call_exits_2(vertical: Droplet, argv: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        vertical.run(*argv)
    assert ended.value.code == 2
