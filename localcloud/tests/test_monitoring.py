"""Alerts, checks and projects of the local cloud: what they would do, and that they live like other resources."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pulumi_digitalocean as digitalocean
import pytest

from localcloud.config import CloudConfig
from localcloud.digitalocean import dry
from localcloud.errors import CloudError
from localcloud.plugin import package
from localcloud.provider.handler import Handler, Job
from localcloud.tests.engine_stack import EngineStack
from localcloud.tests.test_checks import VALID

DO = "digitalocean:index"
SAID = {
    f"{DO}/monitorAlert:MonitorAlert": "e-mail ops@example.com when cpu > 80 for 5m on edge",
    f"{DO}/uptimeCheck:UptimeCheck": "ask https://example.com/health from us_east, eu_west",
    f"{DO}/uptimeAlert:UptimeAlert": "e-mail ops@example.com when latency > 500 ms for 5m",
    f"{DO}/project:Project": "group resources as platform",
    f"{DO}/projectResources:ProjectResources": (
        "move do:droplet:400000002, do:volume:8e8f1f0c-0d5f-4c38-9c3a-000000000000 into the project"
    ),
}
every_type = pytest.mark.parametrize("type_name", SAID)


def handler_of(type_name: str) -> Handler[Any]:
    return package("digitalocean").handler(type_name)


def job(config: CloudConfig, said: list[str]) -> Job[Any]:
    async def progress(line: str) -> None:
        said.append(line)

    return Job(urn="urn", name="one", backend=dry.backend(config), config=config, progress=progress)


@every_type
async def test_it_says_while_it_is_made_and_in_the_event_log_what_the_real_one_does(
    config: CloudConfig, type_name: str
) -> None:
    handler, inputs = handler_of(type_name), VALID[type_name]
    said: list[str] = []
    await handler.create(job(config, said), inputs)
    assert said == [f"would {SAID[type_name]}"]
    assert handler.event_details(inputs) == {"would": SAID[type_name]}


@every_type
async def test_it_is_found_as_it_was_last_declared_and_gone_after_a_delete(config: CloudConfig, type_name: str) -> None:
    handler, inputs = handler_of(type_name), VALID[type_name]
    work = job(config, [])
    await work.backend.documents.put("uptime_check", "urn:check", "c", {})
    made = await handler.create(work, inputs)
    assert (await handler.create(work, inputs)).id == made.id, "a create after a crash adopts what is there"
    key = next(key for key in ("description", "target", "threshold", "resources") if key in inputs)
    changed = {**inputs, key: ["do:droplet:1"] if key == "resources" else 600 if key == "threshold" else "changed"}
    state = await handler.update(work, made.id, inputs, changed, {**inputs, **made.outputs})
    found = await handler.read(work, made.id, inputs, {**changed, **state})
    assert found is not None
    assert found.inputs == changed
    await handler.delete(work, made.id, changed, {})
    await handler.delete(work, made.id, changed, {})
    assert await handler.read(work, made.id, changed, {}) is None


def test_an_alert_without_a_threshold_says_for_how_long() -> None:
    inputs = {**VALID[f"{DO}/uptimeAlert:UptimeAlert"], "type": "down_global", "threshold": None, "period": "2m"}
    said = handler_of(f"{DO}/uptimeAlert:UptimeAlert").event_details(inputs)
    assert said == {"would": "e-mail ops@example.com when down_global for 2m"}


async def test_what_was_left_out_of_an_alert_for_a_check_that_is_down_is_filled_in_and_seen_by_a_refresh(
    config: CloudConfig,
) -> None:
    """Otherwise each `up` after a refresh would want to remove it: a program should set it."""
    type_name = f"{DO}/uptimeAlert:UptimeAlert"
    left_out = {"name": "down", "checkId": "c", "type": "down_global", "period": "2m", "notifications": []}
    handler, work = handler_of(type_name), job(config, [])
    await work.backend.documents.put("uptime_check", "urn:check", "c", {})
    for inputs in (left_out, {**left_out, "comparison": "less_than", "threshold": 1}):
        made = await handler.create(work, inputs)
        found = await handler.read(work, made.id, inputs, {})
        assert found is not None
        assert found.inputs == {**left_out, "comparison": "less_than", "threshold": 1}


async def test_an_alert_is_not_found_below_another_check(config: CloudConfig) -> None:
    type_name = f"{DO}/uptimeAlert:UptimeAlert"
    handler, work = handler_of(type_name), job(config, [])
    inputs = VALID[type_name]
    await work.backend.documents.put("uptime_check", "urn:check", "c", {})
    made = await handler.create(work, inputs)
    with pytest.raises(CloudError, match=f"^PUT /v2/uptime/checks/other/alerts/{made.id}: 404 alert not found\nhint: "):
        await handler.update(work, made.id, inputs, {**inputs, "checkId": "other"}, {})
    assert await handler.read(work, made.id, inputs, {}) is not None
    await work.backend.documents.delete("uptime_check", "c")
    assert await handler.read(work, made.id, inputs, {}) is None


class Watching:
    """A program with one of each type; `emails` and `percent` are what an edit changes."""

    def __init__(self, percent: int = 80) -> None:
        self.percent = percent

    def __call__(self) -> None:
        tag = digitalocean.Tag("tag", name="edge")
        mail = "ops@example.com"
        digitalocean.MonitorAlert(
            "cpu", type="v1/insights/droplet/cpu", compare="GreaterThan", value=self.percent, window="5m",
            description="busy", tags=[tag.name], alerts=digitalocean.MonitorAlertAlertsArgs(emails=[mail]),
        )  # fmt: skip
        check = digitalocean.UptimeCheck("check", name="health", target="https://example.com/health")
        digitalocean.UptimeAlert(
            "down", name="down", check_id=check.id, type="down_global", period="2m",
            comparison="less_than", threshold=1,
            notifications=[digitalocean.UptimeAlertNotificationArgs(emails=[mail])],
        )  # fmt: skip
        project = digitalocean.Project("group", name="platform", environment="Staging")
        digitalocean.ProjectResources("members", project=project.id, resources=["do:droplet:400000002"])


@pytest.mark.engine
def test_the_engine_sees_no_change_an_edit_a_loss_and_an_end(stack_of: Callable[..., EngineStack]) -> None:
    stack = stack_of(Watching())
    stack.up()
    stack.up(expect_no_changes=True)
    stack.stack.refresh(expect_no_changes=True)
    assert [event["would"] for event in stack.events() if event["name"] == "cpu"] == [
        "e-mail ops@example.com when cpu > 80 for 5m on edge"
    ]

    stack.use(Watching(percent=70))
    assert stack.operations() == {"same": 6, "update": 1}
    stack.up()
    (alert,) = stack.records()["monitor_alert"].values()
    assert alert["spec"]["value"] == 70

    records = json.loads((stack.state / "dry.json").read_text())
    records["monitor_alert"].clear()
    (stack.state / "dry.json").write_text(json.dumps(records))
    stack.stack.refresh()
    assert stack.operations() == {"same": 6, "create": 1}
    stack.stack.destroy()
    assert stack.records() == {}
