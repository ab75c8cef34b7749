"""A bring-up that is killed three times heals by the same command; the tests of this folder go on with that stack."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from tests.e2e.kills import kill
from tests.e2e.stack import STACK, TIERS, LocalStack, docker

pytestmark = pytest.mark.real


def kill_when(stack: LocalStack, reached: Callable[[], bool], what: str) -> None:
    """Start `up`, and kill basec and Pulumi's CLI as soon as `reached` says that it is in the middle of one step."""
    process = stack.start("up", "--env", STACK)
    deadline = time.monotonic() + 300
    while not reached():
        if process.poll() is not None or time.monotonic() > deadline:
            kill(process)
            output, _ = process.communicate()
            raise AssertionError(f"`up` was never seen at {what}:\n{output}")
        time.sleep(0.1)  # each look starts a docker client, and the steps take seconds
    kill(process)
    process.communicate()


def test_a_bring_up_that_is_killed_three_times_is_healed_by_the_same_command(stack: LocalStack) -> None:
    stack.init()

    def network_is_there() -> bool:
        return bool(docker("network", "ls", "-q", "--filter", f"name={stack.container('vpc')}").strip())

    def droplet_is_there() -> bool:
        return bool(docker("ps", "-aq", "--filter", f"name={stack.container('vertical')}").strip())

    def tier_is_coming() -> bool:
        return bool(stack.inside("infra", "ls /opt/basecommerce/infra/releases 2>/dev/null", check=False).strip())

    kill_when(stack, network_is_there, "networks")
    kill_when(stack, droplet_is_there, "droplets")
    kill_when(stack, tier_is_coming, "tiers")
    stack.outputs["first up"] = stack.up()
    label = f"label=basecommerce.cloud={STACK}"
    names = docker(
        "ps", "-a", "--format", "{{.Names}}", "--filter", label, "--filter", "label=basecommerce.kind=droplet"
    )
    assert sorted(names.split()) == sorted(stack.container(droplet) for droplet in TIERS)
    state = stack.root / ".local" / STACK / "state/.pulumi/stacks/basecommerce" / f"{STACK}.json"
    assert not json.loads(state.read_text())["checkpoint"]["latest"].get("pending_operations")
