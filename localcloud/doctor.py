"""Check the machine before anything is created, and repair what root may repair: one finding, one remedy.

Only missing things are touched, and each repair is reported. Nothing here changes a file of the machine for good:
sysctls are set for the running kernel only, packages come from the machine's own apt sources.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import NamedTuple

from localcloud import remedies
from localcloud.allocate import routed_networks
from localcloud.config import CloudConfig
from localcloud.distribution import IN_CONTAINER, apt_install, debian_archive, packages, system
from localcloud.findings import CheckedHost, Finding, Status, search_path
from localcloud.machine import labels

INOTIFY_MINIMUM = {"max_user_instances": 512, "max_user_watches": 524288}
"""Each systemd takes tens of instances. Source: https://kind.sigs.k8s.io/docs/user/known-issues/#pod-errors-due-to-too-many-open-files"""
DISK_COLD_GIB = 10
"""The base root file system, seven images, their layers in two engines and a build of the CLI."""
DISK_WARM_GIB = 3
MEMORY_GIB = 5
"""Three droplets (4 GiB of limits, half of it used) and the engine."""
ENGINE_START_TIMEOUT_S = 40


class Ports(NamedTuple):
    """The visitors' ports on 127.0.0.1."""

    http: int
    https: int


def examine(host: CheckedHost, *, config: CloudConfig | None, ports: Ports) -> Iterator[Finding]:
    """Yield findings one by one, so that a caller can show each at once."""
    first = system(host)
    yield first
    if first.failed:
        return
    yield packages(host)
    yield debian_archive(host)
    docker = engine(host)
    yield docker
    yield cgroup(host)
    yield from inotify(host)
    yield bridge_filter(host)
    yield loop_devices(host)
    yield disk(host)
    yield memory(host)
    if config is not None and not docker.failed:
        yield subnets(host, config)
    for variable, number in zip(remedies.PORTS, ports, strict=True):
        yield port(host, variable, number, config)


def engine(host: CheckedHost) -> Finding:
    """Find a Docker engine, or install and start Debian's."""
    version = _engine_version(host)
    if version:
        return _foreign_engine(host, version) or Finding(check="docker", status=Status.OK, message=f"engine {version}")
    remedy = remedies.ENGINE
    if not host.repair:
        return Finding(check="docker", status=Status.FAILED, message="no Docker engine answers", remedy=remedy)
    done: list[str] = []
    if not host.which("dockerd"):
        problem = apt_install(host, ["docker.io"])
        if problem:
            return Finding(check="docker", status=Status.FAILED, message=f"docker.io: {problem}", remedy=remedy)
        done.append("installed docker.io")
    if not host.which("docker"):  # Debian 13 has the client in a separate package
        problem = apt_install(host, ["docker-cli"])
        if problem:
            return Finding(check="docker", status=Status.FAILED, message=f"docker-cli: {problem}", remedy=remedy)
        done.append("installed docker-cli")
    log = Path("/var/log/dockerd.log")
    if not _engine_version(host):
        done.append(_start_engine(host, log))
    deadline = time.monotonic() + ENGINE_START_TIMEOUT_S
    while time.monotonic() < deadline:
        version = _engine_version(host)
        if version:
            return Finding(check="docker", status=Status.REPAIRED, message=f"engine {version}: {', '.join(done)}")
        time.sleep(0.5)
    return Finding(
        check="docker",
        status=Status.FAILED,
        message=f"the engine did not answer in {ENGINE_START_TIMEOUT_S} s ({', '.join(done)})",
        remedy=f"read {log} or journalctl -u docker",
    )


def cgroup(host: CheckedHost) -> Finding:
    """Find which of the two cgroup versions the droplets use."""
    if "memory" in (host.read("/sys/fs/cgroup/cgroup.controllers") or "").split():
        return Finding(check="cgroup", status=Status.OK, message="version 2")
    if (host.root / "sys/fs/cgroup/memory").exists():
        return Finding(check="cgroup", status=Status.OK, message="version 1")
    return Finding(
        check="cgroup",
        status=Status.FAILED,
        message="no memory controller under /sys/fs/cgroup",
        remedy="boot with cgroup_enable=memory on the kernel's command line, or mount the cgroup file systems",
    )


