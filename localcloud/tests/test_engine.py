"""Pulumi's real engine with the dry plugins: up, nothing to do, edits, drift, failures, destroy."""

from __future__ import annotations

import contextvars
import dataclasses
import json
from collections.abc import Callable
from typing import Any
from unittest import mock

import pulumi
import pulumi.automation as auto
import pulumi_digitalocean as digitalocean
import pytest
from pulumi.runtime import settings as sdk

from localcloud.tests.engine_stack import PATIENCE, EngineError, EngineStack
from localcloud.tests.sample_program import PUBLIC_KEY, STDIN_SECRET, USER_DATA_SECRET, Sample

pytestmark = pytest.mark.engine

SAMPLE = Sample()
RESOURCES = 13
DROPLET = "digitalocean:index/droplet:Droplet"
COMMAND = "command:remote:Command"
StackOf = Callable[..., EngineStack]


def changes(stack: EngineStack, since: int) -> list[tuple[str, str]]:
    return [(event["op"], event["name"]) for event in stack.events()[since:]]


def everything_on_disk(stack: EngineStack) -> str:
    files = [path for path in stack.directory.rglob("*") if path.is_file() and "cli" not in path.parts]
    return "\n".join(path.read_bytes().decode(errors="replace") for path in files)


def test_a_stack_comes_up_stays_as_it_is_and_goes_without_a_trace(stack: EngineStack) -> None:
    result = stack.up()
    assert result.summary.resource_changes == {"create": RESOURCES}
    assert result.outputs["private"].value == "10.77.1.8"
    assert result.outputs["edge"].value == "198.51.100.24"

    before = len(stack.events())
    again = stack.up(expect_no_changes=True)
    assert again.summary.resource_changes == {"same": RESOURCES}
    assert changes(stack, before) == []

    stack.stack.refresh(expect_no_changes=True)
    stack.stack.destroy()
    assert stack.records() == {}
    assert "resources" not in stack.deployment() or not stack.deployment()["resources"]


def test_secrets_are_nowhere_in_clear(stack_up: EngineStack) -> None:
    text = everything_on_disk(stack_up)
    assert STDIN_SECRET not in text
    assert USER_DATA_SECRET.splitlines()[1] not in text
    assert "not-a-key" not in text  # the connection is secret as a whole


EDITS: tuple[tuple[dict[str, Any], list[tuple[str, str]]], ...] = (
    ({"text": "echo changed"}, [("update", "activate")]),
    ({"tags": ("shop",)}, [("update", "infra"), ("update", "edge")]),
    ({"ports": (80, 443)}, [("update", "edge-fw")]),
    ({"volume_gib": 20}, [("update", "data")]),
    ({"size": "s-1vcpu-2gb"}, [("update", "infra"), ("update", "edge")]),
    ({"user_data": "#cloud-config\n# another\n"}, []),  # ignored: it is for new machines only
)


def test_an_edit_changes_what_it_names_and_nothing_else(stack_up: EngineStack) -> None:
    edited = SAMPLE
    for edit, expected in EDITS:
        before = len(stack_up.events())
        edited = dataclasses.replace(edited, **edit)
        stack_up.use(edited)
        summary = {str(op): count for op, count in (stack_up.up().summary.resource_changes or {}).items()}
        assert summary.get("update", 0) == len(expected), edit
        assert summary["same"] == RESOURCES - len(expected), edit
        assert changes(stack_up, before) == expected
    assert stack_up.operations() == {"same": RESOURCES}


def test_a_replaced_droplet_goes_first_and_takes_its_attachments_along_and_its_command_runs_again(
    stack: EngineStack,
) -> None:
    stack.use(dataclasses.replace(SAMPLE, ignore=[], droplets=("infra",)))
    stack.up()
    old_id = next(iter(stack.records()["droplet"]))
    before = len(stack.events())
    stack.use(dataclasses.replace(SAMPLE, ignore=[], droplets=("infra",), user_data="#cloud-config\n# new\n"))
    stack.up()
    done = changes(stack, before)
    assert done.index(("delete", "data-on-infra")) < done.index(("delete", "infra"))
    assert done.index(("delete", "infra")) < done.index(("create", "infra")) < done.index(("update", "activate"))
    assert ("create", "data-on-infra") in done
    assert list(stack.records()["droplet"]) != [old_id]
    assert next(iter(stack.records()["volume"].values()))["droplet_id"] == next(iter(stack.records()["droplet"]))


def test_changed_triggers_run_the_new_create_before_the_old_delete(stack: EngineStack) -> None:
    stack.use(dataclasses.replace(SAMPLE, triggers=("1",)))
    stack.up()
    before = len(stack.events())
    stack.use(dataclasses.replace(SAMPLE, triggers=("2",)))
    stack.up()
    assert changes(stack, before) == [("create", "activate"), ("delete", "activate")]


