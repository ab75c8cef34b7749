"""What is watched in each stack, who gets mail, and what the account's project holds."""

from __future__ import annotations

import pytest

from tests.program.recording import STACKS, Recorder, Registration, configuration, main, run, settings_of

ALERT = "digitalocean:index/monitorAlert:MonitorAlert"
CHECK = "digitalocean:index/uptimeCheck:UptimeCheck"
ON_CHECK = "digitalocean:index/uptimeAlert:UptimeAlert"
PROJECT = "digitalocean:index/project:Project"
MEMBERS = "digitalocean:index/projectResources:ProjectResources"


@pytest.fixture(scope="module", params=STACKS)
def program(request: pytest.FixtureRequest) -> tuple[str, Recorder]:
    return request.param, run(main, stack=request.param, config=configuration(request.param))


def by_name(recorder: Recorder, type_: str) -> dict[str, Registration]:
    return {item.name: item for item in recorder.of(type_)}


def test_cpu_memory_and_disk_of_every_droplet_are_watched_for_five_minutes(program: tuple[str, Recorder]) -> None:
    stack, recorder = program
    settings = settings_of(stack)["alerts"]
    metric = "v1/insights/droplet"
    wanted = {
        "monitoring-cpu": (f"{metric}/cpu", settings["cpu_percent"]),
        "monitoring-memory": (f"{metric}/memory_utilization_percent", settings["memory_percent"]),
        "monitoring-disk": (f"{metric}/disk_utilization_percent", settings["disk_percent"]),
    }
    alerts = by_name(recorder, ALERT)
    assert {name: (item.plain("type"), item.plain("value")) for name, item in alerts.items()} == wanted
    for item in alerts.values():
        assert (item.plain("compare"), item.plain("window")) == ("GreaterThan", "5m")
        assert item.plain("tags") == [f"basecommerce-{stack}-{name}" for name in ("infra", "vertical", "edge")]
        assert item.plain("alerts") == {"emails": settings["emails"]}
        assert "entities" not in item.inputs


def test_tags_are_there_before_the_alerts_that_name_them(program: tuple[str, Recorder]) -> None:
    _, recorder = program
    tags = {item.urn for item in recorder.of("digitalocean:index/tag:Tag")}
    assert len(tags) == 3
    assert all(tags <= item.dependencies for item in recorder.of(ALERT))


def test_the_health_page_is_asked_by_https_from_two_places(program: tuple[str, Recorder]) -> None:
    stack, recorder = program
    (check,) = recorder.of(CHECK)
    assert check.plain("target") == f"https://{settings_of(stack)['domain']}/health"
    assert check.plain("type") == "https"
    assert check.plain("regions") == ["us_east", "eu_west"]


def test_an_outage_a_slow_page_and_an_old_certificate_raise_alerts(program: tuple[str, Recorder]) -> None:
    stack, recorder = program
    settings = settings_of(stack)["alerts"]
    (check,) = recorder.of(CHECK)
    alerts = by_name(recorder, ON_CHECK)
    keys = ("type", "comparison", "threshold", "period")
    assert {name: tuple(item.plain(key) for key in keys) for name, item in alerts.items()} == {
        "monitoring-health-down": ("down_global", "less_than", 1, "2m"),
        "monitoring-health-slow": ("latency", "greater_than", settings["latency_ms"], "5m"),
        "monitoring-health-certificate": ("ssl_expiry", "less_than", 14, "1h"),
    }
    for item in alerts.values():
        assert item.plain("notifications") == [{"emails": settings["emails"]}]
        assert check.urn in item.dependencies


def test_a_name_is_watched_only_once_it_exists(program: tuple[str, Recorder]) -> None:
    _, recorder = program
    records = {item.urn for item in recorder.of("cloudflare:index/dnsRecord:DnsRecord")}
    (check,) = recorder.of(CHECK)
    assert records <= recorder.after(check)


def test_shown_names_hold_the_stack_so_that_two_stacks_of_an_account_differ(program: tuple[str, Recorder]) -> None:
    stack, recorder = program
    for type_, key in ((ALERT, "description"), (CHECK, "name"), (ON_CHECK, "name"), (PROJECT, "name")):
        for item in recorder.of(type_):
            assert str(item.plain(key)).startswith(f"basecommerce-{stack}-"), item.name


def test_the_project_groups_droplets_and_volume_and_never_the_reserved_address(program: tuple[str, Recorder]) -> None:
    stack, recorder = program
    (project,) = recorder.of(PROJECT)
    (members,) = recorder.of(MEMBERS)
    wanted = {
        recorder.resources[item.urn].state[f"{kind}Urn"]
        for kind in ("droplet", "volume")
        for item in recorder.of(f"digitalocean:index/{kind}:{kind.capitalize()}")
    }
    assert len(wanted) == 4
    assert set(members.plain("resources")) == wanted
    assert project.urn in members.dependencies
    assert "resources" not in project.inputs
    words = {"local": "Development", "staging": "Staging", "production": "Production"}
    assert project.plain("environment") == words[stack]