def inotify(host: CheckedHost) -> Iterator[Finding]:
    """Raise the inotify limits for three more systemds; otherwise droplets fail to boot with `too many open files`."""
    for name, minimum in INOTIFY_MINIMUM.items():
        yield _sysctl(host, f"fs/inotify/{name}", minimum, check="inotify")


def bridge_filter(host: CheckedHost) -> Finding:
    """Check that bridged packets pass the packet filter: otherwise the cloud firewall misses droplet to droplet."""
    path = "net/bridge/bridge-nf-call-iptables"
    if host.read(f"/proc/sys/{path}") is None and host.repair:
        host.run("modprobe", "br_netfilter")
    if host.read(f"/proc/sys/{path}") is None:
        return Finding(
            check="bridge filter",
            status=Status.FAILED,
            message="the kernel has no br_netfilter, so the cloud firewall would not see traffic between droplets",
            remedy="modprobe br_netfilter, or use a kernel that has it",
        )
    return _sysctl(host, path, 1, check="bridge filter")


def loop_devices(host: CheckedHost) -> Finding:
    """Check for a free loop device, for the data volume: ask losetup itself, which does not take it."""
    found = host.run("losetup", "--find", timeout_s=20)
    message, remedy = "available", remedies.LOOP_DEVICES
    if not (host.root / "dev/loop-control").exists():
        message = "/dev/loop-control is missing"
    elif found.returncode != 0:
        message = found.stderr.strip()
    elif not (host.root / found.stdout.strip().lstrip("/")).exists():  # in a container, whose /dev is its own
        device = found.stdout.strip()
        message, remedy = f"{device} is missing", f"mknod {device} b 7 {device.removeprefix('/dev/loop')}"
    else:
        return Finding(check="loop devices", status=Status.OK, message=message)
    return Finding(check="loop devices", status=Status.FAILED, message=message, remedy=remedy)


def disk(host: CheckedHost) -> Finding:
    """Check the free space: a disk that fills up midway leaves droplets that are up and run nothing."""
    warm = any((host.cache / "rootfs").glob("*.tar"))
    need = DISK_WARM_GIB if warm else DISK_COLD_GIB
    places = [host.cache, Path("/var/lib/docker")]
    free = min(shutil.disk_usage(_existing(place)).free for place in places) / 2**30
    text = f"{free:.1f} GiB free, {need} GiB needed"
    if free < need:
        return Finding(
            check="disk",
            status=Status.FAILED,
            message=text,
            remedy=f"free space under {host.cache} and /var/lib/docker",
        )
    return Finding(check="disk", status=Status.OK, message=text)


def memory(host: CheckedHost) -> Finding:
    """Check the machine's total memory, since a running stack already uses its share."""
    fields = dict(line.split(":", 1) for line in (host.read("/proc/meminfo") or "").splitlines() if ":" in line)
    total = int(fields.get("MemTotal", "0 kB").split()[0]) / 2**20
    text = f"{total:.1f} GiB of memory, {MEMORY_GIB} GiB needed"
    if total < MEMORY_GIB:
        return Finding(check="memory", status=Status.FAILED, message=text, remedy="give the machine more memory")
    return Finding(check="memory", status=Status.OK, message=text)


def subnets(host: CheckedHost, config: CloudConfig) -> Finding:
    """Check for foreign routes to our subnets (a VPN, another clone's stack): they would take the droplets' traffic."""
    own = host.run(
        "docker", "network", "ls", "--quiet", "--filter", f"label={labels.CLOUD}={config.name}", timeout_s=20
    ).stdout.split()
    ours: set[IPv4Network] = set()
    if own:
        inspect = host.run(
            "docker", "network", "inspect", "--format", "{{range .IPAM.Config}}{{.Subnet}} {{end}}", *own
        )
        ours = {IPv4Network(subnet) for subnet in inspect.stdout.split()}
    routes = [network for network in routed_networks() if network not in ours]
    for subnet in (config.public_subnet, config.vpc_range):
        clash = next((network for network in routes if network.overlaps(subnet)), None)
        if clash is not None:
            return Finding(
                check="subnets",
                status=Status.FAILED,
                message=f"{subnet} overlaps the route to {clash}",
                remedy=f"remove that route, or choose other subnets: basec down --env {config.name}, then make up",
            )
    message = f"{config.public_subnet} and {config.vpc_range} are free, or this stack's own"
    return Finding(check="subnets", status=Status.OK, message=message)