def test_refresh_sees_what_vanished_and_what_drifted(stack_up: EngineStack) -> None:
    path = stack_up.state / "dry.json"
    data = json.loads(path.read_text())
    data["record"] = {}
    next(iter(data["volume"].values()))["spec"]["size_gib"] = 5
    path.write_text(json.dumps(data))
    stack_up.stack.refresh()
    assert stack_up.operations() == {"same": RESOURCES - 2, "create": 1, "update": 1}
    stack_up.up()
    assert stack_up.operations() == {"same": RESOURCES}


def test_a_refused_value_is_named_at_preview_before_anything_is_made(stack: EngineStack) -> None:
    stack.use(dataclasses.replace(SAMPLE, size="s-9vcpu-9gb"))
    with pytest.raises(auto.CommandError) as caught:
        stack.stack.preview()
    assert "invalid size for Droplet creation: 's-9vcpu-9gb'" in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert stack.records() == {}


def test_a_type_that_is_not_implemented_stops_the_preview(stack_of: StackOf) -> None:
    def program() -> None:
        digitalocean.Domain("zone", name="example.com")

    with pytest.raises(auto.CommandError) as caught:
        stack_of(program).stack.preview()
    assert "local cloud does not implement digitalocean:index/domain:Domain" in str(caught.value)


def test_a_failed_create_leaves_no_pending_operation_and_the_same_command_goes_on(stack: EngineStack) -> None:
    stack.faults({"when": "before", "op": "create", "name": "edge", "error": "no capacity\nhint: try again"})
    with pytest.raises(auto.CommandError) as caught:
        stack.up()
    assert "no capacity" in str(caught.value)
    assert "hint: try again" in str(caught.value)
    assert not stack.deployment().get("pending_operations")
    stack.faults()
    stack.up()
    assert stack.operations() == {"same": RESOURCES}
    assert len(stack.records()["droplet"]) == 2


def test_a_create_that_takes_too_long_is_ended_by_its_own_time_out(stack: EngineStack) -> None:
    stack.faults({"when": "before", "op": "create", "type": DROPLET, "name": "infra", "seconds": 60})
    stack.use(dataclasses.replace(SAMPLE, droplet_timeout="1s"))
    with pytest.raises(auto.CommandError) as caught:
        stack.up()
    assert "create Droplet infra: not done within 1 s; last stage: start" in str(caught.value)


def test_live_lines_reach_the_user(stack: EngineStack) -> None:
    lines: list[str] = []
    stack.up(on_output=lines.append)
    assert any("Droplet infra creating" in line and line.endswith("record") for line in lines)


def test_two_droplets_never_share_an_address_or_an_id(stack_up: EngineStack) -> None:
    states = [record["state"] for record in stack_up.records()["droplet"].values()]
    for key in ("id", "ipv4_address", "ipv4_address_private"):
        assert len({state[key] for state in states}) == 2, key
    assert all(state["id"].isdecimal() for state in states)


def test_outputs_of_secrets_stay_secret(stack_of: StackOf) -> None:
    def program() -> None:
        key = digitalocean.SshKey("k", name=pulumi.Output.secret("hidden-name"), public_key=PUBLIC_KEY)
        pulumi.export("key", key.name)

    stack = stack_of(program)
    assert stack.up().outputs["key"].secret
    states = (stack.directory / "backend").rglob("*.json*")
    assert "hidden-name" not in "".join(path.read_text() for path in states)


def test_a_failed_command_says_first_why_and_shows_none_of_the_sdks_frames(stack_of: StackOf) -> None:
    def program() -> None:
        raise ValueError("no such thing")

    with pytest.raises(EngineError, match=r"^preview: InlineSourceRuntimeError: .*error: ") as caught:
        stack_of(program).operations()
    assert "ValueError: no such thing" in str(caught.value)
    assert "Previewing update" in str(caught.value)
    assert caught.value.__context__ is None
    assert not [entry for entry in caught.traceback if "site-packages" in str(entry.path)]


def test_the_sdk_waits_for_an_engine_that_stalls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tried with the engine stopped for 25 and 60 s as the program began; here, what the SDK connects with."""
    connect = mock.MagicMock()
    monkeypatch.setattr("grpc.insecure_channel", connect)
    contextvars.copy_context().run(sdk.Settings, "project", "stack", "127.0.0.1:1", "127.0.0.1:2")
    assert [PATIENCE in call.kwargs["options"] for call in connect.call_args_list] == [True, True]
