"""`scripts/install-servers` leaves no server that starts with the machine: the script itself, on paths of the test."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOVED = (
    *("/usr/sbin/policy-rc.d", "/usr/sbin/nginx", "/usr/sbin/haproxy", "/usr/sbin/sshd", "/usr/sbin/ufw"),
    *("/usr/lib/postgresql", "/usr/bin/", "/run/systemd/system"),
)
SERVERS = (
    *("usr/sbin/nginx", "usr/sbin/haproxy", "usr/bin/redis-server", "usr/lib/postgresql/15/bin/initdb"),
    "usr/sbin/sshd",
)
PROGRAMS = ("usr/bin/nmap", "usr/bin/testssl", "usr/bin/certutil", "usr/sbin/ufw")


def install(root: Path, *, disable: int, there: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run the script; `there` are programs the machine has, `disable` is systemctl's answer."""
    text = (ROOT / "scripts/install-servers").read_text()
    for path in MOVED:
        assert path in text
        text = text.replace(path, f"{root}{path}")
    for directory in ("usr/sbin", "usr/bin", "run/systemd/system", "fakes"):
        (root / directory).mkdir(parents=True, exist_ok=True)
    for name in there:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch(mode=0o755)
    # A package's script asks policy-rc.d whether its service may start.
    asks_policy = f"{root}/usr/sbin/policy-rc.d; echo $? >{root}/allowed"
    for name, action in (("apt-get", asks_policy), ("systemctl", f"exit {disable}")):
        (root / "fakes" / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{root}/asked\n{action}\n')
        (root / "fakes" / name).chmod(0o755)
    return subprocess.run(
        ["sh", "-c", text],
        env={"PATH": f"{root / 'fakes'}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_servers_are_disabled_and_programs_without_a_service_are_not_asked_for(tmp_path: Path) -> None:
    done = install(tmp_path, disable=0)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "asked").read_text().splitlines() == [
        "apt-get install --yes --quiet --no-install-recommends "
        "nginx-light haproxy postgresql redis-server nmap testssl.sh libnss3-tools openssh-server ufw",
        "systemctl disable --quiet nginx haproxy postgresql redis-server ssh.service ssh.socket",
    ]


def test_a_server_that_cannot_be_disabled_is_an_error_with_the_command_for_it(tmp_path: Path) -> None:
    done = install(tmp_path, disable=1)
    assert done.returncode == 1
    assert done.stderr.endswith(
        "install-servers: nginx haproxy postgresql redis-server ssh.service ssh.socket: still start with this machine\n"
        "hint: systemctl disable nginx haproxy postgresql redis-server ssh.service ssh.socket\n"
    )


@pytest.mark.parametrize("disable", [0, 1])
def test_programs_alone_ask_nothing_of_systemd(tmp_path: Path, disable: int) -> None:
    done = install(tmp_path, disable=disable, there=SERVERS)
    assert done.returncode == 0, done.stderr
    assert "systemctl" not in (tmp_path / "asked").read_text()


def test_nothing_is_asked_for_where_everything_is(tmp_path: Path) -> None:
    done = install(tmp_path, disable=1, there=(*SERVERS, *PROGRAMS))
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "asked").exists()


def test_no_service_starts_during_its_installation_and_later_ones_may(tmp_path: Path) -> None:
    done = install(tmp_path, disable=0)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "allowed").read_text() == "101\n"
    assert not (tmp_path / "usr/sbin/policy-rc.d").exists()


def test_a_machine_without_apt_is_told_what_is_missing_and_where_the_tests_run(tmp_path: Path) -> None:
    text = (ROOT / "scripts/install-servers").read_text()
    for path in MOVED:
        text = text.replace(path, f"{tmp_path}{path}")
    (tmp_path / "fakes").mkdir()
    (tmp_path / "fakes/ls").symlink_to("/bin/false")
    done = subprocess.run(
        ["/bin/sh", "-c", text], env={"PATH": str(tmp_path / "fakes")}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        "install-servers: nginx-light haproxy postgresql redis-server nmap testssl.sh libnss3-tools openssh-server "
        "ufw: missing, and there is no apt-get to install them",
        "hint: scripts/in-container test (any machine with Docker; nothing is installed on it)",
    ]
