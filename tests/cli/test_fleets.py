"""A fleet of other names and more droplets comes up by inventory and compose folders alone, under the real engine.

Dry: no machine runs here. docs/known-issues.md says what of it was never run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bench.fleet import copy_application
from tests.cli.dry import DryStack, clone_of_the_program, local_stack

pytestmark = pytest.mark.engine

NAMES = {"infra": "store-1", "vertical": "shop", "edge": "front"}
DROPLET = {"size": "s-1vcpu-1gb", "image": "debian-13-x64"}
MORE_DROPLETS = {
    "tools-2": {"role": "vertical", "vertical": "tools-2", **DROPLET},
    "front-two": {"role": "edge", **DROPLET},
}
MORE_RULES = [
    {"name": "tools-2-http", "droplet": "tools-2", "protocol": "tcp", "ports": [8000], "from": ["front", "front-two"]},
    {"name": "tools-2-ssh", "droplet": "tools-2", "protocol": "tcp", "ports": [22], "from": ["front"]},
    {"name": "front-two-ssh", "droplet": "front-two", "protocol": "tcp", "ports": [22], "from": ["front"]},
    {"name": "front-two-http", "droplet": "front-two", "protocol": "tcp", "ports": [80, 443], "from": ["cloudflare"]},
    {"name": "postgres-2", "droplet": "store-1", "protocol": "tcp", "ports": [5432], "from": ["tools-2", "front-two"]},
]


def other_fleet(path: Path) -> None:
    """Rename the three droplets, and put a second vertical and a second edge beside them."""
    document = yaml.safe_load(path.read_text())
    document["droplets"] = {NAMES[name]: spec for name, spec in document["droplets"].items()} | MORE_DROPLETS
    for rule in document["firewall"]:
        rule["droplet"] = NAMES[rule["droplet"]]
        rule["from"] = [NAMES.get(source, source) for source in rule["from"]]
    document["firewall"] += MORE_RULES
    path.write_text(yaml.safe_dump(document, sort_keys=False))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DryStack]:
    with clone_of_the_program(tmp_path_factory.mktemp("fleet")) as root:
        other_fleet(root / "inventory.yaml")
        copy_application(root, "tools-2")
        made = local_stack(root)
        made.basec("up")
        yield made


def stage_of(stack: DryStack, droplet: str) -> set[str]:
    """Return the droplets whose releases this one's waits for."""
    (tier,) = (each for each in stack.resources() if each["urn"].endswith(f"::{droplet}-stack"))
    waits = {urn.rpartition("::")[2] for urn in tier["dependencies"]}
    return {match[1] for name in waits if (match := re.fullmatch(r"(.+)-stack(-activation)?", name))}


def test_droplets_of_a_stage_stand_side_by_side_and_each_stage_waits_for_the_one_before(stack: DryStack) -> None:
    assert stage_of(stack, "store-1") == set()
    assert stage_of(stack, "shop") == stage_of(stack, "tools-2") == {"store-1"}
    assert stage_of(stack, "front") == stage_of(stack, "front-two") == {"store-1", "shop", "tools-2"}


def test_each_application_has_a_bundle_and_secrets_of_its_own(stack: DryStack) -> None:
    tiers = {
        name: set(re.findall(r"# activate (\S+)", each["inputs"]["create"]))
        for each in stack.resources()
        if (name := each["urn"].rpartition("::")[2]).endswith("-stack-activation")
    }
    assert tiers == {
        "store-1-stack-activation": {"infra"},
        "shop-stack-activation": {"vertical"},
        "tools-2-stack-activation": {"tools-2"},
        "front-stack-activation": {"edge"},
        "front-two-stack-activation": {"edge"},
    }
    uses = {line.split()[0]: line for line in stack.basec("secrets list").stdout.splitlines() if line.strip()}
    assert "tools-2: tools-2.env" in uses["database_password_tools-2"]
    assert "vertical" not in uses["database_password_tools-2"]
    assert "tools-2" not in uses["database_password_construction"]


def test_every_host_is_reached_through_the_first_edge(stack: DryStack) -> None:
    config = (stack.root / ".basec" / stack.name / "ssh_config").read_text()
    assert config.count("  ProxyJump front\n") == config.count("  ProxyJump ") == 4


def test_a_second_up_changes_nothing(stack: DryStack) -> None:
    before = stack.journal()
    stack.basec("up")
    assert stack.journal() == before