def port(host: CheckedHost, variable: str, number: int, config: CloudConfig | None) -> Finding:
    """Check that one of the shop's ports on loopback is free, or is held by this stack's own stand-in."""
    other = remedies.PORTS[variable]
    command = "make up" if config is None or config.name == "local" else f"basec init --env {config.name}"
    remedy = f"{variable}={other if number != other else other + 1} {command}"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except PermissionError as error:
            return Finding(check="port", status=Status.FAILED, message=f"{number}: {error}", remedy=remedy)
        except OSError:
            if config is not None and _published_by_us(host, number, config):
                return Finding(check="port", status=Status.OK, message=f"{number} is held by this stack")
            message = f"127.0.0.1:{number} is taken by another program"
            return Finding(check="port", status=Status.FAILED, message=message, remedy=remedy)
    return Finding(check="port", status=Status.OK, message=f"127.0.0.1:{number} is free")


def _published_by_us(host: CheckedHost, number: int, config: CloudConfig) -> bool:
    filters = ("--filter", f"label={labels.CLOUD}={config.name}", "--filter", f"publish={number}")
    return bool(host.run("docker", "ps", "--quiet", *filters, timeout_s=20).stdout.strip())


def _sysctl(host: CheckedHost, path: str, minimum: int, *, check: str) -> Finding:
    name = path.replace("/", ".")
    current = int(host.read(f"/proc/sys/{path}") or 0)
    if current >= minimum:
        return Finding(check=check, status=Status.OK, message=f"{name} = {current}")
    remedy = f"sysctl -w {name}={minimum}"
    if host.repair:
        try:
            (host.root / "proc/sys" / path).write_text(f"{minimum}\n")
        except OSError as error:
            text = f"{name} = {current}, cannot be raised: {error}"
            return Finding(check=check, status=Status.FAILED, message=text, remedy=remedy)
        return Finding(check=check, status=Status.REPAIRED, message=f"{name} raised from {current} to {minimum}")
    return Finding(check=check, status=Status.FAILED, message=f"{name} = {current}, {minimum} needed", remedy=remedy)


def _engine_version(host: CheckedHost) -> str:
    run = host.run("docker", "version", "--format", "{{.Server.Version}}", timeout_s=20)
    return run.stdout.strip() if run.returncode == 0 else ""


def _foreign_engine(host: CheckedHost, version: str) -> Finding | None:
    """Refuse an engine that is not root's on this kernel: its bridges, loop devices and volumes are elsewhere."""
    told = host.run("docker", "info", "--format", "{{.KernelVersion}} {{.SecurityOptions}}", timeout_s=20).stdout
    kernel, _, options = told.strip().partition(" ")
    if "name=rootless" in options:
        message, remedy = "is rootless", "docker context use default, with an engine that runs as root"
    elif kernel not in ("", platform.release()):
        message, remedy = f"runs on another kernel ({kernel}), as Docker Desktop does", IN_CONTAINER
    else:
        return None
    return Finding(check="docker", status=Status.FAILED, message=f"engine {version} {message}", remedy=remedy)


def _start_engine(host: CheckedHost, log: Path) -> str:
    """Start the engine by systemd if that runs, otherwise as a plain daemon that outlives us."""
    if Path("/run/systemd/system").exists():
        host.run("systemctl", "start", "docker")
        return "started docker.service"
    with log.open("ab") as output:
        subprocess.Popen(
            [host.which("dockerd") or "dockerd"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, "PATH": search_path()},
        )
    return f"started dockerd (log: {log})"


def _existing(path: Path) -> Path:
    return next(candidate for candidate in (path, *path.parents) if candidate.exists())
