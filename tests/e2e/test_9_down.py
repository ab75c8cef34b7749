"""`down` leaves nothing; a bring-up that is killed three times heals by the same command."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.stack import STACK, TIERS, LocalStack, docker

pytestmark = pytest.mark.real


def left_behind(stack: LocalStack) -> dict[str, str]:
    label = f"label=basecommerce.cloud={STACK}"
    prefix = f"bc-{STACK}-"
    found = {
        "containers": docker("ps", "--all", "--quiet", "--filter", label)
        + docker("ps", "-aq", "--filter", f"name={prefix}"),
        "networks": docker("network", "ls", "--quiet", "--filter", f"name={prefix}"),
        "volumes": docker("volume", "ls", "--quiet", "--filter", f"name={prefix}"),
        "loops": "\n".join(line for line in run("losetup", "--list").splitlines() if STACK in line),
        "mounts": "\n".join(line for line in run("findmnt", "--list").splitlines() if STACK in line),
        "rules": "\n".join(line for line in run("iptables-save").splitlines() if STACK in line.lower()),
        "state": "\n".join(map(str, (stack.root / ".local").glob(f"{STACK}*"))),
        "basec": "\n".join(map(str, (stack.root / ".basec").glob(f"{STACK}*"))),
    }
    return {kind: text.strip() for kind, text in found.items() if text.strip()}


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_down_leaves_nothing_of_the_stack_behind(stack: LocalStack) -> None:
    stack.basec("down", "--env", STACK)
    assert left_behind(stack) == {}


def test_down_again_is_no_failure(stack: LocalStack) -> None:
    stack.basec("down", "--env", STACK)


def kill_when(stack: LocalStack, reached: Callable[[], bool], what: str) -> None:
    """Start `up`, and kill basec and Pulumi's CLI as soon as `reached` says that it is in the middle of one step."""
    process = stack.start("up", "--env", STACK)
    deadline = time.monotonic() + 300
    while not reached():
        if process.poll() is not None or time.monotonic() > deadline:
            kill(process)
            output, _ = process.communicate()
            raise AssertionError(f"`up` was never seen at {what}:\n{output}")
        time.sleep(0.02)
    kill(process)
    process.communicate()


def kill(process: subprocess.Popen[str]) -> None:
    """Send SIGKILL to basec and to the engine that it started; provider plugins have to notice by themselves."""
    for pid in (*engines_of(process.pid), process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def engines_of(pid: int) -> list[int]:
    """List the Pulumi CLIs among the processes below one. What ends while we look is passed over."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        if Path(f"/proc/{pid}/comm").read_text().strip() == "pulumi":
            found.append(pid)
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += engines_of(child)
    return found


def test_a_bring_up_that_is_killed_three_times_is_healed_by_the_same_command(stack: LocalStack) -> None:
    stack.basec("init", "--env", STACK, LOCAL_HTTP_PORT="8080", LOCAL_HTTPS_PORT="8443")

    def network_is_there() -> bool:
        return bool(docker("network", "ls", "-q", "--filter", f"name={stack.container('vpc')}").strip())

    def droplet_is_there() -> bool:
        return bool(docker("ps", "-aq", "--filter", f"name={stack.container('vertical')}").strip())

    def tier_is_coming() -> bool:
        return bool(stack.inside("infra", "ls /opt/basecommerce/infra/releases 2>/dev/null", check=False).strip())

    kill_when(stack, network_is_there, "networks")
    kill_when(stack, droplet_is_there, "droplets")
    kill_when(stack, tier_is_coming, "tiers")
    stack.up()
    label = f"label=basecommerce.cloud={STACK}"
    names = docker(
        "ps", "-a", "--format", "{{.Names}}", "--filter", label, "--filter", "label=basecommerce.kind=droplet"
    )
    assert sorted(names.split()) == sorted(stack.container(droplet) for droplet in TIERS)
    state = stack.root / ".local" / STACK / "state/.pulumi/stacks/basecommerce" / f"{STACK}.json"
    assert not json.loads(state.read_text())["checkpoint"]["latest"].get("pending_operations")
    stack.basec("down", "--env", STACK)
    assert left_behind(stack) == {}
