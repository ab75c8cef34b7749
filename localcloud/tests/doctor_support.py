"""A machine for the host checks: files in a directory, and programs with answers from the test."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from typing_extensions import override

from localcloud import doctor
from localcloud.allocate import allocate
from localcloud.config import CloudConfig, Mode
from localcloud.doctor import Ports, examine
from localcloud.findings import CheckedHost, Finding, Status

GIB = 2**30
FREE = Ports(0, 0)
OS_RELEASES = Path(__file__).parent / "os-release"
"""Files as the systems have them, some shortened by lines of addresses."""
KEYRING = "usr/share/keyrings/debian-archive-keyring.gpg"
SOURCES = "etc/apt/sources.list.d/debian.sources"
FILES = {
    "etc/os-release": (OS_RELEASES / "debian-12").read_text(),
    SOURCES: "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main\n",
    KEYRING: "",
    "sys/fs/cgroup/memory/tasks": "",
    "proc/sys/fs/inotify/max_user_instances": "8192\n",
    "proc/sys/fs/inotify/max_user_watches": "1048576\n",
    "proc/sys/net/bridge/bridge-nf-call-iptables": "1\n",
    "proc/meminfo": "MemTotal:       16000000 kB\nMemFree: 1 kB\n",
    "dev/loop-control": "",
    "dev/loop7": "",
}


@dataclass(frozen=True)
class FakeHost(CheckedHost):
    """A machine of files, whose programs have answers from the test; the first matching word counts."""

    answers: dict[str, Callable[[], tuple[int, str]]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    absent: set[str] = field(default_factory=set)
    """Programs that the machine does not have."""

    @override
    def run(self, *command: str, timeout_s: float = 600) -> subprocess.CompletedProcess[str]:
        text = " ".join(command)
        self.calls.append(text)
        code, output = next((answer() for start, answer in self.answers.items() if text.startswith(start)), (0, ""))
        return subprocess.CompletedProcess(command, code, output, output if code else "")

    @override
    def which(self, program: str) -> str | None:
        return None if program in self.absent else f"/usr/sbin/{program}"


Machine = Callable[..., FakeHost]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Build machines that pass every check, unless a test removes something."""
    for name, text in FILES.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(doctor, "routed_networks", list)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=100 * GIB))

    def make(*, repair: bool = True, **answers: Callable[[], tuple[int, str]]) -> FakeHost:
        known = {"docker version": lambda: (0, "26.1.5\n"), "losetup --find": lambda: (0, "/dev/loop7\n")}
        named = {name.replace("_", " "): answer for name, answer in answers.items()}
        return FakeHost(tmp_path / "cache", repair, tmp_path / "root", answers={**known, **named})

    return make


def remove(host: CheckedHost, name: str) -> None:
    (host.root / name).unlink()


def config_of(tmp_path: Path) -> CloudConfig:
    directory = tmp_path / ".local/local"
    return allocate(directory=directory, name="local", mode=Mode.DRY, cache=tmp_path / "cache", http_port=None)


def only_problem(host: CheckedHost) -> Finding:
    """Run all checks and return the one that is not ok."""
    problems = [finding for finding in examine(host, config=None, ports=FREE) if finding.status is not Status.OK]
    assert len(problems) == 1, problems
    assert "\n" not in problems[0].message + problems[0].remedy
    return problems[0]
