"""kill -9 of the CLI in the middle of each kind of create: the same commands go on, and nothing exists twice."""

from __future__ import annotations

import time

import pytest

from localcloud.tests.engine_stack import EngineStack

pytestmark = pytest.mark.engine

STEPS = ("net", "edge-fw", "infra", "edge", "activate", "wildcard")
"""In the order in which they are made: each kill comes later than the one before."""


def test_a_kill_at_any_step_is_healed_and_nothing_is_made_twice(stack: EngineStack) -> None:
    for name in STEPS:
        stack.kill_during({"when": "after", "op": "create", "name": name})
        if name in ("net", "infra"):
            assert_plugins_gone(stack)
        made = {kind: set(records) for kind, records in stack.records().items()}
        stack.clear_after_kill()
        kept = {kind: set(records) for kind, records in stack.records().items()}
        assert kept == made, f"the refresh after the kill at {name} changed the cloud"
    stack.up()
    counts = {kind: len(records) for kind, records in stack.records().items()}
    assert counts == {
        "vpc": 1,
        "ssh_key": 1,
        "tag": 1,
        "firewall": 1,
        "droplet": 2,
        "volume": 1,
        "reserved_ip": 1,
        "record": 1,
    }
    assert not stack.deployment().get("pending_operations")
    assert set(stack.operations()) == {"same"}
    stack.stack.destroy()
    assert stack.records() == {}


def assert_plugins_gone(stack: EngineStack) -> None:
    """Plugins end by themselves when the engine is gone."""
    ends = time.monotonic() + 3
    while (left := stack.plugin_processes()) and time.monotonic() < ends:
        time.sleep(0.05)
    assert left == []
