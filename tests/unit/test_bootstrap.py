"""`scripts/bootstrap dev` leaves no server that starts with the machine: its own text, on paths of the test's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOVED = ("/usr/sbin/policy-rc.d", "/usr/sbin/nginx", "/usr/lib/postgresql", "/usr/bin/", "/run/systemd/system")


def install(root: Path, *, disable: int, there: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run the part that installs servers; `there` are programs the machine has, `disable` is systemctl's answer."""
    text = (ROOT / "scripts/bootstrap").read_text()
    start, end = text.index("install_test_servers() {"), text.index("\nfile=requirements.txt")
    part = text[start:end]
    for path in MOVED:
        assert path in part
        part = part.replace(path, f"{root}{path}")
    for directory in ("usr/sbin", "usr/bin", "run/systemd/system", "fakes"):
        (root / directory).mkdir(parents=True, exist_ok=True)
    for name in there:
        (root / name).touch(mode=0o755)
    for name, code in (("apt-get", 0), ("systemctl", disable)):
        (root / "fakes" / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{root}/asked\nexit {code}\n')
        (root / "fakes" / name).chmod(0o755)
    return subprocess.run(
        ["sh", "-c", f"set -eu\n{part}\ninstall_test_servers\necho went on"],
        env={"PATH": f"{root / 'fakes'}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_servers_are_disabled_and_programs_without_a_service_are_not_asked_for(tmp_path: Path) -> None:
    done = install(tmp_path, disable=0)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "asked").read_text().splitlines() == [
        "apt-get install --yes --quiet --no-install-recommends nginx-light postgresql redis-server nmap testssl.sh",
        "systemctl disable --quiet nginx postgresql redis-server",
    ]


def test_a_server_that_cannot_be_disabled_ends_the_bootstrap(tmp_path: Path) -> None:
    done = install(tmp_path, disable=1)
    assert done.returncode == 1
    assert "went on" not in done.stdout
    assert done.stderr.endswith(
        "bootstrap: nginx postgresql redis-server: still start with this machine\n"
        "hint: systemctl disable nginx postgresql redis-server\n"
    )


@pytest.mark.parametrize("disable", [0, 1])
def test_programs_alone_ask_nothing_of_systemd(tmp_path: Path, disable: int) -> None:
    (tmp_path / "usr/lib/postgresql/15/bin").mkdir(parents=True)
    there = ("usr/sbin/nginx", "usr/bin/redis-server", "usr/lib/postgresql/15/bin/initdb")
    (tmp_path / "usr/sbin").mkdir(parents=True)
    (tmp_path / "usr/bin").mkdir(parents=True)
    done = install(tmp_path, disable=disable, there=there)
    assert done.returncode == 0, done.stderr
    assert "systemctl" not in (tmp_path / "asked").read_text()
