"""A host that is not there, is somebody else, or has no room: one message within 30 s, and nothing runs after it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.stack import STACK, LocalStack

pytestmark = pytest.mark.real

ANSWER_S = 30.0
"""Seconds until the message is there; of `up`, counted from its engine's operation on."""
KEY = "/etc/ssh/ssh_host_ed25519_key"
KEYS = "/home/basec/.ssh/authorized_keys"

Break = tuple[str, str]
"""Shell lines in the droplet: what breaks it, what mends it."""

UNREACHABLE: Break = ("iptables -I INPUT -p tcp --dport 22 -j DROP", "iptables -D INPUT -p tcp --dport 22 -j DROP")
WRONG_KEY: Break = (
    f"cp -a {KEY} /root/key && rm {KEY} && ssh-keygen -q -t ed25519 -N '' -f {KEY} && systemctl restart ssh",
    f"cp -a /root/key {KEY} && rm -f {KEY}.pub /root/key && systemctl restart ssh",
)
REFUSED: Break = (f"mv {KEYS} {KEYS}.aside", f"mv {KEYS}.aside {KEYS}")
FULL: Break = ("mount -t tmpfs -o size=64m tmpfs /opt/basecommerce", "umount /opt/basecommerce")

CASES = [
    pytest.param("vertical", UNREACHABLE, "cannot be reached by SSH", "no connection after 10 dials", id="unreachable"),
    pytest.param("edge", UNREACHABLE, "cannot be reached by SSH", "no connection after 10 dials", id="bastion away"),
    pytest.param("vertical", WRONG_KEY, "wrong host key: ", "wrong host key: ", id="wrong host key"),
    pytest.param("edge", WRONG_KEY, "wrong host key: ", "wrong host key: ", id="wrong host key of the bastion"),
    pytest.param("vertical", REFUSED, "login refused: ", "login refused: ", id="refused key"),
]


@contextmanager
def broken(stack: LocalStack, droplet: str, damage: Break) -> Iterator[None]:
    """Break a droplet from inside, past sshd; connections that were kept open are closed before and after."""
    close_connections(stack)
    stack.inside(droplet, damage[0])
    try:
        yield
    finally:
        stack.inside(droplet, damage[1])
        close_connections(stack)


def close_connections(stack: LocalStack) -> None:
    config = stack.root / ".basec" / STACK / "ssh_config"
    for host in ("vertical", "infra", "edge"):
        subprocess.run(["ssh", "-F", config, "-O", "exit", host], capture_output=True, check=False)


@pytest.fixture
def edited(stack: LocalStack) -> Iterator[None]:
    """Change one file of the vertical tier, so that `up` has something to send there."""
    path = stack.root / "compose/vertical/haproxy/haproxy.cfg"
    before = path.read_text()
    path.write_text(before + "\n# edited for a test\n")
    yield
    path.write_text(before)


def timed(run: Callable[[], str]) -> tuple[str, float]:
    started = time.monotonic()
    return run(), time.monotonic() - started


@pytest.mark.parametrize(("droplet", "damage", "said", "_by_up"), CASES)
def test_basec_ssh_says_what_is_wrong_with_the_host_and_ends_with_4(
    stack: LocalStack, droplet: str, damage: Break, said: str, _by_up: str
) -> None:
    with broken(stack, droplet, damage):
        command = ("ssh", droplet, "--env", STACK, "--", "sudo touch /run/was-here")
        output, seconds = timed(lambda: stack.basec(*command, expect=4))
        script, script_seconds = timed(lambda: stack.basec("compose", "restart", droplet, "--env", STACK, expect=4))
    for text in (output, script):
        assert f"{droplet}: {said}" in text
        assert text.count("hint:") == 1
        assert "Traceback" not in text
    assert max(seconds, script_seconds) < ANSWER_S
    assert "was-here" not in stack.inside(droplet, "ls /run")


@pytest.mark.usefixtures("edited")
@pytest.mark.parametrize(("droplet", "damage", "_said", "by_up"), CASES)
def test_up_says_what_is_wrong_with_the_host_and_nothing_runs_after_it(
    stack: LocalStack, droplet: str, damage: Break, _said: str, by_up: str
) -> None:
    containers, events = stack.container_ids(), len(stack.journal())
    state = stack.inside("vertical", "cat /opt/basecommerce/vertical/state.json")
    with broken(stack, droplet, damage):
        output = stack.basec("up", "--env", STACK, expect=1)
    assert by_up in output
    assert output.count(by_up) == 1, "said once"
    assert "hint:" in output
    assert "Traceback" not in output
    (event,) = [event for event in stack.journal()[events:] if event["op"] != "read"]
    assert (event["name"], event["outcome"]) == ("vertical-stack-activation", "failed")
    assert event["seconds"] < ANSWER_S
    assert stack.container_ids() == containers
    assert stack.inside("vertical", "cat /opt/basecommerce/vertical/state.json") == state


@pytest.mark.usefixtures("edited")
def test_up_refuses_a_release_on_a_full_disk_and_the_old_one_serves(stack: LocalStack) -> None:
    containers, events = stack.container_ids(), len(stack.journal())
    with broken(stack, "vertical", FULL):
        output = stack.basec("up", "--env", STACK, expect=1)
        assert stack.get("/web/dashboard").status == 302
    assert "vertical: disk: /opt/basecommerce: 6" in output
    assert "a release needs 1024" in output
    assert stack.container_ids() == containers
    (event,) = [event for event in stack.journal()[events:] if event["op"] != "read"]
    assert (event["outcome"], event["seconds"] < ANSWER_S) == ("failed", True)


def test_all_is_well_again(stack: LocalStack) -> None:
    stack.up()
    stack.basec("smoke", "--env", STACK)
