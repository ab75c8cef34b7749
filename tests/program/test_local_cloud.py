"""The real program under the real engine with dry plugins."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pulumi.automation as auto
import pytest
import yaml

from basec.secrets.secret_values import make_missing
from localcloud.tests.engine_stack import ROOT, EngineStack
from topology.inventory import load_inventory
from topology.project import required_secrets

pytestmark = pytest.mark.engine

PUBLIC = ("origin_csr", "origin_pull_certificate")
"""Requests and certificates hold public keys only; the cloud keeps what it was sent of them."""
ZONES_OWN = {"zone_setting", "origin_pulls_setting"}
"""What outlives a stack: Cloudflare has no deletion of a zone's settings."""
COMMAND = "command:remote:Command"
DROPLET = "digitalocean:index/droplet:Droplet"


def program() -> None:
    """Run `__main__.py` afresh, as each engine run does."""
    runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")


@pytest.fixture(scope="module")
def secrets() -> dict[str, str]:
    """Make the secrets of a stack as `basec init` does."""
    return make_missing(required_secrets(load_inventory(ROOT / "inventory.yaml")), "localhost", str)


def prepare(stack: EngineStack, secrets: dict[str, str]) -> None:
    settings = yaml.safe_load((ROOT / "Pulumi.local.yaml").read_text())["config"]["basecommerce:settings"]
    settings["vpc_ip_range"] = "10.77.1.0/24"
    settings["cloudflare"]["ranges"] = ["198.51.100.2/32"]
    path = stack.directory / f"Pulumi.{stack.name}.yaml"
    document = yaml.safe_load(path.read_text()) or {}
    document.setdefault("config", {})["basecommerce:settings"] = settings
    path.write_text(yaml.safe_dump(document))
    tokens = dict.fromkeys(("digitalocean:token", "cloudflare:apiToken"), "fake-token-of-the-local-cloud-0123456789ab")
    values = {**{f"basecommerce:{key}": value for key, value in secrets.items()}, **tokens}
    stack.stack.set_all_config({key: auto.ConfigValue(value, secret=True) for key, value in values.items()})


@pytest.fixture
def platform(tmp_path: Path, secrets: dict[str, str]) -> EngineStack:
    """The whole platform, not up yet."""
    stack = EngineStack(tmp_path, program, project="basecommerce")
    prepare(stack, secrets)
    return stack


def names(events: list[dict[str, Any]], op: str, type_name: str) -> list[str]:
    return [event["name"] for event in events if (event["op"], event["type"]) == (op, type_name)]


def test_the_platform_comes_up_in_order_stays_and_goes(platform: EngineStack, secrets: dict[str, str]) -> None:
    platform.up()
    events = platform.events()
    droplets = [name.split("-")[0] for name in names(events, "create", DROPLET)]
    assert droplets == ["infra", "vertical", "edge"]
    types = [event["type"] for event in events]
    last_droplet = max(index for index, name in enumerate(types) if name == DROPLET)
    assert types.index(COMMAND) > last_droplet
    last_record = max(index for index, name in enumerate(types) if name.endswith(":DnsRecord"))
    assert last_record > max(index for index, name in enumerate(types) if name == COMMAND)
    assert types.index("digitalocean:index/uptimeCheck:UptimeCheck") > last_record

    count = len(events)
    platform.up(expect_no_changes=True)
    assert len(platform.events()) == count, "a second `up` ran something"

    text = "\n".join(
        path.read_bytes().decode(errors="replace")
        for path in platform.directory.rglob("*")
        if path.is_file() and "cli" not in path.parts
    )
    for name, value in secrets.items():
        if name in PUBLIC:
            continue
        line = value.splitlines()[1] if "\n" in value else value
        assert line not in text, f"{name} is on disk in clear"

    platform.stack.destroy()
    assert set(platform.records()) == ZONES_OWN


def test_a_bring_up_killed_three_times_is_continued_by_the_same_commands(platform: EngineStack) -> None:
    for when, name in (("after", "network-vpc"), ("after", "vertical-droplet"), ("before", "edge-stack-activation")):
        platform.kill_during({"when": when, "op": "create", "name": name})
        platform.clear_after_kill()
    platform.up()
    assert len(platform.records()["droplet"]) == 3
    assert not platform.deployment().get("pending_operations")
    assert set(platform.operations()) == {"same"}
