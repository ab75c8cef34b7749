"""In an account without a VPC in the region ours becomes the default one, which DigitalOcean never deletes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.cli.dry import DryStack, clone_of_the_program, production_stack

pytestmark = pytest.mark.engine

DOWN = ("down", "--allow-destroy", "production")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DryStack]:
    with clone_of_the_program(tmp_path_factory.mktemp("fresh")) as root, pytest.MonkeyPatch.context() as patch:
        stack = production_stack(root, patch)
        stack.cloud.mkdir(parents=True, exist_ok=True)
        (stack.cloud / "account.json").write_text('{"fresh": true}')
        stack.basec("up", "--yes")
        yield stack


def test_an_edit_of_its_range_is_refused_with_what_can_be_done(fresh: DryStack) -> None:
    before = fresh.journal()
    settings = (fresh.root / "Pulumi.production.yaml").read_text()
    (line,) = (each for each in settings.splitlines() if "vpc_ip_range:" in each)
    with fresh.edited("Pulumi.production.yaml", (line, line.split(":")[0] + ": 10.99.0.0/20")):
        outcome = fresh.basec("up", "--yes", "--allow-replace", "network-vpc", code=5)
    assert "network-vpc (Vpc): is the default VPC of its region, and would be deleted" in outcome.stderr
    assert fresh.journal() == before


def test_down_ends_well_leaves_it_and_the_next_up_uses_it(fresh: DryStack) -> None:
    (vpc,) = fresh.records("vpc")
    said = fresh.basec(*DOWN).stderr
    assert "down: network-vpc (Vpc) stays, here and in the account: its region's default VPC" in said
    assert (list(fresh.records("vpc")), fresh.records("droplet")) == ([vpc], {})
    fresh.basec("up", "--yes")
    assert list(fresh.records("vpc")) == [vpc]


def test_a_machine_that_is_gone_does_not_stop_down_and_a_vpc_that_is_the_default_no_more_goes(fresh: DryStack) -> None:
    """Without a look at the cloud the provider would crash over the address of the machine."""

    path = fresh.cloud / "dry.json"
    data = json.loads(path.read_text())
    lost = next(key for key, record in data["droplet"].items() if record["urn"].endswith("::edge-droplet"))
    del data["droplet"][lost]
    for record in data["reserved_ip"].values():
        record["droplet_id"] = None
    for record in data["vpc"].values():
        record["spec"]["default"] = False
    path.write_text(json.dumps(data))
    assert "stays" not in fresh.basec(*DOWN).stderr
    assert fresh.records("vpc") == fresh.records("droplet") == fresh.records("reserved_ip") == {}
