"""A reboot, and a restart of the machine's Docker engine, need no hand."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests import turns
from tests.e2e.canaries import cloud_init_files, hits
from tests.e2e.exposure import Exposure
from tests.e2e.stack import BACK_TIMEOUT_S, STACK, TIERS, LocalStack, docker
from tests.e2e.vantage import addresses, reserved_address

pytestmark = pytest.mark.real


@pytest.mark.parametrize("droplet", TIERS)
def test_smoke_is_green_and_the_matrix_holds_after_a_reboot_with_no_hand_on_it(
    stack: LocalStack, exposure: Exposure, droplet: str
) -> None:
    reserved = reserved_address(stack)
    docker("restart", "--time", "30", stack.container(droplet))
    stack.smoke_until_green()
    assert "/mnt/data" in stack.inside("infra", "findmnt --noheadings --output TARGET /mnt/data")
    assert reserved_address(stack) == reserved
    # A stack's unit is active once all its services are healthy; smoke asks fewer of them.
    active = f"systemctl is-active ufw docker basecommerce-{droplet}"
    stack.inside(droplet, f"timeout {BACK_TIMEOUT_S} sh -c 'until {active}; do sleep 1; done'")
    exposure.holds()


OTHER_RUN_S = 600
"""Seconds that the end-to-end run beside this one may still need; it ends with its `down`."""
LATE_S = 20
LATE_UNIT = """[Unit]
Description=For a test: take the private address away at boot, and bring it back later
DefaultDependencies=no
Before=network-pre.target docker.service basecommerce-infra.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'ip address del {cidr} dev {device}'
ExecStart=/usr/bin/systemd-run --no-block --on-active={seconds} /usr/sbin/ip address add {cidr} dev {device}
[Install]
WantedBy=sysinit.target
"""


def test_a_private_address_that_comes_20_seconds_late_is_survived(stack: LocalStack) -> None:
    private = addresses(stack, "infra")["vpc"]
    line = next(x for x in stack.inside("infra", "ip -o -4 address show").splitlines() if f" {private}/" in x)
    unit = LATE_UNIT.format(device=line.split()[1], cidr=line.split()[3], seconds=LATE_S)
    place = "/etc/systemd/system/test-late-address.service"
    docker("exec", "-i", stack.container("infra"), "bash", "-c", f"cat > {place}", stdin=unit)
    try:
        stack.inside("infra", "systemctl daemon-reload && systemctl enable --quiet test-late-address.service")
        docker("restart", "--time", "30", stack.container("infra"))
        gone = _wait_until(stack, private, there=False)
        assert _wait_until(stack, private, there=True) - gone > LATE_S - 5, "the address was not late"
        stack.smoke_until_green()
    finally:
        stack.inside("infra", f"systemctl disable --quiet test-late-address.service; rm -f {place}", check=False)


def _wait_until(stack: LocalStack, address: str, *, there: bool) -> float:
    """Wait until infra has, or has not, an address; answer when that was."""
    deadline = time.monotonic() + 2 * LATE_S
    while (f" {address}/" in stack.inside("infra", "ip -o -4 address show")) != there:
        assert time.monotonic() < deadline, f"{address}: there={not there} for {2 * LATE_S} s"
        time.sleep(0.1)
    return time.monotonic()


@pytest.mark.parametrize("droplet", TIERS)
def test_the_host_key_stays_scrubbed_after_reboots(stack: LocalStack, needles: dict[bytes, str], droplet: str) -> None:
    assert hits(needles, cloud_init_files(stack, droplet)) == set()


def test_up_powers_on_after_the_docker_engine_was_stopped(stack: LocalStack) -> None:
    deadline = time.monotonic() + OTHER_RUN_S
    while running("local-e2e1") and time.monotonic() < deadline:
        time.sleep(1)
    with turns.quiet():  # the other run's `down` removes its containers first, and needs the engine until its end
        if foreign := running() - running(STACK):
            pytest.skip(f"{len(foreign)} container(s) of others run on this engine: it is not ours to stop")
        stop_engine()
        events = len(stack.journal())
        stack.up()
    assert [event for event in stack.journal()[events:] if event["op"] != "read"] == []
    stack.smoke_until_green()


def running(stack: str = "") -> set[str]:
    """List the running containers of a stack, or all."""
    label = ("--filter", f"label=basecommerce.cloud={stack}") if stack else ()
    return set(docker("ps", "--quiet", *label).split())


def stop_engine() -> None:
    """Stop dockerd as an upgrade of its package would; the host checks of `up` start it again."""
    pid = int(Path("/run/docker.pid").read_text())
    if Path("/run/systemd/system").is_dir():
        subprocess.run(["systemctl", "stop", "docker.socket", "docker.service"], check=True)
    else:
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").is_dir():
        assert time.monotonic() < deadline, "dockerd did not end in 60 s"
        time.sleep(0.1)
