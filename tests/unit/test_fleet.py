"""What runs on a droplet is read from its compose file, and goes to the droplet as `tier.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.release_support import COMPOSE, Droplet, programs, tier_files
from tests.unit.topology_support import project
from topology.bundle import build_bundle
from topology.errors import ConfigurationError
from topology.fleet import load_tier, read_tier, services_of

ROOT = COMPOSE.parent
DATA = {"type": "bind", "source": "${DATA_DIR:?}/ledger", "target": "/data"}


def test_the_shipped_tiers_are_described_as_they_are() -> None:
    described = {tier: json.loads(load_tier(ROOT, tier).description(60)) for tier in ("infra", "vertical", "edge")}
    assert described == {
        "infra": {
            "tier": "infra", "mount": "/mnt/data", "data": {"postgres": 999, "redis": 999},
            "watchdog": {"postgres": "report"}, "live": {}, "watch_s": 60,
        },
        "vertical": {
            "tier": "vertical", "mount": "/mnt/data", "data": {}, "watchdog": {"haproxy": "front"},
            "live": {"haproxy": {"folder": "haproxy", "secrets": [], "signal": "USR2"}}, "watch_s": 60,
        },
        "edge": {
            "tier": "edge", "mount": "/mnt/data", "data": {}, "watchdog": {"haproxy": "front"},
            "live": {
                "nginx": {
                    "folder": "nginx", "secrets": ["origin.pem", "origin.key", "origin_pull_ca.pem"], "signal": "HUP",
                },
                "haproxy": {"folder": "haproxy", "secrets": [], "signal": "USR2"},
            },
            "watch_s": 60,
        },
    }  # fmt: skip


def test_a_bundle_holds_its_tiers_description() -> None:
    built = build_bundle(project(), "infra")
    assert built.files["tier.json"] == load_tier(ROOT, "infra").description(project().settings.release_watch_seconds)
    assert "DATA_DIR='/mnt/data'\n" in built.files[".env"]


def test_a_service_that_runs_once_is_none_that_always_runs() -> None:
    assert services_of(ROOT, "infra") == ("postgres", "redis", "relay", "engines")


def test_a_new_service_with_data_is_one_entry() -> None:
    tier = read_tier("shop", {"services": {"ledger": {"user": "1234:1234", "volumes": [DATA], "x-watchdog": "report"}}})
    assert json.loads(tier.description(60)) == {
        "tier": "shop", "mount": "/mnt/data", "data": {"ledger": 1234}, "watchdog": {"ledger": "report"},
        "live": {}, "watch_s": 60,
    }  # fmt: skip


@pytest.mark.parametrize(
    "source", ["${DATA_DIR:?}", "${DATA_DIR?}", "${DATA_DIR}", "${DATA_DIR:?no volume}", "/mnt/data"]
)
def test_data_is_found_in_every_way_to_write_its_place(source: str) -> None:
    volume = {**DATA, "source": f"{source}/ledger"}
    tier = read_tier("shop", {"services": {"ledger": {"user": "1234:1234", "volumes": [volume]}, "empty": None}})
    assert json.loads(tier.description(60))["data"] == {"ledger": 1234}


@pytest.mark.parametrize("policy", ["ignore", "", None, True, 5, ["report"], {"report": 1}])
def test_a_word_that_the_watchdog_does_not_know_is_refused(policy: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"compose/shop/compose\.yaml: services\.web\.x-watchdog: ") as refusal:
        read_tier("shop", {"services": {"web": {"x-watchdog": policy}}})
    assert str(refusal.value).endswith("\nhint: use one of: restart, report, front")


@pytest.mark.parametrize(
    "live",
    [
        None, [], "nginx", {"folder": "nginx"}, {"folder": "nginx", "signal": "KILL"}, {"signal": "HUP"},
        {"folder": "../nginx", "signal": "HUP"}, {"folder": "nginx", "signal": "HUP", "secrets": ["/etc/shadow"]},
        {"folder": "nginx", "signal": "HUP", "secret": []}, {"folder": 5, "signal": "HUP"},
    ],
)  # fmt: skip
def test_what_no_server_can_read_again_is_refused(live: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"compose/shop/compose\.yaml: services\.web\.x-live: ") as refusal:
        read_tier("shop", {"services": {"web": {"x-live": live}}})
    hint = "write `x-live: {folder: nginx, secrets: [origin.pem], signal: HUP}`; signals: HUP, USR2"
    assert str(refusal.value).endswith(f"\nhint: {hint}")


COLOUR = {"image": "web:1", "expose": ["8000"], "networks": {"shop": {"ipv4_address": "172.30.3.21"}}}
OTHER = {**COLOUR, "networks": {"shop": {"ipv4_address": "172.30.3.22"}}}


def test_two_colours_are_one_service_for_operators(tmp_path: Path) -> None:
    file = tmp_path / "compose/shop/compose.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(
        json.dumps({"services": {"haproxy": {}, "web-blue": COLOUR, "web-green": OTHER, "blue-ledger": {}}})
    )
    assert services_of(tmp_path, "shop") == ("haproxy", "web", "blue-ledger")


@pytest.mark.parametrize(
    ("services", "said"),
    [
        ({"web-blue": COLOUR}, "services.web-blue: there is no web-green"),
        (
            {"web-blue": COLOUR, "web-green": {**OTHER, "image": "web:2"}},
            "differs from web-green in more than its addre",
        ),
        ({"web-blue": COLOUR, "web-green": {**OTHER, "networks": ["shop"]}}, "has no `expose`, or no `ipv4_address`"),
        ({"web-blue": {}, "web-green": {}}, "has no `expose`, or no `ipv4_address`"),
        ({"web-blue": COLOUR, "web-green": OTHER}, "shop has no haproxy, which chooses the colour"),
    ],
)
def test_colours_that_cannot_take_turns_are_refused(services: dict[str, Any], said: str) -> None:
    proxy: dict[str, Any] = {} if "no haproxy" in said else {"haproxy": {}}
    with pytest.raises(ConfigurationError, match=r"^compose/shop/compose\.yaml: services\.web-") as refusal:
        read_tier("shop", {"services": {**services, **proxy}})
    assert said in str(refusal.value)


@pytest.mark.parametrize("document", [None, [], "services", {"services": None}, {"services": {"web": None}}])
def test_what_is_no_compose_project_has_no_services(document: Any) -> None:
    assert not read_tier("shop", document).services


DESCRIPTIONS = {
    "of another tier": {"tier": "edge", "mount": "/mnt/data", "data": {}},
    "a directory elsewhere": {"tier": "infra", "mount": "/mnt/data", "data": {"../etc": 0}},
    "no owner": {"tier": "infra", "mount": "/mnt/data", "data": {"redis": "redis"}},
    "no mount": {"tier": "infra", "data": {"redis": 999}},
    "no data": {"tier": "infra", "mount": "/mnt/data"},
}


@pytest.mark.parametrize("description", DESCRIPTIONS)
def test_a_release_without_a_true_description_touches_nothing(
    infra: Droplet, description: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert infra.activate(extra={"tier.json": json.dumps(DESCRIPTIONS[description])}) == 1
    assert "tier.json: missing or damaged: " in capsys.readouterr().err
    assert infra.calls() == []
    assert list(infra.volume.iterdir()) == []


def test_a_release_whose_description_is_gone_is_not_started(infra: Droplet) -> None:
    infra.activate()
    infra.calls()
    (infra.home / "current" / "tier.json").unlink()
    assert infra.run("start", "infra") == 1
    assert infra.steps() == []
    with pytest.raises(programs.ReleaseError, match="missing or damaged: FileNotFoundError"):
        tier_files.TierFiles("infra", infra.paths).description(infra.home / "current")
