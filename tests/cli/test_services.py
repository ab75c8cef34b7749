"""Hosts and services by name: one rule for every command, and an answer that says what was meant."""

from __future__ import annotations

import pytest

from basec.hosts.facts import Facts, HostFacts
from basec.hosts.services import host_of, hosts_of
from tests.cli.fake_droplets import running
from topology.errors import UsageError


def host(name: str, *aliases: str) -> HostFacts:
    services = running()[name]
    return HostFacts(
        name=name, ip="", private_ip="", user="basec", role=name, tier=name, services=services, aliases=aliases
    )


KNOWN = Facts(
    environment="local",
    domain="localhost",
    stand_in=None,
    hosts={"infra": host("infra", "platform"), "edge": host("edge"), "vertical": host("vertical")},
)


@pytest.mark.parametrize("names", [[], ["all"], ["edge", "all"]])
def test_no_host_and_all_mean_every_host(names: list[str]) -> None:
    assert [each.name for each in hosts_of(KNOWN, names, "status {}")] == ["infra", "edge", "vertical"]


def test_hosts_are_found_by_name_and_alias() -> None:
    assert [each.name for each in hosts_of(KNOWN, ["platform", "edge"], "status {}")] == ["infra", "edge"]


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        ("logs {} {service}", "basec logs infra redis --env local"),
        ("status {}", "basec status infra --env local"),
        ("compose restart {} {service}", "basec compose restart infra redis --env local"),
    ],
)
def test_a_services_name_in_the_place_of_a_host_is_answered_with_the_command_for_it(command: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        host_of(KNOWN, "redis", command)
    assert caught.value.render() == f"basec: local: 'redis' is a service, not a host\nhint: {hint}"


def test_an_unknown_host_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        hosts_of(KNOWN, ["front"], "status {}")
    assert caught.value.render() == ("basec: local: unknown host 'front'\nhint: one of edge, infra, platform, vertical")
