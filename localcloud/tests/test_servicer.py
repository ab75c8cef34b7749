"""The layer keeps its promises on the wire: each test is one trap of provider plugins ."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2

from localcloud.config import CloudConfig
from localcloud.errors import CloudError, NotReadyError
from localcloud.provider.handler import Created, Found, Job, Values
from localcloud.provider.values import UNKNOWN, UNKNOWN_SENTINEL, Secret, decode_struct
from localcloud.tests.conftest import Behaviour, Plugin, failed_details, thing_urn

DIFF_SOME = provider_pb2.DiffResponse.DIFF_SOME
DIFF_NONE = provider_pb2.DiffResponse.DIFF_NONE
Kinds = provider_pb2.PropertyDiff.Kind


async def message_of(call: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return str(caught.value.details())


async def test_check_accepts_unknown_values_at_any_depth_without_looking_at_them(plugin: Plugin) -> None:
    news = {
        "size": UNKNOWN,
        "nested": {"a": [UNKNOWN]},
        "label": Secret(UNKNOWN),
        "items": [UNKNOWN, "x"],
        "count": UNKNOWN,
    }
    answer = await plugin.check(news)
    assert not answer.failures
    assert decode_struct(answer.inputs) == news


async def test_check_names_a_property_that_is_not_implemented(plugin: Plugin) -> None:
    answer = await plugin.check({"colour": "red"})
    assert [(f.property, f.reason) for f in answer.failures] == [
        ("colour", "the local cloud does not implement the property 'colour'")
    ]


async def test_check_wants_a_whole_number_where_one_is_due(plugin: Plugin) -> None:
    for value in ("12", 1.5, True):
        answer = await plugin.check({"count": value})
        assert [f.property for f in answer.failures] == ["count"], value
    assert not (await plugin.check({"count": 12})).failures


async def test_a_type_that_is_not_implemented_fails_with_its_name(plugin: Plugin) -> None:
    urn = "urn:pulumi:local::shop::digitalocean:index/loadBalancer:LoadBalancer::lb"
    message = await message_of(plugin.check({}, urn=urn))
    assert message.startswith("local cloud does not implement digitalocean:index/loadBalancer:LoadBalancer\nhint: ")


async def test_preview_of_a_create_answers_inputs_and_leaves_outputs_unknown(plugin: Plugin) -> None:
    answer = await plugin.create({"size": UNKNOWN, "label": Secret("s")}, preview=True)
    assert decode_struct(answer.properties) == {"size": UNKNOWN, "label": Secret("s")}
    assert plugin.behaviour.seen == []


async def test_preview_of_an_update_keeps_what_stays_and_omits_what_may_change(plugin: Plugin) -> None:
    state = {"fixed": "f", "moving": 1}
    outputs = await plugin.update({"label": "a"}, {"label": UNKNOWN}, state, preview=True)
    assert outputs == {"label": UNKNOWN, "fixed": "f"}


async def test_a_secret_input_is_plain_for_the_handler_and_flagged_in_the_answer(plugin: Plugin) -> None:
    answer = await plugin.create({"label": Secret("s3cret!"), "nested": {"key": Secret("k3y!!!")}, "size": "s"})
    assert plugin.behaviour.seen == [("create", {"label": "s3cret!", "nested": {"key": "k3y!!!"}, "size": "s"})]
    outputs = decode_struct(answer.properties)
    assert outputs["label"] == Secret("s3cret!")
    assert outputs["nested"] == {"key": Secret("k3y!!!")}
    assert outputs["fixed"] == "f"


async def test_a_refresh_keeps_the_flag_of_a_secret_that_has_changed(plugin: Plugin, behaviour: Behaviour) -> None:
    behaviour.read = lambda *_: Found(inputs={"label": "new value"}, outputs={"fixed": "f"})
    answer = await plugin.read({"label": Secret("old value")}, {})
    assert decode_struct(answer.inputs) == {"label": Secret("new value")}
    assert decode_struct(answer.properties)["label"] == Secret("new value")


async def test_a_vanished_resource_is_answered_with_an_empty_id(plugin: Plugin, behaviour: Behaviour) -> None:
    behaviour.read = lambda *_: None
    assert (await plugin.read({"size": "s"}, {})).id == ""


async def test_an_unknown_value_never_reaches_a_real_create(plugin: Plugin) -> None:
    message = await message_of(plugin.create({"nested": {"a": [UNKNOWN]}}))
    assert "unknown values outside of a preview: nested" in message
    assert plugin.behaviour.seen == []


async def test_an_unknown_value_never_reaches_the_state(plugin: Plugin, behaviour: Behaviour) -> None:
    behaviour.create = lambda *_: Created(id="7", outputs={"address": f"{UNKNOWN_SENTINEL}"})
    with pytest.raises(grpc.aio.AioRpcError):
        await plugin.create({})


async def test_diff_compares_inputs_so_computed_outputs_are_no_change(plugin: Plugin) -> None:
    same = {"size": "s", "label": Secret("x")}
    answer = await plugin.diff(same, {"size": "s", "label": "x"}, state={"fixed": "f", "moving": 3})
    assert answer.changes == DIFF_NONE
    assert not answer.detailedDiff


async def test_diff_tells_path_and_kind_of_each_change(plugin: Plugin) -> None:
    old = {"label": {"a": 1, "b": 2}, "size": "s"}
    answer = await plugin.diff(old, {"label": {"a": 1, "b": 3}, "size": "l", "count": 1})
    assert answer.changes == DIFF_SOME
    assert answer.hasDetailedDiff
    assert {path: Kinds.Name(entry.kind) for path, entry in answer.detailedDiff.items()} == {
        "count": "ADD",
        "label.b": "UPDATE",
        "size": "UPDATE_REPLACE",
    }
    assert list(answer.replaces) == ["size"]
    assert answer.deleteBeforeReplace


async def test_diff_in_place_does_not_ask_for_deletion(plugin: Plugin) -> None:
    answer = await plugin.diff({"label": "a"}, {"label": "b"})
    assert not answer.replaces
    assert not answer.deleteBeforeReplace


async def test_diff_of_an_unknown_value_is_a_change_and_replaces_where_the_property_does(plugin: Plugin) -> None:
    answer = await plugin.diff({"size": "s", "label": "a"}, {"size": UNKNOWN, "label": UNKNOWN})
    assert list(answer.replaces) == ["size"]
    assert set(answer.detailedDiff) == {"size", "label"}


async def test_diff_honours_ignored_changes_with_their_subpaths(plugin: Plugin) -> None:
    old = {"size": "s", "nested": {"a": 1}, "label": ["x"]}
    new = {"size": "l", "nested": {"a": 2}, "label": ["y"]}
    answer = await plugin.diff(old, new, ignore=["size", "nested.a", "label[*]"])
    assert answer.changes == DIFF_NONE


async def test_diff_of_a_set_ignores_order_and_a_default_equals_an_absent_value(plugin: Plugin) -> None:
    answer = await plugin.diff({"items": ["a", "b"]}, {"items": ["b", "a"], "flag": False})
    assert answer.changes == DIFF_NONE


async def test_a_thing_that_is_not_ready_is_kept_with_id_inputs_and_reasons(
    plugin: Plugin, behaviour: Behaviour
) -> None:
    def create(job: Job[Any], inputs: Values) -> Created:
        raise NotReadyError(["cloud-init ended with an error", "sshd never answered"], "99", {"fixed": "f"})

    behaviour.create = create
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await plugin.create({"label": Secret("secret-label")})
    assert caught.value.code() == grpc.StatusCode.UNKNOWN
    failed = failed_details(caught.value)
    assert failed.id == "99"
    assert list(failed.reasons[:2]) == ["cloud-init ended with an error", "sshd never answered"]
    assert decode_struct(failed.inputs) == {"label": Secret("secret-label")}
    assert decode_struct(failed.properties) == {"label": Secret("secret-label"), "fixed": "f"}


async def test_a_time_out_ends_the_handler_and_names_the_stage(plugin: Plugin, behaviour: Behaviour) -> None:
    ended = asyncio.Event()

    async def create(job: Job[Any], inputs: Values) -> Created:
        await job.progress("cloud-init")
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        raise AssertionError

    behaviour.create = create
    message = await message_of(plugin.create({}, timeout_s=0.2))
    assert message.startswith("create Thing one: not done within 0.2 s; last stage: cloud-init\nhint: ")
    assert ended.is_set()


async def test_cancel_ends_running_handlers_and_the_plugin_goes_on_serving(
    plugin: Plugin, behaviour: Behaviour
) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def create(job: Job[Any], inputs: Values) -> Created:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        raise AssertionError

    behaviour.create = create
    running = asyncio.ensure_future(message_of(plugin.create({})))
    await started.wait()
    await plugin.cancel()
    await plugin.cancel()
    assert (await asyncio.wait_for(running, 2)).startswith("create Thing one: cancelled at stage: ")
    assert ended.is_set()
    behaviour.create = None
    assert (await plugin.create({})).id == "7"
    await plugin.cancel()


async def test_two_slow_creates_run_side_by_side(plugin: Plugin, behaviour: Behaviour) -> None:
    both = asyncio.Barrier(2)

    async def create(job: Job[Any], inputs: Values) -> Created:
        await asyncio.wait_for(both.wait(), 5)
        return Created(id=job.name, outputs={})

    behaviour.create = create
    answers = await asyncio.gather(plugin.create({}, urn=thing_urn("a")), plugin.create({}, urn=thing_urn("b")))
    assert {answer.id for answer in answers} == {"a", "b"}


async def test_progress_is_a_live_line_beside_the_resource_without_secrets(
    plugin: Plugin, behaviour: Behaviour
) -> None:
    async def create(job: Job[Any], inputs: Values) -> Created:
        await job.progress(f"logging in with {inputs['label']}")
        return Created(id="7", outputs={})

    behaviour.create = create
    await plugin.create({"label": Secret("hunter2-hunter2")})
    line = plugin.engine.lines[0]
    assert (line.urn, line.message, line.ephemeral) == (thing_urn(), "logging in with [secret]", True)


async def test_an_error_is_one_cause_one_next_step_and_the_name_of_the_log(
    plugin: Plugin, behaviour: Behaviour, config: CloudConfig
) -> None:
    def create(job: Job[Any], inputs: Values) -> Created:
        raise CloudError("Can not delete VPC with members\nhint: delete the droplets first")

    behaviour.create = create
    log = config.state / "logs" / "command.log"
    assert await message_of(plugin.create({})) == (
        f"Can not delete VPC with members\nhint: delete the droplets first\ndetails: {log}"
    )
    assert "Traceback" in log.read_text()


async def test_a_bug_is_reported_without_traceback_and_always_says_what_to_do_next(
    plugin: Plugin, behaviour: Behaviour
) -> None:
    def create(job: Job[Any], inputs: Values) -> Created:
        raise RuntimeError("boom")

    behaviour.create = create
    cause, following, details = (await message_of(plugin.create({}))).splitlines()
    assert cause == "create Thing one: RuntimeError: boom"
    assert following.startswith("hint: ")
    assert details.startswith("details: ")


async def test_no_secret_is_in_messages_or_in_private_log_files(
    plugin: Plugin, behaviour: Behaviour, config: CloudConfig
) -> None:
    key = "-----BEGIN KEY-----\nAAAAB3NzaC1yc2EAAAADAQABAAABgQ\n-----END KEY-----\n"

    def create(job: Job[Any], inputs: Values) -> Created:
        raise RuntimeError(f"bad {inputs['label']!r} and line AAAAB3NzaC1yc2EAAAADAQABAAABgQ and {inputs['nested']}")

    behaviour.create = create
    message = await message_of(plugin.create({"label": Secret(key), "nested": {"p": Secret("pass-word-1")}}))
    log = config.state / "logs" / "command.log"
    for text in (message, log.read_text(), (config.state / "events.jsonl").read_text()):
        assert "AAAAB3" not in text
        assert "pass-word-1" not in text
    assert log.stat().st_mode & 0o777 == 0o600


async def test_every_change_is_one_line_in_the_event_log(
    plugin: Plugin, behaviour: Behaviour, config: CloudConfig
) -> None:
    await plugin.create({"size": "s"})
    await plugin.update({"size": "s"}, {"size": "s"}, {})
    await plugin.read({"size": "s"}, {})
    await plugin.stub.Delete(provider_pb2.DeleteRequest(id="7", urn=thing_urn()))

    def create(job: Job[Any], inputs: Values) -> Created:
        raise CloudError("no")

    behaviour.create = create
    await message_of(plugin.create({}))
    lines = [json.loads(line) for line in (config.state / "events.jsonl").read_text().splitlines()]
    assert [(e["op"], e["type"], e["name"], e["outcome"]) for e in lines] == [
        ("create", "test:index:Thing", "one", "done"),
        ("update", "test:index:Thing", "one", "done"),
        ("delete", "test:index:Thing", "one", "done"),
        ("create", "test:index:Thing", "one", "failed"),
    ]


async def test_the_plugin_introduces_itself_with_the_official_version(plugin: Plugin) -> None:
    assert (await plugin.stub.GetPluginInfo(empty_pb2.Empty())).version == "1.2.1"
    configured = await plugin.stub.Configure(provider_pb2.ConfigureRequest())
    assert (configured.acceptSecrets, configured.supportsPreview) == (True, True)
    assert (configured.acceptResources, configured.acceptOutputs) == (False, False)


async def test_another_token_does_not_replace_the_provider(plugin: Plugin) -> None:
    answer = await plugin.stub.DiffConfig(provider_pb2.DiffRequest(urn=thing_urn()))
    assert answer.changes == DIFF_NONE


async def test_a_lookup_is_refused_with_its_name(plugin: Plugin) -> None:
    message = await message_of(plugin.stub.Invoke(provider_pb2.InvokeRequest(tok="digitalocean:index/getDroplet:x")))
    assert message == "local cloud does not implement the function digitalocean:index/getDroplet:x"
