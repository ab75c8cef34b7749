"""What the local cloud requires of the distribution: features, never a name.

A system on which this was never run gets a warning, not a refusal; a refusal names what is missing and one way out.
"""

from __future__ import annotations

import os
import platform
import shlex
import sys

from localcloud.errors import CloudError
from localcloud.findings import CheckedHost, Finding, Status
from localcloud.images.apt_sources import KEYRING, machine_sources

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""The kernel's name, Debian's name. There is no Pulumi for others: https://www.pulumi.com/docs/install/versions/"""
RUN_ON = {("debian", "12", "amd64"), ("debian", "13", "amd64")}
"""Where this was really run; docs/local-cloud.md has the details."""
PYTHON_MINIMUM = (3, 11)
PACKAGES = {  # a required program: the package that contains it, in Debian and in Ubuntu
    "mmdebstrap": "mmdebstrap",
    "iptables": "iptables",
    "mkfs.ext4": "e2fsprogs",
    "losetup": "mount",
    "setpriv": "util-linux",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-agent": "openssh-client",
}
KEYRING_PACKAGE = "debian-archive-keyring"
IN_CONTAINER = "scripts/in-container up (any machine with Docker; nothing is installed on it)"


def system(host: CheckedHost) -> Finding:
    """Check the architecture, apt, Python and root; name all that is missing in one line."""
    name, identity = _release(host)
    machine = platform.machine()
    # A 32-bit system may run on a 64-bit kernel, as Raspberry Pi OS does.
    architecture = ARCHITECTURES.get(machine) if sys.maxsize > 2**32 else None
    python = platform.python_version()
    asked = (
        (architecture, f"amd64 or arm64 with a 64-bit system (this is {machine})", "use another machine"),
        (host.which("apt-get"), f"apt-get (this is {name})", IN_CONTAINER),
        (sys.version_info >= PYTHON_MINIMUM, f"Python 3.11 or newer (this is {python})", IN_CONTAINER),
        (os.geteuid() == 0, f"root (this is user id {os.geteuid()})", "run the same command as root"),
    )
    missing = [(text, remedy) for there, text, remedy in asked if not there]
    if missing:
        return Finding(
            check="system",
            status=Status.FAILED,
            final=True,
            message=f"the local cloud needs {', '.join(text for text, _ in missing)}",
            remedy=missing[0][1],
        )
    message = f"{name}, {architecture}, root, Python {python}"
    if (*identity, architecture) in RUN_ON:
        return Finding(check="system", status=Status.OK, message=message)
    return Finding(
        check="system",
        status=Status.WARNING,
        message=f"{message}: not run on this system",
        remedy="docs/hosts.md lists what may differ",
    )


def packages(host: CheckedHost) -> Finding:
    """Install the host programs that are missing, from the machine's own apt sources."""
    missing = {package for program, package in PACKAGES.items() if not host.which(program)}
    if not (host.root / KEYRING.lstrip("/")).exists():
        missing.add(KEYRING_PACKAGE)
    names = sorted(missing)
    if not names:
        return Finding(check="packages", status=Status.OK, message="all host programs are there")
    remedy = f"apt-get update && apt-get install {' '.join(names)}"
    if not host.repair:
        return Finding(check="packages", status=Status.FAILED, message=f"missing: {', '.join(names)}", remedy=remedy)
    problem = apt_install(host, names)
    if problem:
        return Finding(check="packages", status=Status.FAILED, message=f"{', '.join(names)}: {problem}", remedy=remedy)
    return Finding(check="packages", status=Status.REPAIRED, message=f"installed {', '.join(names)}")


def debian_archive(host: CheckedHost) -> Finding:
    """Check that a Debian mirror is known, to build the images from; on Debian it is in the apt sources."""
    try:
        sources = machine_sources(host.root)
    except CloudError as error:
        message, _, remedy = str(error).partition("\nhint: ")
        return Finding(check="debian archive", status=Status.FAILED, message=message, remedy=remedy)
    mirrors = ", ".join(sorted({source.uri for source in sources}))
    return Finding(check="debian archive", status=Status.OK, message=mirrors)


def apt_install(host: CheckedHost, names: list[str]) -> str:
    """Install packages; return the error, or nothing. The lists are refreshed once, and only if needed."""
    install = ("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *names)
    first = host.run(*install)
    if first.returncode == 0:
        return ""
    host.run("apt-get", "update", "--quiet")
    second = host.run(*install)
    if second.returncode == 0:
        return ""
    return (second.stderr.strip() or second.stdout.strip() or "apt-get failed").splitlines()[-1]


def _release(host: CheckedHost) -> tuple[str, tuple[str, str]]:
    """Read the system's name for people, and its (id, version). Format: man 5 os-release."""
    lines = (host.read("/etc/os-release") or "").splitlines()
    release = {key: "".join(shlex.split(value)) for key, _, value in (line.partition("=") for line in lines)}
    return release.get("PRETTY_NAME", "an unknown system"), (release.get("ID", ""), release.get("VERSION_ID", ""))
