"""The made pages are current, and each item of the Docker benchmark is held by the rule that the page names."""

from __future__ import annotations

import pytest

from policy import host_rules
from policy.compose_rules import compose_violations, read_bundle
from policy.docker_benchmark import ITEMS, Item
from policy.docs import EXAMPLE, NAIVE, ROOT, pages
from policy.host_rules import host_violations
from policy.stack_rules import shipped_files
from tests.policy.fixtures import NAIVE_RULES, stack
from topology.bundle import build_bundle
from topology.cloud_init import sample_user_data
from topology.policy_rules import RULES, Violation

WANTED = """
1.1.2 2.2 2.3 2.4 2.14 2.15 2.16 3.15-3.18 4.1 4.6 4.10 5.4 5.5 5.6 5.8 5.9 5.10 5.11 5.12 5.13 5.14 5.15 5.26 5.27 5.29
5.30 5.31 5.32
"""
"""What a reviewer of these droplets asks for."""
HELD = [item for item in ITEMS if item.rule]


@pytest.mark.parametrize("name", sorted(pages()))
def test_the_page_is_current(name: str) -> None:
    assert (ROOT / name).read_text() == pages()[name], "run: python -m policy.docs"


def test_the_figure_of_the_naive_program_is_the_tested_one() -> None:
    assert len(NAIVE_RULES) == NAIVE


def test_the_example_is_what_a_violation_looks_like() -> None:
    shown = Violation(
        rule=RULES["BC05"], resource="edge (Droplet)", found="ssh_keys: none", wanted="the stack's SSH key"
    )
    assert shown.render() == EXAMPLE


def test_the_rules_are_numbered_each_with_a_reason_and_a_fix() -> None:
    assert list(RULES) == [f"BC{number:02d}" for number in range(1, 24)]
    assert all(rule.why and rule.fix and rule.where for rule in RULES.values())


def test_every_item_that_matters_is_answered() -> None:
    answered = {number for item in ITEMS for number in item.id.split(", ")}
    assert set(WANTED.split()) <= answered
    assert all(bool(item.rule) != bool(item.waiver) for item in ITEMS)


def test_no_tier_and_no_host_breaks_the_rule_of_an_item() -> None:
    assert {item.rule for item in HELD} & {violation.rule.id for violation in shipped_files(stack())} == set()


BREAKS = {
    "1.1.2": ("    gecos:", "    groups: docker\n    gecos:"),
    "2.2": ('"icc": false', '"icc": true'),
    "2.3": ('"icc": false', '"icc": false, "log-level": "debug"'),
    "2.4": ('"icc": false', '"icc": false, "iptables": false'),
    "2.14": ('"no-new-privileges": true', '"no-new-privileges": false'),
    "2.15": ('"live-restore": true', '"live-restore": false'),
    "2.16": ('"userland-proxy": false', '"userland-proxy": true'),
    "3.15-3.18": ('permissions: "0644"', 'permissions: "0666"'),
}
LOOSE: dict[str, dict[str, object]] = {
    "4.1": {"user": "0:0"},
    "4.6, 5.27": {"healthcheck": {}},
    "5.4": {"cap_add": ["NET_RAW"]},
    "5.5": {"privileged": True},
    "5.6": {"volumes": ["/etc:/host:ro"]},
    "5.8": {"ports": ["${PRIVATE_ADDRESS:?}:80:80"]},
    "5.9": {"ports": ["1", "2", "3"]},
    "5.10": {"network_mode": "host"},
    "5.11": {"mem_limit": None},
    "5.13": {"read_only": False},
    "5.14": {"ports": ["0.0.0.0:5432:5432"]},
    "5.15": {"restart": "on-failure:50"},
    "5.26": {"security_opt": []},
    "5.29": {"pids_limit": -1},
    "5.30": {"networks": []},
    "5.32": {"volumes": ["/var/run/docker.sock:/s"]},
}


@pytest.mark.parametrize("item", HELD, ids=lambda item: item.id)
def test_the_rule_refuses_what_loosens_the_item(item: Item, monkeypatch: pytest.MonkeyPatch) -> None:
    project = stack().project
    if item.id in BREAKS:
        user_data = sample_user_data(project, "infra")
        old, new = BREAKS[item.id]
        assert old in user_data
        monkeypatch.setattr(host_rules, "sample_user_data", lambda *_: user_data.replace(old, new, 1))
        broken = host_violations(project, "infra")
    else:
        document = read_bundle(build_bundle(project, "infra"))
        document["services"]["redis"] |= LOOSE[item.id]
        broken = compose_violations(project, "infra", document)
    assert {violation.rule.id for violation in broken} == {item.rule}
