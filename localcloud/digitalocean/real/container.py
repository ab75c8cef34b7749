"""How a droplet becomes a container: the arguments of `docker create`, and the files it is created with. Pure."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address
from pathlib import Path

from localcloud.config import CloudConfig
from localcloud.digitalocean.backend import DropletSpec
from localcloud.machine import labels
from localcloud.machine.networks import public_network

REGISTRY_NAME = "registry.localcloud.internal"
RESERVED_ADDRESSES_FILE = "etc/localcloud/reserved-addresses"
_SEED = "var/lib/cloud/seed/nocloud"

# Not --privileged: that also asks for what is left out here (BPF, PERFMON, CHECKPOINT_RESTORE, and SYS_RESOURCE below),
# which a machine that is itself confined may lack; the start would fail. This is no security boundary.
CAPABILITIES = (
    *("AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH"),
    *("FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE", "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE"),
    *("MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID"),
    *("SYSLOG", "SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE"),
    *("SYS_RAWIO", "SYS_TIME", "SYS_TTY_CONFIG", "WAKE_ALARM"),
)
SYS_RESOURCE_BIT = 24
"""Of the masks in /proc/<pid>/status. Needed to grow a mounted file system, as every real machine may."""
MIB = 1024 * 1024
PAGE = 4096
STOP_TIMEOUT_S = 60  # what systemd in the droplet gets for a clean shutdown


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What the cloud assigns to a droplet without a request."""

    id: str
    container: str
    public: IPv4Address
    private: IPv4Address


def container_name(config: CloudConfig, droplet: str) -> str:
    """Return the name of a droplet's container: `shop-local-edge` of the cloud `local` is `bc-local-edge`."""
    # The prefix that makes a name unique in an account is useless here.
    short = droplet.partition(f"-{config.name}-")[2] or droplet
    return config.physical(re.sub(r"[^a-z0-9-]+", "-", short.lower()).strip("-") or "droplet")


def docker_volume(config: CloudConfig, droplet_id: str) -> str:
    """Return the name of the volume under the droplet's /var/lib/docker."""
    return config.physical(f"{droplet_id}-docker")


def spec_hash(spec: DropletSpec) -> str:
    """Hash what a droplet is created with, without what may change later (name, tags, size)."""
    born = asdict(spec)
    for changeable in ("name", "tags", "size", "memory_mib"):
        del born[changeable]
    return hashlib.sha256(json.dumps(born, sort_keys=True).encode()).hexdigest()


def memory_limits(mib: int) -> tuple[str, str]:
    """Return docker's arguments for a machine's memory, without swap except for one page.

    With cgroup v2 a swap limit of 0 never reaches the container's systemd unit, so that the host's next
    `systemctl daemon-reload` takes the limit away (seen with systemd 257 and Docker 26.1.5); one page survives it.
    """
    return f"--memory={mib}m", f"--memory-swap={mib * MIB + PAGE}"


def capabilities(engine_status: str) -> tuple[str, ...]:
    """Return a droplet's capabilities; `engine_status` is /proc/<pid>/status of Docker's engine, their source."""
    found = re.search(r"^CapBnd:\s*([0-9a-f]+)$", engine_status, re.MULTILINE)
    has_it = found is not None and int(found[1], 16) >> SYS_RESOURCE_BIT & 1
    return (*CAPABILITIES, "SYS_RESOURCE") if has_it else CAPABILITIES


def create_arguments(
    config: CloudConfig,
    urn: str,
    spec: DropletSpec,
    identity: Identity,
    *,
    image: str,
    disk: Path,
    engine_status: str,
) -> tuple[str, ...]:
    """Build the arguments of `docker container create`. They hold no secret: user-data goes in as a file."""
    own = {
        labels.CLOUD: config.name,
        labels.KIND: "droplet",
        labels.URN: urn,
        labels.ID: identity.id,
        labels.SPEC: spec_hash(spec),
    }
    return (
        f"--name={identity.container}",
        f"--hostname={spec.name}",
        *labels.arguments(own),
        f"--network={public_network(config)}",
        f"--ip={identity.public}",
        f"--add-host={REGISTRY_NAME}:{config.registry_address}",
        *memory_limits(spec.memory_mib),
        "--cap-drop=ALL",
        *(f"--cap-add={name}" for name in capabilities(engine_status)),
        # systemd and the inner Docker mount, write sysctls and create their own namespaces.
        "--security-opt=seccomp=unconfined",
        "--security-opt=apparmor=unconfined",
        "--security-opt=systempaths=unconfined",
        # The number of a volume's loop device is not known before it is attached.
        "--device-cgroup-rule=a *:* rwm",
        # Private: with the machine's namespace nested containers leave the droplet's memory limit.
        "--cgroupns=private",
        "--tmpfs=/run:exec,mode=755",
        "--tmpfs=/run/lock:mode=1777",
        "--tmpfs=/tmp:exec,mode=1777",
        # overlay2 does not work on the container's own overlay file system.
        f"--mount=type=volume,source={docker_volume(config, identity.id)},target=/var/lib/docker",
        # Volumes appear under /dev/disk/by-id while the droplet runs.
        f"--mount=type=bind,source={disk},target=/dev/disk",
        # A reboot or power-off from inside ends PID 1; Docker starts it again, also after its own restart.
        "--restart=unless-stopped",
        "--init=false",  # systemd has to be PID 1, whatever the daemon's default says
        f"--stop-timeout={STOP_TIMEOUT_S}",
        image,
    )


def seed_archive(spec: DropletSpec, identity: Identity, resolvers: str) -> bytes:
    """Pack the files of a new droplet: cloud-init's NoCloud seed and the machine's name servers."""
    metadata = {
        "instance-id": identity.id,
        "region": spec.region,  # not for cloud-init: the droplet's metadata service reads this file too
        "local-hostname": spec.name,
        "public-keys": list(spec.ssh_public_keys),
    }
    return _archive(
        (
            (f"{_SEED}/user-data", spec.user_data or "#cloud-config\n{}\n", 0o600),
            (f"{_SEED}/meta-data", json.dumps(metadata, indent=2) + "\n", 0o600),
            (f"{_SEED}/vendor-data", "#cloud-config\n{}\n", 0o600),
            ("etc/localcloud/resolv.conf", resolvers, 0o644),
            (RESERVED_ADDRESSES_FILE, "", 0o644),
        )
    )


def reserved_addresses_archive(addresses: Sequence[str]) -> bytes:
    """Pack the list that the droplet's boot unit applies."""
    return _archive(((RESERVED_ADDRESSES_FILE, "".join(f"{address}\n" for address in addresses), 0o644),))


def resolvers(resolv_conf: str) -> str:
    """Keep the name servers that a container can reach too; empty (Docker's own are used) when there is none."""
    lines = (line.strip() for line in resolv_conf.splitlines())
    servers = [line for line in lines if line.startswith("nameserver ") and not line.split()[1].startswith("127.")]
    return "".join(f"{line}\n" for line in servers)


def _archive(files: Sequence[tuple[str, str, int]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text, mode in files:
            content = text.encode()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(content), mode, int(time.time())
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
