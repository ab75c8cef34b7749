"""The compose files as data: they break no rule, and certain services have what only they need."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from policy.compose_rules import compose_violations, read_bundle
from policy.container_rules import mebibytes, release_memory
from tests.unit.topology_support import project
from topology.bundle import build_bundle
from topology.fleet import COLOURS

COMPOSE = Path(__file__).parents[2] / "compose"
TIERS = {tier: yaml.safe_load((COMPOSE / tier / "compose.yaml").read_text()) for tier in ("infra", "vertical", "edge")}
SERVICES = [(tier, name) for tier, content in TIERS.items() for name in content["services"]]
LASTING = [(tier, name) for tier, name in SERVICES if "profiles" not in TIERS[tier]["services"][name]]
USERS = {
    "postgres": "999:999",
    "redis": "999:999",
    "migrate": "10001:10001",
    "relay": "10001:10001",
    "engines": "10001:10001",
    "haproxy": "99:99",
    "construction-blue": "10001:10001",
    "construction-green": "10001:10001",
    "nginx": "101:101",
    "auth-blue": "10001:10001",
    "auth-green": "10001:10001",
}


def service(tier: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = TIERS[tier]["services"][name]
    return found


@pytest.mark.parametrize("tier", TIERS)
def test_a_tiers_containers_break_no_rule(tier: str) -> None:
    stack = project()
    document = read_bundle(build_bundle(stack, tier))
    assert [found.render() for found in compose_violations(stack, tier, document)] == []


def test_what_may_run_during_a_release_takes_the_memory_of_the_budget() -> None:
    found = {tier: release_memory(content) for tier, content in TIERS.items()}
    assert found == {"infra": 1632, "vertical": 816, "edge": 720}


def test_construction_and_haproxy_have_the_limits_of_the_budget() -> None:
    assert [service("vertical", f"construction-{colour}")["mem_limit"] for colour in COLOURS] == ["384m", "384m"]
    assert [service(tier, "haproxy")["mem_limit"] for tier in ("vertical", "edge")] == ["48m", "48m"]


@pytest.mark.parametrize(("tier", "name"), [("vertical", "construction"), ("edge", "auth")])
def test_the_colours_are_at_the_addresses_that_haproxy_knows(tier: str, name: str) -> None:
    configuration = (COMPOSE / tier / "haproxy/haproxy.cfg").read_text()
    for colour in COLOURS:
        found = service(tier, f"{name}-{colour}")
        address = f"{found['networks'][tier]['ipv4_address']}:{found['expose'][0]}"
        lines = re.findall(
            rf"^    server {colour} (\S+) .*\"\$\{{{name.upper()}_{colour.upper()}\}}\"$", configuration, re.M
        )
        assert lines
        assert set(lines) == {address}


def test_postgresql_fits_its_limit_with_all_connections_in_use() -> None:
    text = (COMPOSE / "infra" / "postgres" / "postgresql.conf").read_text()
    settings = dict(re.findall(r"^(\w+) = '?([^'#\s]+)", text, re.MULTILINE))
    shared, connections = int(settings["shared_buffers"][:-2]), int(settings["max_connections"])
    workers = int(settings["autovacuum_max_workers"]) * int(settings["autovacuum_work_mem"][:-2])
    assert shared + workers + connections * 5 <= mebibytes(service("infra", "postgres")["mem_limit"])


def test_connections_suffice_for_both_colours() -> None:
    """Pools: construction 30 and auth 15 a process; relay 1, engines 2, migrate 1; 3 are the superuser's."""
    text = (COMPOSE / "infra" / "postgres" / "postgresql.conf").read_text()
    found = re.search(r"^max_connections = (\d+)", text, re.MULTILINE)
    assert found
    assert int(found[1]) >= 2 * 30 + 2 * 15 + 1 + 2 + 1 + 3


def test_every_service_runs_as_the_user_that_its_image_is_made_for() -> None:
    assert {name: service(tier, name)["user"] for tier, name in SERVICES} == USERS


@pytest.mark.parametrize(("tier", "name"), LASTING)
def test_no_health_check_asks_curl(tier: str, name: str) -> None:
    """It is in neither Debian's nor the official nginx and HAProxy images."""
    assert "curl" not in service(tier, name)["healthcheck"]["test"]


def test_every_lasting_service_has_the_time_to_stop_that_it_needs() -> None:
    """Docker's own default of 10 s would kill a relay in its longest pause (30 s)."""
    assert {name: service(tier, name)["stop_grace_period"] for tier, name in LASTING} == {
        "postgres": "90s",  # its last checkpoint
        "redis": "30s",
        "relay": "35s",
        "engines": "35s",
        "haproxy": "10s",  # it ends at once
        "construction-blue": "30s",
        "construction-green": "30s",
        "nginx": "35s",
        "auth-blue": "30s",
        "auth-green": "30s",
    }


def test_migrate_runs_once_and_only_when_asked() -> None:
    migrate = service("infra", "migrate")
    assert (migrate["profiles"], migrate["restart"], migrate["init"]) == (["migrate"], "no", True)


@pytest.mark.parametrize(("tier", "name"), SERVICES)
def test_images_come_from_the_bundle_and_no_tag_is_written_here(tier: str, name: str) -> None:
    assert re.fullmatch(r"\$\{IMAGE_[A-Z]+:\?\}", service(tier, name)["image"])


