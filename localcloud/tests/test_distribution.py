"""What is asked of the distribution is asked by what it can do: each system's own files are in `os-release/`."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import pytest

from localcloud import distribution
from localcloud.doctor import examine
from localcloud.findings import CheckedHost, Finding, Status
from localcloud.naming import NAMESPACE
from localcloud.tests.doctor_support import FREE, KEYRING, OS_RELEASES, SOURCES, Machine, only_problem, remove

UBUNTU_SOURCES = "Types: deb\nURIs: http://ubuntu.example/ubuntu/\nSuites: {0} {0}-updates\nComponents: main universe\n"
RASPBERRY_SOURCES = "deb http://pi.example/debian/ bookworm main\n"
FURTHER = "docs/hosts.md lists what may differ"


def system_of(host: CheckedHost, release: str) -> Finding:
    (host.root / "etc/os-release").write_text((OS_RELEASES / release).read_text())
    return distribution.system(host)


@pytest.mark.parametrize(
    ("release", "kernel", "name"),
    [
        ("ubuntu-22.04", "x86_64", "Ubuntu 22.04.5 LTS, amd64"),
        ("ubuntu-24.04", "x86_64", "Ubuntu 24.04.4 LTS, amd64"),
        ("ubuntu-24.04", "aarch64", "Ubuntu 24.04.4 LTS, arm64"),
        ("mint-22", "x86_64", "Linux Mint 22.3, amd64"),
        ("lmde-7", "x86_64", "LMDE 7 (gigi), amd64"),
        # Raspberry Pi OS of 64 bits calls itself Debian.
        ("debian-12", "aarch64", "Debian GNU/Linux 12 (bookworm), arm64"),
        ("fedora-40", "x86_64", "Fedora Linux 40 (Workstation Edition), amd64"),
    ],
)
def test_a_system_that_can_do_all_is_warned_of_and_not_refused(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, release: str, kernel: str, name: str
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: kernel)
    finding = system_of(machine(), release)
    assert (finding.status, finding.final, finding.remedy) == (Status.WARNING, False, FURTHER)
    assert finding.message == f"{name}, root, Python {platform.python_version()}: not run on this system"


@pytest.mark.parametrize("release", ["debian-12", "debian-13"])
def test_where_it_was_run_there_is_no_warning(machine: Machine, release: str) -> None:
    finding = system_of(machine(), release)
    assert finding.status is Status.OK
    assert finding.message.endswith(f", amd64, root, Python {platform.python_version()}")


def test_a_system_without_apt_is_refused_before_any_other_check_and_told_of_the_container(machine: Machine) -> None:
    host = machine()
    host.absent.add("apt-get")
    (host.root / "etc/os-release").write_text((OS_RELEASES / "fedora-40").read_text())
    finding = only_problem(host)
    assert (finding.status, finding.final) == (Status.FAILED, True)
    assert finding.message == "the local cloud needs apt-get (this is Fedora Linux 40 (Workstation Edition))"
    assert finding.remedy == "scripts/in-container up (any machine with Docker; nothing is installed on it)"
    assert host.calls == []


def test_a_32_bit_system_on_a_64_bit_kernel_is_refused(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(sys, "maxsize", 2**31 - 1)
    finding = system_of(machine(), "raspberry-pi-os-32-bit-12")
    assert finding.message == "the local cloud needs amd64 or arm64 with a 64-bit system (this is aarch64)"
    assert finding.failed


def test_all_that_a_system_lacks_is_in_the_one_line_with_one_way_out(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    host = machine()
    host.absent.add("apt-get")
    remove(host, "etc/os-release")
    finding = only_problem(host)
    assert finding.message == (
        "the local cloud needs amd64 or arm64 with a 64-bit system (this is riscv64), "
        "apt-get (this is an unknown system), root (this is user id 1000)"
    )
    assert finding.remedy == "use another machine"


def test_who_is_not_root_is_told_so(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert only_problem(machine()).remedy == "run the same command as root"


def test_missing_packages_are_installed_and_said(machine: Machine) -> None:
    host = machine()
    host.absent.update(("ssh", "mmdebstrap"))
    finding = only_problem(host)
    assert finding == Finding(
        check="packages", status=Status.REPAIRED, message="installed mmdebstrap, openssh-client", remedy=""
    )
    installs = [call for call in host.calls if call.startswith("apt-get")]
    assert installs == ["apt-get install --yes --quiet --no-install-recommends mmdebstrap openssh-client"]


def test_the_package_lists_are_refreshed_when_an_install_fails(machine: Machine) -> None:
    host = machine()
    host.absent.add("ip")
    host.answers["apt-get install"] = lambda: (100, "Reading...\nE: no such package\n")
    finding = only_problem(host)
    assert (finding.status, finding.message) == (Status.FAILED, "iproute2: E: no such package")
    assert finding.remedy == "apt-get update && apt-get install iproute2"
    assert [call.split()[1] for call in host.calls if call.startswith("apt-get")] == ["install", "update", "install"]


def test_debians_keyring_is_installed_where_it_is_missing(machine: Machine) -> None:
    host = machine()
    remove(host, KEYRING)
    assert only_problem(host).message == "installed debian-archive-keyring"


@pytest.mark.parametrize("codename", ["jammy", "noble"])
def test_a_machine_whose_apt_knows_no_debian_archive_is_told_where_to_name_one(machine: Machine, codename: str) -> None:
    host = machine()
    (host.root / SOURCES).write_text(UBUNTU_SOURCES.format(codename))
    finding = only_problem(host)
    assert (finding.check, finding.failed) == ("debian archive", True)
    assert finding.message == "/etc/apt: no Debian archive with component main, which the images are made from"
    assert finding.remedy == f"name a Debian mirror in /etc/{NAMESPACE}/debian.sources: docs/hosts.md#a-debian-mirror"
    own = host.root / f"etc/{NAMESPACE}/debian.sources"
    own.parent.mkdir()
    own.write_text("Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie trixie-updates\nComponents: main\n")
    found = {finding.check: finding for finding in examine(host, config=None, ports=FREE)}
    assert found["debian archive"].message == "http://mirror.example/debian"


def test_a_derivative_is_built_from_debians_archive_and_not_from_its_own(machine: Machine) -> None:
    host = machine()
    (host.root / "etc/apt/sources.list.d/raspi.list").write_text(RASPBERRY_SOURCES)
    lists: Path = host.root / "var/lib/apt/lists"
    lists.mkdir(parents=True)
    (lists / "pi.example_debian_dists_bookworm_InRelease").write_text("Origin: Raspberry Pi Foundation\nLabel: x\n")
    (lists / "mirror.example_debian_dists_bookworm_InRelease").write_text("-----\n\nOrigin: Debian\nLabel: Debian\n")
    assert distribution.debian_archive(host).message == "http://mirror.example/debian"
