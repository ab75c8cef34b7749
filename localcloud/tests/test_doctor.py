"""The host checks: each finding is one line with one remedy, and what was repaired is said."""

from __future__ import annotations

import dataclasses
import json
import platform
import socket
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path
from types import SimpleNamespace

import pytest

from localcloud import __main__ as program
from localcloud import doctor, findings, remedies
from localcloud.doctor import Ports, examine
from localcloud.findings import CheckedHost, Status
from localcloud.tests.doctor_support import FILES, FREE, GIB, Machine, config_of, only_problem, remove

CHECKS = (
    *("system", "packages", "debian archive", "docker", "cgroup", "inotify", "inotify"),
    *("bridge filter", "loop devices", "disk"),
)


def test_a_good_machine_passes_every_check_and_nothing_is_touched(machine: Machine, tmp_path: Path) -> None:
    host = machine()
    findings = list(examine(host, config=config_of(tmp_path), ports=FREE))
    assert [finding.check for finding in findings] == [*CHECKS, "memory", "subnets", "port", "port"]
    assert {finding.status for finding in findings} == {Status.OK}
    assert {call for call in host.calls if not call.startswith("docker ")} == {"losetup --find"}


def test_an_engine_that_is_stopped_is_started_and_said(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Path] = []

    def start(_: CheckedHost, log: Path) -> str:
        started.append(log)
        return "started dockerd"

    monkeypatch.setattr(doctor, "_start_engine", start)
    host = machine(docker_version=lambda: (0, "26.1.5\n") if started else (1, "cannot connect\n"))
    finding = only_problem(host)
    assert (finding.status, finding.message) == (Status.REPAIRED, "engine 26.1.5: started dockerd")


def test_an_absent_engine_is_installed_with_its_client(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_start_engine", lambda *_: "started dockerd")
    answers: Iterator[tuple[int, str]] = iter([(127, ""), (1, ""), (0, "26.1.5\n")])
    host = machine(docker_version=lambda: next(answers))
    host.absent.update(("docker", "dockerd"))
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


def test_without_repair_nothing_is_touched_and_the_remedy_is_given(machine: Machine) -> None:
    host = machine(repair=False, docker_version=lambda: (1, ""))
    host.absent.add("ssh")
    low = host.root / "proc/sys/fs/inotify/max_user_instances"
    low.write_text("128\n")
    remove(host, "proc/sys/net/bridge/bridge-nf-call-iptables")
    failed = {finding.check: finding.remedy for finding in examine(host, config=None, ports=FREE) if finding.failed}
    assert failed == {
        "packages": "apt-get update && apt-get install openssh-client",
        "docker": "apt-get install docker.io, then start dockerd",
        "inotify": "sysctl -w fs.inotify.max_user_instances=512",
        "bridge filter": "modprobe br_netfilter, or use a kernel that has it",
    }
    assert low.read_text() == "128\n"
    assert {call.split()[0] for call in host.calls} == {"docker", "losetup"}


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
    assert finding.remedy == (
        "boot with cgroup_enable=memory on the kernel's command line, or mount the cgroup file systems"
    )


def test_a_kernel_that_does_not_count_memory_is_refused(machine: Machine) -> None:
    """Raspberry Pi OS boots like this by default."""
    host = machine()
    remove(host, "sys/fs/cgroup/memory/tasks")
    (host.root / "sys/fs/cgroup/memory").rmdir()
    (host.root / "sys/fs/cgroup/cgroup.controllers").write_text("cpuset cpu io pids\n")
    assert only_problem(host).message == "no memory controller under /sys/fs/cgroup"


@pytest.mark.parametrize(
    ("gone", "answer", "message", "remedy"),
    [
        ("dev/loop-control", (1, "losetup: x"), "/dev/loop-control is missing", remedies.LOOP_DEVICES),
        (
            None,
            (1, "losetup: cannot find an unused loop device\n"),
            "losetup: cannot find an unused loop device",
            remedies.LOOP_DEVICES,
        ),
        ("dev/loop7", (0, "/dev/loop7\n"), "/dev/loop7 is missing", "mknod /dev/loop7 b 7 7"),
    ],
)
def test_a_machine_without_a_free_loop_device_is_refused_with_the_command_for_it(
    machine: Machine, gone: str | None, answer: tuple[int, str], message: str, remedy: str
) -> None:
    host = machine()
    host.answers["losetup --find"] = lambda: answer
    if gone:
        remove(host, gone)
    assert only_problem(host).as_dict() == {
        "check": "loop devices",
        "status": "failed",
        "message": message,
        "remedy": remedy,
    }


@pytest.mark.parametrize(
    ("told", "message", "remedy"),
    [
        ("6.10.14-linuxkit [name=seccomp]", "engine 26.1.5 runs on another kernel (6.10.14-linuxkit)", "in-container"),
        (f"{platform.release()} [name=seccomp name=rootless]", "engine 26.1.5 is rootless", "docker context use"),
    ],
)
def test_an_engine_that_is_not_roots_on_this_kernel_is_refused(
    machine: Machine, told: str, message: str, remedy: str
) -> None:
    """Docker Desktop's is in a virtual machine; a rootless one may not make loop devices or packet-filter rules."""
    finding = only_problem(machine(docker_info=lambda: (0, f"{told}\n")))
    assert finding.failed
    assert finding.message.startswith(message)
    assert remedy in finding.remedy
    assert doctor.engine(machine(docker_info=lambda: (0, f"{platform.release()} [name=seccomp]\n"))).status is Status.OK


def test_each_failure_is_data_with_a_remedy_of_one_line(machine: Machine) -> None:
    """`basec` prints it as the hint of an error that has the same cause."""
    host = machine(repair=False, docker_version=lambda: (1, ""))
    host.absent.add("ssh")
    for name in FILES:
        if name != "etc/os-release":
            remove(host, name)
    (host.root / "sys/fs/cgroup/memory").rmdir()
    failed = [finding.as_dict() for finding in examine(host, config=None, ports=FREE) if finding.failed]
    assert {finding["check"] for finding in failed} >= {*CHECKS} - {"system", "disk"}
    for finding in failed:
        assert set(finding) == {"check", "status", "message", "remedy"}
        assert finding["remedy"].strip(), finding
        assert "\n" not in finding["message"] + finding["remedy"]


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
    assert finding.remedy == "remove that route, or choose other subnets: basec down --env local, then make up"


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
    host.absent.add("apt-get")
    monkeypatch.setattr(findings, "CheckedHost", lambda *_, **__: host)
    assert program.main(["doctor", "--http-port", "0", "--https-port", "0"]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["check"] for line in lines] == ["system"]


def test_programs_of_administrators_are_found_without_their_directories_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    run = CheckedHost(tmp_path, repair=False).run("sh", "-c", "echo $PATH; no-such-program")
    assert run.stdout == "/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin\n"
    assert CheckedHost(tmp_path, repair=False).run("no-such-program").returncode == 127
