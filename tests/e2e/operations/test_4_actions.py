"""What operators do to hosts every day: firewall, containers, commands inside them, the inventory."""

from __future__ import annotations

import json

import pytest

from tests.e2e.stack import STACK, TIERS, LocalStack

pytestmark = pytest.mark.real


def test_firewall_is_as_declared_on_every_host(stack: LocalStack) -> None:
    lines = json.loads(stack.basec("firewall", "status", "--env", STACK, "--json"))["rules"]
    assert {line["state"] for line in lines} == {"same"}
    assert {line["host"] for line in lines} == set(TIERS)


def test_a_hands_changes_of_the_firewall_are_seen_and_taken_back(stack: LocalStack) -> None:
    stack.inside("infra", "ufw allow 9999 >/dev/null && iptables -D DOCKER-USER -j DROP")
    output = stack.basec("firewall", "status", "platform", "--env", STACK, "--json", expect=1)
    lines = json.loads(output[: output.rindex("}") + 1])["rules"]
    wrong = {(line["chain"], line["rule"], line["state"]) for line in lines if line["state"] != "same"}
    assert ("ufw", "allow tcp 9999 from 0.0.0.0/0", "extra") in wrong
    assert ("frame", "what no rule names does not reach a container", "missing") in wrong
    assert f"hint: basec firewall apply HOST --env {STACK}" in output
    stack.basec("firewall", "apply", "infra", "--env", STACK)
    stack.basec("firewall", "status", "--env", STACK)


def test_one_service_restarts_alone(stack: LocalStack) -> None:
    form = "docker ps --format '{{.Names}}' | xargs docker inspect --format '{{.Name}} {{.State.StartedAt}}'"
    before = set(stack.inside("edge", form).splitlines())
    stack.basec("compose", "restart", "edge", "nginx", "--env", STACK)
    after = set(stack.inside("edge", form).splitlines())
    assert {line.split()[0] for line in after - before} == {"/edge-nginx-1"}
    assert stack.get("/health").status == 200, "it serves when the command ends"


def test_a_host_that_was_stopped_comes_back_healthy_by_restart(stack: LocalStack) -> None:
    ids = stack.container_ids()
    stack.basec("compose", "down", "vertical", "--env", STACK)
    assert stack.inside("vertical", "docker ps -q") == ""
    assert stack.get("/web/dashboard").status == 502
    stack.basec("compose", "restart", "vertical", "--env", STACK)
    assert stack.container_ids() == ids, "the containers were kept"
    assert stack.get("/web/dashboard").status == 302


def test_a_command_runs_in_a_service_and_its_exit_code_comes_back(stack: LocalStack) -> None:
    select = "select 1 + 1"
    command = ("exec", "infra", "postgres", "--env", STACK, "--", "psql", "-qtAU", "basecommerce", "-c", select)
    assert stack.basec(*command).strip() == "2"
    stack.basec("exec", "edge", "nginx", "--env", STACK, "--", "sh", "-c", "exit 7", expect=7)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("exec", "edge", "postgres", "ls"), "edge: unknown service 'postgres'\nhint: one of nginx, haproxy, auth"),
        (("compose", "restart", "db"), "unknown host 'db'\nhint: one of edge, infra, platform, vertical"),
    ],
)
def test_an_unknown_name_is_answered_with_the_known_ones(
    stack: LocalStack, command: tuple[str, ...], message: str
) -> None:
    assert message in stack.basec(*command, "--env", STACK, expect=2)


def test_inventory_is_rebuilt_from_the_stacks_exports(stack: LocalStack) -> None:
    facts = stack.root / ".basec" / STACK
    before = {name: (facts / name).read_text() for name in ("inventory.yaml", "known_hosts", "ssh_config")}
    for name in before:
        (facts / name).unlink()
    events = len(stack.journal())
    stack.basec("inventory", "refresh", "--env", STACK)
    assert {name: (facts / name).read_text() for name in before} == before
    assert stack.journal()[events:] == [], "nothing in the cloud was touched"
    hosts = json.loads(stack.basec("inventory", "show", "--env", STACK, "--json"))["hosts"]
    assert {host["name"] for host in hosts} == set(TIERS)
