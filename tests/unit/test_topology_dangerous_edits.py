"""The judge: each dangerous edit is one line of the table, and nothing else is refused."""

from __future__ import annotations

import dataclasses

import pytest

from tests.unit.topology_support import project
from topology.dangerous_edits import (
    RefusedPlanError,
    Step,
    judge,
    judge_destroy,
    powered_off,
    template_notes,
)
from topology.names import BUCKET, DROPLET, RESERVED_IP, VOLUME, VPC

HEAD = "urn:pulumi:staging::basecommerce::basecommerce:droplet:Droplet$"
MACHINE = f"{HEAD}{DROPLET}::infra-droplet"
EDGE = f"{HEAD}{DROPLET}::edge-droplet"
DISK = f"{HEAD}{VOLUME}::infra-volume"
ADDRESS = f"{HEAD}{RESERVED_IP}::edge-reserved-ip"
BUCKET_URN = f"urn:pulumi:staging::basecommerce::{BUCKET}::backups"
NETWORK = f"urn:pulumi:staging::basecommerce::basecommerce:network:Network${VPC}::network-vpc"
COMMAND = f"{HEAD}command:remote:Command::edge-host"
IMAGE = {"image": "debian-13-x64"}


def step(op: str, urn: str, *causes: str, **fields: object) -> Step:
    return dataclasses.replace(Step(op=op, urn=urn, causes=causes), **fields)  # type: ignore[arg-type]


DANGEROUS = [
    (step("same", EDGE, old_inputs={"image": "debian-12-x64"}), "image", "'debian-12-x64' -> 'debian-13-x64'"),
    (step("update", EDGE, old_inputs={"image": "debian-12-x64"}), "image", "only a new machine can have another one"),
    (
        step("replace", MACHINE, "region", old_inputs={"region": "nyc3"}, new_inputs={"region": "fra1"}),
        "replace",
        "region 'nyc3' -> 'fra1'",
    ),
    (step("replace", MACHINE, "vpcUuid"), "replace", "its data volume stays"),
    (step("create-replacement", EDGE, "image"), "replace", "its tier is down meanwhile"),
    (step("delete-replaced", DISK, "name"), "replace", "the data of PostgreSQL and Redis"),
    (step("replace", NETWORK, "ipRange"), "replace", "the private network is destroyed"),
    (step("replace", ADDRESS, "region"), "replace", "cannot be recovered"),
    (step("delete", EDGE), "delete", "is no longer declared"),
    (step("delete", DISK), "delete", "the data of PostgreSQL and Redis"),
    (step("delete", ADDRESS), "delete", "cannot be recovered"),
    (step("delete", BUCKET_URN), "delete", "the bucket is destroyed with everything in it"),
    (step("replace", BUCKET_URN, "acl"), "replace", "the bucket is destroyed with everything in it"),
    (step("delete", NETWORK), "delete", "the private network is destroyed"),
    (step("update", DISK, old_inputs={"size": 20}), "shrink", "20 -> 10 GiB"),
    (step("same", DISK, old_inputs={"size": 20.0}), "shrink", "20 -> 10 GiB"),
    (step("same", DISK, old_protect=True), "protect", "would lose its protection"),
    (step("update", MACHINE, old_protect=True), "protect", "keep `protect: true` in Pulumi.staging.yaml"),
]

HARMLESS = [
    step("same", EDGE, old_inputs=IMAGE, old_protect=True, new_protect=True),
    step("update", EDGE, old_inputs={**IMAGE, "size": "s-1vcpu-1gb"}, new_inputs={"size": "s-1vcpu-2gb"}),
    step("create", EDGE, new_protect=True),
    step("same", EDGE, old_inputs=IMAGE, new_protect=True),
    step("update", DISK, old_inputs={"size": 5}),
    step("replace", COMMAND),
    step("delete", COMMAND),
]


RESIZED = step("update", MACHINE, old_inputs={"size": "s-1vcpu-2gb"}, new_inputs={"size": "s-2vcpu-2gb"})
REPLACED = step("replace", MACHINE, "region")
GROWN = step("update", DISK, old_inputs={"size": 10}, new_inputs={"size": 20})


@pytest.mark.parametrize("off", [RESIZED, REPLACED])
def test_a_volume_does_not_grow_while_its_machine_is_switched_off_even_on_purpose(off: Step) -> None:
    for allowed in ((), ("infra-volume", "infra-droplet")):
        refusals = [each for each in judge([GROWN, off], project(), allowed).refusals if each.rule == "together"]
        assert RefusedPlanError(refusals).render() == (
            "BC07 staging: infra-volume (Volume): would grow while infra-droplet (Droplet) is switched off: "
            "DigitalOcean refuses one while the other is in progress\n"
            "hint: one after the other: undo `size_gib` in inventory.yaml (droplets.infra.volume), basec up, then "
            "write it again; docs/dangerous-edits.md has the safe way"
        )


@pytest.mark.parametrize("op", ["replace", "delete"])
def test_a_regions_default_vpc_is_never_deleted_not_even_on_purpose(op: str) -> None:
    ours = step(op, NETWORK, "ipRange", default_vpc=True)
    (refusal,) = judge([ours], project(), ("network-vpc",)).refusals
    text = RefusedPlanError([refusal]).render()
    assert text.startswith("BC07 staging: network-vpc (Vpc): is the default VPC of its region, and would be deleted: ")
    assert "doctl vpcs update ID --default=true" in text
    assert "--allow-replace" not in text
    assert judge([step("same", NETWORK, default_vpc=True)], project()).refusals == ()


