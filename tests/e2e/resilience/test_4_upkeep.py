"""What the droplets do for themselves, and how well their doors are locked."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stack import STACK, TIERS, LocalStack
from tests.e2e.vantage import addresses

pytestmark = pytest.mark.real

WATCHDOG_S = 220
"""45 s of failed checks until unhealthy, 30 s of patience, 25 s between two looks, a grace of 30 s, and a start."""


@contextlib.contextmanager
def forwarded(stack: LocalStack, droplet: str) -> Iterator[int]:
    """Forward a port of loopback to a droplet's sshd through the bastion, as an operator's ssh does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = addresses(stack, droplet)["vpc"]
    config = stack.root / ".basec" / STACK / "ssh_config"
    options = ("-N", "-o", "ControlMaster=no", "-o", "ControlPath=none", "-o", "ExitOnForwardFailure=yes")
    tunnel = subprocess.Popen(["ssh", "-F", config, *options, "-L", f"127.0.0.1:{port}:{address}:22", "edge"])
    try:
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as connection:
                if connection.recv(4) == b"SSH-":
                    break
            assert tunnel.poll() is None
            assert time.monotonic() < deadline, "no tunnel in 20 s"
            time.sleep(0.1)
        yield port
    finally:
        tunnel.terminate()
        tunnel.wait(10)


def audit(host: str, port: int) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "ssh-audit"
    # --skip-rate-test: it floods sshd with connections, and sshd's answer (PerSourcePenalties) is to refuse the address
    # that they come from for a while: the one of all other tests.
    return subprocess.run(
        [program, "--no-colors", "--skip-rate-test", "--port", str(port), host],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("droplet", TIERS)
def test_ssh_audit_has_nothing_to_say_against_sshd(stack: LocalStack, droplet: str) -> None:
    stack.basec("ssh", droplet, "--env", STACK, "--", "true")  # the agent holds the login key from here on
    if droplet == "edge":
        result = audit(addresses(stack, "edge")["public"], 22)
    else:
        with forwarded(stack, droplet) as port:
            result = audit("127.0.0.1", port)
    assert result.returncode == 0, result.stdout
    assert "mlkem768x25519-sha256" in result.stdout, "it was really asked"


def test_security_updates_come_by_themselves_and_none_of_docker(stack: LocalStack) -> None:
    output = stack.inside("vertical", "unattended-upgrade --dry-run --debug 2>&1", check=False)
    assert "Allowed origins are: origin=Debian,codename=trixie-security,label=Debian-Security\n" in output
    assert "Initial blacklist: ^docker ^containerd ^runc$" in output
    periodic = stack.inside("vertical", "apt-config dump APT::Periodic")
    assert 'APT::Periodic::Unattended-Upgrade "1";' in periodic


@pytest.mark.parametrize("droplet", TIERS)
def test_timers_are_on_and_nothing_failed(stack: LocalStack, droplet: str) -> None:
    for name in ("watchdog", "prune"):
        assert stack.inside(droplet, f"systemctl is-active basecommerce-{name}.timer").strip() == "active"
    stack.inside(droplet, "systemctl start basecommerce-prune.service")
    assert stack.inside(droplet, "systemctl list-units --failed --no-legend 'basecommerce-*'") == ""
    limit = stack.inside(droplet, "systemd-analyze cat-config systemd/journald.conf")
    assert "SystemMaxUse=200M" in limit


PLANT = """
set -e
image=$(docker inspect --format '{{.Config.Image}}' "$container")
docker commit "$container" >/dev/null
docker run --name oneoff-canary --label com.docker.compose.oneoff=True "$image" true
docker run --name stopped-canary --label com.docker.compose.oneoff=False "$image" true
"""
SEEN = "docker ps --all --format '{{.Names}}'; docker images --filter dangling=true --quiet"


def test_pruning_removes_old_left_overs_and_no_stopped_service(stack: LocalStack) -> None:
    before = set(stack.inside("vertical", SEEN).split())
    stack.inside("vertical", f"container={stack.serving('vertical', 'construction')}{PLANT}")
    try:
        planted = set(stack.inside("vertical", SEEN).split()) - before
        assert len(planted) == 3
        stack.inside("vertical", "/opt/basecommerce/scripts/prune.sh")
        assert planted <= set(stack.inside("vertical", SEEN).split()), "too young to go"
        stack.inside("vertical", r"sed -E 's/--filter until=[0-9]+h//' /opt/basecommerce/scripts/prune.sh | sh")
        assert set(stack.inside("vertical", SEEN).split()) - before == {"stopped-canary"}
    finally:
        stack.inside("vertical", "docker rm --force oneoff-canary stopped-canary", check=False)


def test_a_container_that_stops_serving_is_restarted_and_one_that_was_stopped_is_not(stack: LocalStack) -> None:
    shop, login = stack.serving("vertical", "construction"), stack.serving("edge", "auth")
    form = f"docker inspect --format '{{{{.State.StartedAt}}}} {{{{.State.Health.Status}}}}' {shop}"
    before = stack.inside("vertical", form).split()[0]
    since = int(time.time())
    stack.inside("edge", f"docker stop {login}")
    # Stopped by a signal the process neither dies nor answers: Docker alone would leave it so for ever.
    stack.inside("vertical", f"kill -STOP $(docker inspect --format '{{{{.State.Pid}}}}' {shop})")
    deadline = time.monotonic() + WATCHDOG_S
    while True:
        started, health = stack.inside("vertical", form).split()
        if started != before and health == "healthy":
            break
        assert time.monotonic() < deadline, f"{started} {health}"
        time.sleep(1)
    journal = stack.inside("vertical", f"journalctl --unit basecommerce-watchdog --since @{since} --output cat")
    assert f"{shop}: unhealthy for" in journal
    assert "vertical-haproxy-1" not in journal, "it was unhealthy for construction's sake alone"
    assert stack.inside("edge", f"docker ps --all --filter name={login} --format '{{{{.State}}}}'").strip() == "exited"
    stack.basec("compose", "restart", "edge", "auth", "--env", STACK)
    stack.smoke_until_green()