def test_ports_are_published_on_the_private_address_but_the_edges() -> None:
    ports = {f"{tier}/{name}": service(tier, name).get("ports", []) for tier, name in SERVICES}
    assert {name: found for name, found in ports.items() if found} == {
        "infra/postgres": ["${PRIVATE_ADDRESS:?}:5432:5432"],
        "vertical/haproxy": ["${PRIVATE_ADDRESS:?}:8000:8000"],
        "edge/nginx": ["0.0.0.0:80:80", "0.0.0.0:443:443"],
    }


def test_environment_holds_what_the_applications_read_and_nothing_else() -> None:
    """A name that no code reads looks like tuning and does nothing; a misspelt one leaves the default."""
    given = {name: service(tier, name).get("environment", {}) for tier, name in SERVICES if name != "postgres"}
    assert {name: found for name, found in given.items() if found} == {
        "relay": {"PGTZ": "UTC", "RELAY_POLL_INTERVAL_EMPTY": "0.5"},
        "engines": {"PGTZ": "UTC", "ENGINES_CONSUMER_NAME": "engines-1", "ENGINES_BLOCK_MS": "2000"},
        "migrate": {"PGTZ": "UTC"},
        "construction-blue": {"PGTZ": "UTC"},
        "construction-green": {"PGTZ": "UTC"},
        "auth-blue": {"PGTZ": "UTC"},
        "auth-green": {"PGTZ": "UTC"},
    }
    assert set(service("infra", "postgres")["environment"]) == {
        "POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD_FILE", "PGDATA", "POSTGRES_INITDB_ARGS",
        "POSTGRES_HOST_AUTH_METHOD",
    }  # fmt: skip


APPLICATIONS = [(tier, name) for tier, name in SERVICES if USERS[name] == "10001:10001"]


@pytest.mark.parametrize(("tier", "name"), APPLICATIONS)
def test_every_applications_session_speaks_utc(tier: str, name: str) -> None:
    """They write times without a zone and mean UTC; the server's own zone is three hours behind it."""
    assert service(tier, name)["environment"]["PGTZ"] == "UTC"


@pytest.mark.parametrize(("tier", "name"), APPLICATIONS)
def test_no_applications_log_file_counts_against_its_memory(tier: str, name: str) -> None:
    found = service(tier, name)
    assert "/dev/null:/app/logs/app.log:ro" in found["volumes"]
    assert not [entry for entry in found["tmpfs"] if "/app" in entry]


@pytest.mark.parametrize("name", ["relay", "engines"])
def test_a_worker_with_a_full_tmp_and_a_health_check_fits_its_limit(name: str) -> None:
    sizes = [int(size) for entry in service("infra", name)["tmpfs"] for size in re.findall(r"size=(\d+)m", entry)]
    at_rest, check = 50, 20  # measured
    assert at_rest + check + sum(sizes) <= 0.8 * mebibytes(service("infra", name)["mem_limit"])


@pytest.mark.parametrize(("tier", "name"), SERVICES)
def test_no_secret_is_where_docker_inspect_shows_it(tier: str, name: str) -> None:
    found = service(tier, name)
    shown = str([found.get(key) for key in ("environment", "command", "entrypoint", "healthcheck", "labels")])
    assert "SECRET_" not in shown


def test_networks_are_named_disjoint_and_nginx_knows_the_address_before_auth() -> None:
    subnets = {}
    for tier, content in TIERS.items():
        network = content["networks"][tier]
        assert network["name"] == f"basecommerce-{tier}"
        assert network["driver_opts"] == {"com.docker.network.bridge.name": f"bc-{tier}"}
        subnets[tier] = ipaddress.IPv4Network(network["ipam"]["config"][0]["subnet"])
    assert subnets["edge"] == ipaddress.IPv4Network("172.30.0.0/24")
    assert len({subnet.network_address for subnet in subnets.values()}) == 3
    assert all(subnet.subnet_of(ipaddress.IPv4Network("172.30.0.0/22")) for subnet in subnets.values())
    address = service("edge", "haproxy")["networks"]["edge"]["ipv4_address"]
    assert f"server {address}:8001 " in (COMPOSE / "edge/nginx/nginx.conf").read_text()


@pytest.mark.parametrize("tier", TIERS)
def test_env_example_gives_every_variable_that_has_no_default(tier: str) -> None:
    wanted = set(re.findall(r"\$\{(\w+):\?\}", (COMPOSE / tier / "compose.yaml").read_text()))
    given = set(re.findall(r"^(\w+)=.", (COMPOSE / tier / "env.example").read_text(), re.MULTILINE))
    assert wanted <= given


def test_postgresql_gets_time_for_its_last_checkpoint() -> None:
    postgres = service("infra", "postgres")
    assert (postgres["stop_signal"], postgres["stop_grace_period"]) == ("SIGINT", "90s")


def test_redis_keeps_every_event() -> None:
    lines = (COMPOSE / "infra" / "redis" / "redis.conf").read_text().splitlines()
    assert {"appendonly yes", "appendfsync everysec", "maxmemory 256mb", "maxmemory-policy noeviction"} <= set(lines)
    for command in ("FLUSHDB", "FLUSHALL", "DEBUG", "CONFIG"):
        assert f'rename-command {command} ""' in lines


def test_haproxy_has_one_thread_and_waits_longer_than_the_edge() -> None:
    text = (COMPOSE / "vertical" / "haproxy" / "haproxy.cfg").read_text()
    assert re.search(r"^ {4}nbthread 1$", text, re.MULTILINE)
    client, server = re.search(r"timeout http-keep-alive (\d+)s", text), re.search(r"timeout server (\d+)s", text)
    assert client
    assert server
    assert min(int(client[1]), int(server[1])) > 60  # the edge's keepalive_timeout and proxy_read_timeout