@pytest.mark.parametrize("other", [[], [step("same", MACHINE)], [dataclasses.replace(RESIZED, urn=EDGE)]])
def test_a_volume_grows_beside_whatever_leaves_its_own_machine_on(other: list[Step]) -> None:
    assert judge([GROWN, *other], project()).refusals == ()


def test_what_takes_a_machines_power_or_disk_away_is_a_new_size_or_a_replacement() -> None:
    steps = [RESIZED, step("same", EDGE, old_inputs={"size": "a"}, new_inputs={"size": "a"}), GROWN]
    assert powered_off(steps) == {"infra": RESIZED}
    assert powered_off([step("delete-replaced", MACHINE), REPLACED]) == {"infra": REPLACED}
    assert powered_off([step("create", MACHINE), step("delete", EDGE)]) == {}


@pytest.mark.parametrize(("dangerous", "rule", "words"), DANGEROUS)
def test_a_dangerous_edit_is_refused_with_what_is_lost_and_both_ways_out(
    dangerous: Step, rule: str, words: str
) -> None:
    (refusal,) = judge([dangerous], project()).refusals
    assert (refusal.rule, refusal.urn) == (rule, dangerous.urn)
    text, hint = RefusedPlanError([refusal]).render().split("\nhint: ")
    assert text.startswith(f"BC07 staging: {dangerous.name} (")
    assert words in text + hint
    assert hint.startswith(("undo the edit of", "keep `protect: true`"))
    assert hint.endswith(f"on purpose: basec up --env staging --allow-replace {dangerous.name}")


@pytest.mark.parametrize(("dangerous", "rule"), [(each[0], each[1]) for each in DANGEROUS])
def test_its_name_or_urn_allows_it_and_no_other_one(dangerous: Step, rule: str) -> None:
    for named in (dangerous.urn, dangerous.name):
        verdict = judge([dangerous], project(), [named])
        assert verdict.refusals == ()
        assert verdict.forced == ((dangerous.urn,) if rule in ("image", "shrink") else ())
        assert judge([dangerous], project(), [f"{named}2"]).refusals


@pytest.mark.parametrize("harmless", HARMLESS)
def test_what_a_second_up_could_repair_is_not_refused(harmless: Step) -> None:
    assert judge([harmless], project()).refusals == ()


def test_a_replacement_in_three_steps_is_refused_once_with_its_cause() -> None:
    steps = [step(op, MACHINE, "region") for op in ("delete-replaced", "replace", "create-replacement")]
    (refusal,) = judge(steps, project()).refusals
    assert refusal.undo == "undo the edit of `region` in Pulumi.staging.yaml"


def test_all_dangerous_edits_are_reported_at_once() -> None:
    steps = [step("replace", NETWORK, "ipRange"), step("replace", MACHINE, "vpcUuid"), step("delete", DISK)]
    error = RefusedPlanError(judge(steps, project()).refusals)
    assert error.exit_code == 5
    assert error.render().count("\nhint: ") == 2


def test_one_edit_is_one_refusal_with_its_cause_even_if_the_engine_gives_none() -> None:
    region = {"old_inputs": {"region": "nyc3"}, "new_inputs": {"region": "fra1"}}
    steps = [step("replace", ADDRESS), step("replace", MACHINE, "region", **region), step("replace", NETWORK, "region")]
    assert RefusedPlanError(judge(steps, project()).refusals).render().splitlines() == [
        "BC07 staging: region 'nyc3' -> 'fra1' would replace 3 resources:",
        "  edge-reserved-ip (ReservedIp): the public address goes back to DigitalOcean and cannot be recovered",
        "  infra-droplet (Droplet): the machine is destroyed: its tier is down meanwhile, and what its own disk holds "
        "is lost; its data volume stays, and moves to the new one",
        "  network-vpc (Vpc): the private network is destroyed, and every machine in it",
        "hint: undo the edit of `region` in Pulumi.staging.yaml; docs/dangerous-edits.md has the safe way; "
        "on purpose: basec up --env staging --allow-replace edge-reserved-ip --allow-replace infra-droplet "
        "--allow-replace network-vpc",
    ]


def test_two_edits_are_two_refusals() -> None:
    steps = [step("replace", NETWORK, "ipRange"), step("delete", DISK), step("delete", EDGE)]
    text = RefusedPlanError(judge(steps, project()).refusals).render()
    assert "BC07 staging: network-vpc (Vpc): would be replaced (ipRange): " in text
    assert "BC07 staging: 2 resources are no longer declared:\n  infra-volume (Volume): " in text
    assert text.count("\nhint: ") == 2


@pytest.mark.parametrize(
    ("stack", "local", "allowed", "refused"),
    [
        ("production", False, "", "would be lost. To confirm, give the stack's name."),
        ("production", False, "staging", "--allow-destroy names 'staging'"),
        ("production", False, "production", None),
        ("staging", False, "", "would be lost. To confirm, give the stack's name."),
        ("local", True, "", None),
    ],
)
def test_a_cloud_stack_is_destroyed_only_under_its_own_name(
    stack: str, local: bool, allowed: str, refused: str | None
) -> None:
    found = judge_destroy(stack, local=local, allowed=allowed)
    assert [refusal.rule for refusal in found] == (["destroy"] if refused else [])
    for refusal in found:
        assert refused is not None
        text = RefusedPlanError([refusal]).render()
        assert refused in text
        assert text.startswith(f"BC20 {stack}: destroy: ")
        assert text.endswith(f"on purpose: basec down --env {stack} --allow-destroy {stack}")


def test_an_edited_template_is_reported_for_the_hosts_that_run_the_old_one() -> None:
    notes = template_notes({"infra": "aaa", "edge": "bbb"}, {"infra": "aaa", "edge": "ccc", "new": "ddd"})
    assert notes == ("host edge runs template bbb, new machines get ccc",)
