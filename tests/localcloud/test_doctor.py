"""The host checks: each finding is one line with one remedy, and what was repaired is said."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from types import SimpleNamespace

import pytest

from localcloud import __main__ as program
from localcloud import doctor, remedies
from localcloud.allocate import allocate
from localcloud.config import CloudConfig, Mode
from localcloud.doctor import Finding, Host, Ports, Status, examine

GIB = 2**30
FREE = Ports(0, 0)
FILES = {
    "etc/os-release": 'ID=debian\nVERSION_ID="12"\n',
    "sys/fs/cgroup/memory/tasks": "",
    "proc/sys/fs/inotify/max_user_instances": "8192\n",
    "proc/sys/fs/inotify/max_user_watches": "1048576\n",
    "proc/sys/net/bridge/bridge-nf-call-iptables": "1\n",
    "proc/meminfo": "MemTotal:       16000000 kB\nMemFree: 1 kB\n",
    "dev/loop-control": "",
}
CHECKS = ("system", "packages", "docker", "cgroup", "inotify", "inotify", "bridge filter", "loop devices", "disk")


@dataclass(frozen=True)
class FakeHost(Host):
    """A machine of files, whose programs answer what a test wants; the first word that fits wins."""

    answers: dict[str, Callable[[], tuple[int, str]]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def run(self, *command: str, timeout_s: float = 600) -> subprocess.CompletedProcess[str]:  # noqa: ARG002
        text = " ".join(command)
        self.calls.append(text)
        code, output = next((answer() for start, answer in self.answers.items() if text.startswith(start)), (0, ""))
        return subprocess.CompletedProcess(command, code, output, output if code else "")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeHost]:
    """Make machines that pass every check, unless a test takes something away."""
    for name, text in FILES.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(doctor, "_which", lambda program: f"/usr/sbin/{program}")
    monkeypatch.setattr(doctor, "routed_networks", list)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=100 * GIB))

    def make(*, repair: bool = True, **answers: Callable[[], tuple[int, str]]) -> FakeHost:
        known = {"docker version": lambda: (0, "26.1.5\n")}
        named = {name.replace("_", " "): answer for name, answer in answers.items()}
        return FakeHost(tmp_path / "cache", repair, tmp_path / "root", answers={**known, **named})

    return make


Machine = Callable[..., FakeHost]


def remove(host: Host, name: str) -> None:
    (host.root / name).unlink()


def config_of(tmp_path: Path) -> CloudConfig:
    directory = tmp_path / ".local/local"
    return allocate(directory=directory, name="local", mode=Mode.DRY, cache=tmp_path / "cache", http_port=None)


def only_problem(host: Host) -> Finding:
    problems = [finding for finding in examine(host, config=None, ports=FREE) if finding.status is not Status.OK]
    assert len(problems) == 1, problems
    assert "\n" not in problems[0].message + problems[0].remedy
    return problems[0]


def test_a_good_machine_passes_every_check_and_nothing_is_touched(machine: Machine, tmp_path: Path) -> None:
    host = machine()
    findings = list(examine(host, config=config_of(tmp_path), ports=FREE))
    assert [finding.check for finding in findings] == [*CHECKS, "memory", "subnets", "port", "port"]
    assert {finding.status for finding in findings} == {Status.OK}
    assert {call.split()[0] for call in host.calls} - {"docker"} == {"losetup"}, "which only asks"


@pytest.mark.parametrize(
    ("release", "message"),
    [
        ("ID=ubuntu\nVERSION_ID='24.04'\n".replace("'", '"'), "Debian 12 or 13 (this is ubuntu 24.04)"),
        ('ID=debian\nVERSION_ID="11"\n', "Debian 12 or 13 (this is debian 11)"),
        ("ID=arch\n", "Debian 12 or 13 (this is arch)"),
        ("", "Debian 12 or 13 (this is unknown)"),
    ],
)
def test_another_system_is_refused_by_one_line_before_any_other_check(
    machine: Machine, release: str, message: str
) -> None:
    host = machine()
    (host.root / "etc/os-release").write_text(release)
    findings = list(examine(host, config=None, ports=FREE))
    assert [finding.message for finding in findings] == [f"the local cloud needs {message}"]
    assert findings[0].failed
    assert findings[0].final
    assert findings[0].remedy == "run it as root on a Debian machine or virtual machine"
    assert host.calls == []


def test_all_that_a_system_lacks_is_in_the_one_line(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    finding = only_problem(machine())
    assert finding.message == "the local cloud needs amd64 (this is aarch64), root (this is user id 1000)"


def test_missing_packages_are_installed_and_said(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_which", lambda program: None if program in {"ssh", "mmdebstrap"} else program)
    host = machine()
    finding = only_problem(host)
    assert finding == Finding(
        check="packages", status=Status.REPAIRED, message="installed mmdebstrap, openssh-client", remedy=""
    )
    installs = [call for call in host.calls if call.startswith("apt-get")]
    assert installs == ["apt-get install --yes --quiet --no-install-recommends mmdebstrap openssh-client"]


def test_the_package_lists_are_refreshed_when_an_install_fails(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_which", lambda program: None if program == "ip" else program)
    host = machine()
    host.answers["apt-get install"] = lambda: (100, "Reading...\nE: no such package\n")
    finding = only_problem(host)
    assert (finding.status, finding.message) == (Status.FAILED, "iproute2: E: no such package")
    assert finding.remedy == "apt-get update && apt-get install iproute2"
    assert [call.split()[1] for call in host.calls if call.startswith("apt-get")] == ["install", "update", "install"]


def test_an_engine_that_is_stopped_is_started_and_said(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Path] = []

    def start(_: Host, log: Path) -> str:
        started.append(log)
        return "started dockerd"

    monkeypatch.setattr(doctor, "_start_engine", start)
    host = machine(docker_version=lambda: (0, "26.1.5\n") if started else (1, "cannot connect\n"))
    finding = only_problem(host)
    assert (finding.status, finding.message) == (Status.REPAIRED, "engine 26.1.5: started dockerd")


def test_an_absent_engine_is_installed_with_its_client(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_which", lambda program: None if program.startswith("docker") else program)
    monkeypatch.setattr(doctor, "_start_engine", lambda *_: "started dockerd")
    answers: Iterator[tuple[int, str]] = iter([(127, ""), (1, ""), (0, "26.1.5\n")])
    host = machine(docker_version=lambda: next(answers))
    message = "engine 26.1.5: installed docker.io, installed docker-cli, started dockerd"
    assert only_problem(host).message == message


def test_an_engine_that_never_answers_names_its_log(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ENGINE_START_TIMEOUT_S", 0)
    monkeypatch.setattr(doctor, "_start_engine", lambda *_: "started dockerd")
    finding = only_problem(machine(docker_version=lambda: (1, "")))
    assert (finding.status, finding.remedy) == (Status.FAILED, "read /var/log/dockerd.log or journalctl -u docker")
    assert finding.message == "the engine did not answer in 0 s (started dockerd)"


@pytest.mark.parametrize("name", ["max_user_instances", "max_user_watches"])
def test_a_low_inotify_limit_is_raised_and_said(machine: Machine, name: str) -> None:
    host = machine()
    path = host.root / "proc/sys/fs/inotify" / name
    path.write_text("128\n")
    finding = only_problem(host)
    need = doctor.INOTIFY_MINIMUM[name]
    assert (finding.status, finding.message) == (
        Status.REPAIRED,
        f"fs.inotify.{name} raised from 128 to {need}",
    )
    assert path.read_text() == f"{need}\n"


def test_a_bridge_that_passes_by_the_packet_filter_is_repaired(machine: Machine) -> None:
    host = machine()
    path = host.root / "proc/sys/net/bridge/bridge-nf-call-iptables"
    path.write_text("0\n")
    assert only_problem(host).message == "net.bridge.bridge-nf-call-iptables raised from 0 to 1"
    assert path.read_text() == "1\n"


def test_a_missing_bridge_module_is_loaded(machine: Machine) -> None:
    host = machine()
    path = host.root / "proc/sys/net/bridge/bridge-nf-call-iptables"
    path.unlink()
    host.answers["modprobe br_netfilter"] = lambda: (0, str(path.write_text("1\n")))
    assert {finding.status for finding in examine(host, config=None, ports=FREE)} == {Status.OK}
    path.unlink()
    host.answers["modprobe br_netfilter"] = lambda: (1, "")
    assert only_problem(host).remedy == "modprobe br_netfilter, or use a kernel that has it"


def test_without_repair_nothing_is_touched_and_the_remedy_is_given(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_which", lambda program: None if program == "losetup" else program)
    host = machine(repair=False, docker_version=lambda: (1, ""))
    low = host.root / "proc/sys/fs/inotify/max_user_instances"
    low.write_text("128\n")
    remove(host, "proc/sys/net/bridge/bridge-nf-call-iptables")
    failed = {finding.check: finding.remedy for finding in examine(host, config=None, ports=FREE) if finding.failed}
    assert failed == {
        "packages": "apt-get update && apt-get install mount",
        "docker": "apt-get install docker.io, then start dockerd",
        "inotify": "sysctl -w fs.inotify.max_user_instances=512",
        "bridge filter": "modprobe br_netfilter, or use a kernel that has it",
    }
    assert low.read_text() == "128\n"
    assert {call.split()[0] for call in host.calls} - {"docker"} == {"losetup"}, "which only asks"


def test_either_cgroup_version_is_fine_and_neither_a_failure(machine: Machine) -> None:
    host = machine()
    (host.root / "sys/fs/cgroup/cgroup.controllers").write_text("memory pids\n")
    told = {finding.check: finding for finding in examine(host, config=None, ports=FREE)}
    assert (told["cgroup"].status, told["cgroup"].message) == (Status.OK, "version 2")
    remove(host, "sys/fs/cgroup/cgroup.controllers")
    remove(host, "sys/fs/cgroup/memory/tasks")
    (host.root / "sys/fs/cgroup/memory").rmdir()
    finding = only_problem(host)
    assert finding.failed
    assert finding.remedy == "boot with cgroup_enable=memory, or mount the cgroup file systems"


def test_missing_loop_devices_are_named(machine: Machine) -> None:
    host = machine()
    remove(host, "dev/loop-control")
    assert only_problem(host).as_dict() == {
        "check": "loop devices",
        "status": "failed",
        "message": "/dev/loop-control is missing",
        "remedy": remedies.LOOP_DEVICES,
    }


def test_a_machine_without_a_free_loop_device_is_found_in_the_words_of_losetup(machine: Machine) -> None:
    said = "losetup: cannot find an unused loop device"
    finding = only_problem(machine(losetup=lambda: (1, said)))
    assert (finding.message, finding.remedy) == (said, remedies.LOOP_DEVICES)


def test_a_cold_machine_needs_more_disk_than_a_warm_one(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=5 * GIB))
    host = machine()
    finding = only_problem(host)
    assert (finding.status, finding.message) == (Status.FAILED, "5.0 GiB free, 10 GiB needed")
    assert finding.remedy == f"free space under {host.cache} and /var/lib/docker"
    (host.cache / "rootfs").mkdir(parents=True)
    (host.cache / "rootfs/abc.tar").touch()
    assert {finding.status for finding in examine(host, config=None, ports=FREE)} == {Status.OK}


def test_too_little_memory_is_named(machine: Machine) -> None:
    host = machine()
    (host.root / "proc/meminfo").write_text("MemTotal:        2097152 kB\n")
    finding = only_problem(host)
    assert (finding.message, finding.remedy) == ("2.0 GiB of memory, 5 GiB needed", "give the machine more memory")
    assert finding.failed


@pytest.mark.parametrize("attribute", ["public_subnet", "vpc_range"])
def test_a_foreign_route_to_our_subnets_is_refused(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attribute: str
) -> None:
    config = config_of(tmp_path)
    subnet: IPv4Network = getattr(config, attribute)
    monkeypatch.setattr(doctor, "routed_networks", lambda: [subnet.supernet(8)])
    finding = doctor.subnets(machine(), config)
    assert finding.failed
    assert finding.message == f"{subnet} overlaps the route to {subnet.supernet(8)}"
    assert finding.remedy == "remove that route, or choose others: basec down --env local, then make up"


def test_the_bridges_of_the_stack_itself_are_no_clash(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(tmp_path)
    monkeypatch.setattr(doctor, "routed_networks", lambda: [config.public_subnet, config.vpc_range])
    networks = f"{config.public_subnet} \n{config.vpc_range} \n"
    host = machine(docker_network_ls=lambda: (0, "a\nb\n"), docker_network_inspect=lambda: (0, networks))
    assert doctor.subnets(host, config).status is Status.OK


def test_a_taken_port_hints_at_the_variable_for_another(machine: Machine, tmp_path: Path) -> None:
    config = config_of(tmp_path)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        finding = doctor.port(machine(), "LOCAL_HTTP_PORT", taken, config)
        assert (finding.status, finding.message) == (Status.FAILED, f"127.0.0.1:{taken} is taken by another program")
        assert finding.remedy == "LOCAL_HTTP_PORT=8080 make up"
        ours = doctor.port(machine(docker_ps=lambda: (0, "3f2a\n")), "LOCAL_HTTP_PORT", taken, config)
        assert (ours.status, ours.message) == (Status.OK, f"{taken} is held by this stack")
    assert doctor.port(machine(), "LOCAL_HTTP_PORT", taken, config).status is Status.OK


def test_the_hint_for_a_port_is_never_the_taken_one(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("in use")

    monkeypatch.setattr("socket.socket.bind", refuse)
    assert doctor.port(machine(), "LOCAL_HTTP_PORT", 8080, None).remedy == "LOCAL_HTTP_PORT=8081 make up"
    assert doctor.port(machine(), "LOCAL_HTTPS_PORT", 8443, None).remedy == "LOCAL_HTTPS_PORT=8444 make up"


def test_the_hint_for_another_stacks_port_is_that_stacks_command(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("in use")

    monkeypatch.setattr("socket.socket.bind", refuse)
    two = dataclasses.replace(config_of(tmp_path), name="local-two")
    remedy = doctor.port(machine(), "LOCAL_HTTP_PORT", 80, two).remedy
    assert remedy == "LOCAL_HTTP_PORT=8080 basec init --env local-two"


def test_both_ports_of_the_stack_are_looked_at(machine: Machine, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        ports = Ports(0, other.getsockname()[1])
        found = [finding for finding in examine(machine(), config=config_of(tmp_path), ports=ports) if finding.failed]
    assert [finding.remedy for finding in found] == ["LOCAL_HTTPS_PORT=8443 make up"]


def test_the_subnets_are_not_asked_of_an_engine_that_is_not_there(machine: Machine, tmp_path: Path) -> None:
    host = machine(repair=False, docker_version=lambda: (127, ""))
    checks = [finding.check for finding in examine(host, config=config_of(tmp_path), ports=FREE)]
    assert "subnets" not in checks
    assert checks[-1] == "port"


def test_the_program_prints_a_finding_a_line_and_ends_with_3(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    host = machine()
    (host.root / "etc/os-release").write_text("ID=arch\n")
    monkeypatch.setattr(doctor, "Host", lambda *_, **__: host)
    assert program.main(["doctor", "--http-port", "0", "--https-port", "0"]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["check"] for line in lines] == ["system"]


def test_programs_of_administrators_are_found_without_their_directories_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    run = Host(tmp_path, repair=False).run("sh", "-c", "echo $PATH; no-such-program")
    assert run.stdout == "/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin\n"
    assert Host(tmp_path, repair=False).run("no-such-program").returncode == 127
