"""`basec cost`: item by item, before and after, without engine, passphrase or secrets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from basec.engine.plan import deployed_machines
from basec.environments import Environment
from basec.hosts import facts
from tests.cli.conftest import Run
from tests.cli.fake_droplets import DROPLETS
from tests.cli.test_facts import KEY
from topology.costs import Billed
from topology.dangerous_edits import Step

DROPLET = {"public_ip": "198.51.100.8", "private_ip": "10.77.0.8"}
BILLED = {
    "infra": {**DROPLET, "size": "s-1vcpu-2gb", "volume_gib": 10, "reserved_ip": False},
    "vertical": {**DROPLET, "size": "s-1vcpu-1gb", "volume_gib": 0, "reserved_ip": False},
    "edge": {**DROPLET, "size": "s-1vcpu-1gb", "volume_gib": 0, "reserved_ip": True},
}


def brought_up(root: Path, droplets: dict[str, dict[str, object]], name: str = "production") -> None:
    """Write what an `up` leaves."""
    outputs = {
        "domain": "localhost",
        "edge_reserved_ip": "198.51.100.24",
        "ssh_user": "basec",
        "droplets": droplets,
        "host_public_keys": {"edge": KEY},
    }
    facts.write(Environment(name=name, root=root), outputs, DROPLETS, None)


def edit(root: Path, old: str, new: str, file: str = "inventory.yaml") -> None:
    path = root / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_both_bills_are_shown_item_by_item(basec: Run, clone: Path) -> None:
    brought_up(clone, BILLED)
    edit(clone, "size_gib: 10", "size_gib: 20")
    outcome = basec("cost", "--env", "production")
    lines = [line.split() for line in outcome.stdout.splitlines()]
    assert outcome.code == 0
    assert ["infra", "volume", "10", "GiB", "1.00", "20", "GiB", "2.00"] in lines
    assert ["total", "26.00", "27.00"] in lines
    assert ["limit", "40", "USD", "a", "month"] in lines


def test_machines_that_no_export_tells_of_have_an_unknown_price() -> None:
    """After a first `up` that failed in its middle; a machine that is to be made costs nothing yet."""
    urn = "urn:pulumi:staging::basecommerce::digitalocean:index/droplet:Droplet::infra-droplet"
    assert deployed_machines({}, [Step(op="same", urn=urn)]) is None
    assert deployed_machines({}, [Step(op="create", urn=urn)]) == {}
    told = deployed_machines({"droplets": {"infra": BILLED["infra"]}}, [Step(op="same", urn=urn)])
    assert told == {"infra": Billed(size="s-1vcpu-2gb", volume_gib=10, reserved_ip=False)}


def test_what_a_script_gets(basec: Run, clone: Path) -> None:
    brought_up(clone, BILLED)
    edit(clone, "size_gib: 10", "size_gib: 20")
    document = json.loads(basec("cost", "--env", "production", "--json").stdout)
    items = {item.pop("name"): item for item in document.pop("items")}
    assert document == {
        "environment": "production",
        "before_usd": 26.0,
        "after_usd": 27.0,
        "limit_usd": 40,
        "prices_of": "2026-11-01",
        "local": False,
    }
    assert items["infra volume"] == {
        "before": {"what": "10 GiB", "usd": 1.0},
        "after": {"what": "20 GiB", "usd": 2.0},
    }


@pytest.mark.parametrize("droplets", [None, {"infra": DROPLET}])
def test_what_is_not_known_is_not_said_to_be_free(
    basec: Run, clone: Path, droplets: dict[str, dict[str, object]] | None
) -> None:
    if droplets is not None:
        brought_up(clone, droplets)
    outcome = basec("cost", "--env", "production")
    lines = [line.split() for line in outcome.stdout.splitlines()]
    assert ["total", "?", "26.00"] in lines
    assert "basec inventory refresh --env production" in outcome.stdout
    assert json.loads(basec("cost", "--env", "production", "--json").stdout)["before_usd"] is None


def test_a_plan_over_the_ceiling_is_refused_with_its_items(basec: Run, clone: Path) -> None:
    edit(clone, "monthly_limit_usd: 40", "monthly_limit_usd: 24", "Pulumi.production.yaml")
    for command in ("cost", "preview"):
        outcome = basec(command, "--env", "production")
        assert outcome.code == 2
        assert (
            "Pulumi.production.yaml: basecommerce:settings.monthly_limit_usd: 24 USD a month is less than "
            "inventory.yaml costs: 26.00 (infra droplet s-1vcpu-2gb 12.00, "
        ) in outcome.stderr


def test_a_local_stack_is_priced_as_if_it_were_in_the_cloud(basec: Run, clone: Path) -> None:
    basec("init", "--env", "local")
    outcome = basec("cost", "--env", "local")
    assert outcome.code == 0, outcome.stderr
    assert "26.00" in outcome.stdout
    assert "a local stack costs nothing" in outcome.stdout
