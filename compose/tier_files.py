"""What a tier is on the disk of its droplet: its releases, what their containers mount, which one is active, the unit.

Files are laid whole or not at all. Nothing here runs a program or knows a container: see containers.py; for the order
of steps: release.py. Shipped in every bundle and run as root by Debian's own Python: standard library only.

A *release* is the bundle (files, named by the SHA-256 of its tar) plus the hosts' addresses plus the secrets.
Whatever a container mounts is laid under a name that carries the hash of its content, so a change recreates exactly
the containers that mount it, and the previous release stays startable as it was until it is pruned. A service with
`x-live` mounts one directory whatever changes in it; its release knows the hash that is current.

    /opt/basecommerce/<tier>/releases/<digest>/         the bundle's files
                             files/<directory>-<hash>/  its directories, as mounted: variable <DIRECTORY>_DIR
                             secrets/<file>.<hash>      0400, owned by the container's user: variable SECRET_<FILE>
                             live/<service>/            what it reads again (live_files.py): variable <SERVICE>_LIVE
                             hosts/<hash>.env           addresses and those variables
                             state.json                 which release is active, and the ones before it
                             state.json.damaged         one that could not be read, set aside
                             armed                      the digest that a run works on; gone when it has decided
                             log.json                   what was activated, and how it ended (release_log.py)
                             current, hosts.env         links for people; state.json decides
                             lock                       held by a run, and by what it started
    /opt/basecommerce/scripts/                          the active release's scripts, for the unit
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from atomic_files import Files, lay_directory, link, read_files, same, write
from live_files import Live, LiveFiles
from programs import ReleaseError

NAMES = re.compile("[0-9a-f]+")  # of releases and of their variables: hashes
TIERS = re.compile(r"[a-z][a-z0-9_-]*")  # names of tiers, and of their directories on the data volume
KEEP = 3  # releases kept on the droplet, the active one among them
KINDS = {"releases": 0o755, "files": 0o755, "hosts": 0o755, "secrets": 0o700}  # directories of a tier
LIVE = "live"  # the directory of live_files.py
UNIT = """[Unit]
Description=BaseCommerce {tier} containers
# Wants, not Requires: a restart of Docker must not stop the containers (live-restore keeps them).
Wants=docker.service network-online.target
After=docker.service network-online.target
{mounts}# Never gives up: the next attempt may find its network.
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
# Docker starts containers itself at boot, but never again one whose private address came too late.
ExecStart=/usr/bin/python3 -B {script} start {tier}
ExecStop=/usr/bin/python3 -B {script} stop {tier}
Restart=on-failure
RestartSec=15
TimeoutStartSec=900
TimeoutStopSec=150

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True)
class Paths:
    """Places on the droplet; tests use others."""

    root: Path = Path("/opt/basecommerce")
    units: Path = Path("/etc/systemd/system")


@dataclass(frozen=True)
class Description:
    """What a tier has on its droplet, read from `tier.json` of its bundle, which topology/fleet.py writes."""

    mount: Path  # of the data volume
    data: Mapping[str, int]  # directories on that volume by name: their owner; empty for a tier without data
    live: Mapping[str, Live]  # what services read again, by service
    watch_s: int  # how long a new release is watched before it stays


@dataclass(frozen=True)
class Release:
    """What one activation consists of, by names on the disk."""

    digest: str
    hosts: str  # hash of the variables file: addresses, and the hashes of secrets and mounted directories
    since: str = ""
    files: str = ""  # hash of the bundle's files as they were laid; empty where an older release.py recorded it

    def same(self, other: Release | None) -> bool:
        """Whether both start the same containers."""
        return other is not None and (self.digest, self.hosts) == (other.digest, other.hosts)


class TierFiles:
    """One tier's directory, and its unit."""

    def __init__(self, tier: str, paths: Paths) -> None:
        """Nothing is read or written yet."""
        self.tier = tier
        self.paths = paths
        self.directory = paths.root / tier
        self.state_file = self.directory / "state.json"
        self.damaged_file = self.directory / "state.json.damaged"
        self.armed_file = self.directory / "armed"
        self.unit_name = f"basecommerce-{tier}.service"
        self.live = LiveFiles(self.directory / LIVE)

    # ---- what is there ---------------------------------------------------------------------------------

    def bundle(self, release: Release) -> Path:
        """Return the directory of the release's files."""
        return self.directory / "releases" / release.digest

    def description(self, bundle: Path) -> Description:
        """Read what the tier has, from the directory of a bundle. Raises ReleaseError if `tier.json` is not whole."""
        path = bundle / "tier.json"
        try:
            found = json.loads(path.read_bytes())
            data = {str(name): int(owner) for name, owner in found["data"].items()}
            live = {
                str(name): Live(each["folder"], tuple(each["secrets"]), each["signal"])
                for name, each in found.get(LIVE, {}).items()  # none in a release of before December 2026
            }
            if found["tier"] == self.tier and all(map(TIERS.fullmatch, (*data, *live))):
                return Description(Path(found["mount"]), data, live, int(found.get("watch_s", 0)))
            said = f"it is of {found['tier']}, with data {', '.join(data)}"
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            said = f"{type(error).__name__}: {error}"
        raise ReleaseError(
            f"{self.tier}: {path}: missing or damaged: {said}", "run `basec up`: it writes the file again"
        )

    def variables_file(self, release: Release) -> Path:
        """Return the release's file of variables."""
        return self.directory / "hosts" / f"{release.hosts}.env"

    def variables(self, release: Release) -> dict[str, str]:
        """Return the release's variables: addresses, and paths of what is mounted.

        Raises ReleaseError when the file is not the one that was laid: its name is the hash of its content.
        """
        path = self.variables_file(release)
        content = path.read_bytes() if path.exists() else b""
        if short(content) != release.hosts:
            raise ReleaseError(f"{self.tier}: {path}: missing or damaged", "run `basec up`: it writes the file again")
        return dict(line.split("=", 1) for line in content.decode().splitlines())

    def history(self) -> list[Release]:
        """Return the recorded releases, the active one first. Raises ReleaseError when the record is damaged."""
        try:
            content = self.state_file.read_bytes()
        except FileNotFoundError:
            return []
        try:
            return [Release(**fields(record)) for record in json.loads(content)["releases"]]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ReleaseError(
                f"{self.tier}: {self.state_file}: damaged: {type(error).__name__}: {error}",
                "run `basec up`: what runs stays, and the record is written again",
            ) from None

    def set_damaged_record_aside(self) -> ReleaseError | None:
        """Rename a damaged record, for a person to look at, and write it again from the links if they are whole.

        Return what was wrong with it. Only for a caller that holds the lock.
        """
        try:
            self.history()
        except ReleaseError as error:
            self.state_file.rename(self.damaged_file)
            said = f"{error}; it is now {self.damaged_file.name}"
            linked = self.linked()
            if linked is None:
                return ReleaseError(said, error.hint)
            self._write_history([linked])
            return ReleaseError(f"{said}, and {linked.digest[:12]}, which `current` names, is recorded", "basec status")
        return None

    def linked(self) -> Release | None:
        """Return the release that the links name, or None if one of them leads to something missing or damaged."""
        current, hosts = self.directory / "current", self.directory / "hosts.env"
        with contextlib.suppress(OSError, ValueError, ReleaseError):
            since = time_text(current.lstat().st_mtime)
            named = fields({"digest": current.readlink().name, "hosts": hosts.readlink().stem, "since": since})
            release = Release(**named)
            if self.variables(release) and self.bundle(release).is_dir():
                return release
        return None

    def damage(self) -> str:
        """Return why the active release cannot be started as it was; empty if it can."""
        try:
            latest = self.latest()
            if latest is not None:
                self.variables(latest)
                if latest.files and sum_of(read_files(self.bundle(latest))) != latest.files:
                    return f"{self.tier}: {self.bundle(latest)}: a file is missing or damaged"
        except ReleaseError as error:
            return str(error)
        return f"{self.tier}: {self.state_file}: gone" if self.has_lost_its_record() else ""

    def has_lost_its_record(self) -> bool:
        """Return whether containers may run though no release is recorded."""
        return self.damaged_file.exists() and not self.state_file.exists()

    def latest(self) -> Release | None:
        """Return the active release, if there is one."""
        return next(iter(self.history()), None)

    def active(self) -> Release:
        """Return the active release. Raises ReleaseError when there is none."""
        latest = self.latest()
        if latest is None:
            raise ReleaseError(f"{self.tier}: state.json: no release is active", "run `basec up` for this stack")
        return latest

    # ---- lay, record, prune ----------------------------------------------------------------------------

    def lay(self, digest: str, bundle: Path, payload: Mapping[str, Any]) -> Release:
        """Lay the files of an unpacked bundle, secrets and variables beside those in use.

        `digest` is that of the bundle, checked by the code that unpacked it. `payload` has `hosts`, addresses by
        name, and `secrets`, by file name: `content`, `uid` and `gid`.
        """
        variables = {name: str(ipaddress.ip_address(value)) for name, value in payload["hosts"].items()}
        for kind, mode in KINDS.items():
            (self.directory / kind).mkdir(parents=True, exist_ok=True)
            (self.directory / kind).chmod(mode)
        files = read_files(bundle)
        lay_directory(self.directory / "releases" / digest, files)
        live = self.description(bundle).live
        (self.directory / LIVE).mkdir(mode=0o700, exist_ok=True)
        for service, each in live.items():
            variables[f"{variable(service)}_LIVE"] = str(self.directory / LIVE / service)
            variables[f"{variable(service)}_CURRENT"] = self.live.lay(service, each, files, payload["secrets"])
        alive = {name for each in live.values() for name in (each.folder, *each.secrets)}
        for top in sorted({name.split("/")[0] for name in files if "/" in name} - alive):
            inside = {n.removeprefix(f"{top}/"): file for n, file in files.items() if n.startswith(f"{top}/")}
            path = self.directory / "files" / f"{top}-{sum_of(inside)}"
            lay_directory(path, inside)
            variables[f"{variable(top)}_DIR"] = str(path)
        for name, secret in payload["secrets"].items():
            if name in alive:
                continue
            content = secret["content"].encode()
            path = self.directory / "secrets" / f"{name}.{short(content)}"
            write(path, content, 0o400, (secret["uid"], secret["gid"]))
            variables[f"SECRET_{variable(name)}"] = str(path)
        text = "".join(f"{name}={value}\n" for name, value in sorted(variables.items())).encode()
        release = Release(digest, short(text), files=sum_of(files))
        write(self.variables_file(release), text)
        return release

    def point(self, release: Release) -> None:
        """Let each service with `x-live` find what it reads in this release, when it reads next."""
        variables = self.variables(release)
        for service in self.description(self.bundle(release)).live:
            self.live.point(service, variables[f"{variable(service)}_CURRENT"])

    def arm(self, release: Release) -> None:
        """Note that this release is being tried: if its run is killed, the watchdog lets the active one come back."""
        write(self.armed_file, f"{release.digest}\n".encode())

    def armed(self) -> str:
        """Return the digest that was being tried; empty if a run has decided on it."""
        with contextlib.suppress(OSError):
            return self.armed_file.read_text().strip()
        return ""

    def disarm(self) -> None:
        """Note that it is decided which release stays."""
        self.armed_file.unlink(missing_ok=True)

    def record(self, release: Release) -> None:
        """Make the release the active one: for the next activation, for people, and its scripts for the unit."""
        history = self.history()
        if not history or not release.same(history[0]):
            older = [r for r in history if r.digest != release.digest][: KEEP - 1]
            self._write_history([Release(release.digest, release.hosts, time_text(time.time()), release.files), *older])
        link(self.directory / "current", f"releases/{release.digest}")
        link(self.directory / "hosts.env", f"hosts/{release.hosts}.env")
        (self.paths.root / "backups").mkdir(mode=0o700, exist_ok=True)
        scripts = self.paths.root / "scripts"  # Host keeps some of its own there
        new = {path: path.read_bytes() for path in self.bundle(release).glob("*.py")}
        changed = {
            scripts / path.name: content for path, content in new.items() if not same(scripts / path.name, content)
        }
        for path, content in changed.items():
            write(path.with_suffix(".next"), content, 0o755)
        for path in changed:  # in quick succession: scripts of two releases may not find what they import
            path.with_suffix(".next").rename(path)
        (scripts / "release_files.py").unlink(missing_ok=True)  # laid until November 2026; nothing imports it now

    def _write_history(self, releases: Iterable[Release]) -> None:
        state = {"tier": self.tier, "releases": [vars(release) for release in releases]}
        write(self.state_file, json.dumps(state, indent=2).encode() + b"\n")

    def unneeded(self) -> tuple[list[Path], list[str]]:
        """List what no kept release needs: paths, and the images that only those name."""
        kept = self.history()
        used = {str(path) for r in kept for path in (self.bundle(r), self.variables_file(r))}
        for release in kept:
            with contextlib.suppress(ReleaseError):  # damaged: it cannot be started again, so it needs nothing
                used |= set(self.variables(release).values())
        images = {image for r in kept for image in images_of(self.bundle(r)).values()}
        paths = [path for kind in KINDS for path in (self.directory / kind).iterdir() if str(path) not in used]
        paths += self.live.unneeded(used)
        return paths, sorted({image for path in paths for image in images_of(path).values()} - images)

    # ---- the unit --------------------------------------------------------------------------------------

    def unit(self, release: Release) -> bytes:
        """Return the text of the tier's systemd unit."""
        description = self.description(self.bundle(release))
        mounts = f"RequiresMountsFor={description.mount}\n" if description.data else ""
        script = self.paths.root / "scripts" / "release.py"
        return UNIT.format(tier=self.tier, script=script, mounts=mounts).encode()

    def write_unit(self, release: Release) -> bool:
        """Put the unit in its place; return whether that changed it."""
        return write(self.paths.units / self.unit_name, self.unit(release))

    def unit_is_enabled(self) -> bool:
        """Return whether the unit starts at boot."""
        return (self.paths.units / "multi-user.target.wants" / self.unit_name).is_symlink()


def read_payload(path: Path) -> dict[str, Any]:
    """Read the input of an activation: `hosts` and `secrets`, as `lay` takes them. Raises ReleaseError."""
    try:
        payload = json.loads(path.read_bytes())
        whole = all(
            (type(secret["content"]), type(secret["uid"]), type(secret["gid"])) == (str, int, int)
            for secret in payload["secrets"].values()
        )
        for address in payload["hosts"].values():
            ipaddress.ip_address(address)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        # Without its text, which can hold a secret.
        raise ReleaseError(f"{path}: damaged payload: {type(error).__name__}", "run the same command again") from None
    if not whole:
        raise ReleaseError(f"{path}: damaged payload: a secret's content or owner", "run the same command again")
    return dict(payload)


def fields(record: Mapping[str, Any]) -> dict[str, str]:
    """Return a record's fields of a release, without those that a newer release.py added. Raises ValueError."""
    found = {name: record.get(name, "") for name in ("digest", "hosts", "since", "files")}
    names = all(NAMES.fullmatch(found[name]) for name in ("digest", "hosts"))
    if not (names and isinstance(found["since"], str) and isinstance(found["files"], str)):
        raise ValueError(f"not a release: {found}")
    return found


# ---- names ---------------------------------------------------------------------------------------------------


def short(content: bytes) -> str:
    """Return the hash used in names: 12 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()[:12]


def sum_of(files: Files) -> str:
    """Return the hash of files with their names, contents and modes."""
    return short(repr(sorted(files.items())).encode())


def variable(name: str) -> str:
    """Return a file's or directory's name as part of a variable's name."""
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def images_of(bundle: Path) -> dict[str, str]:
    """Return the images that a bundle names in its .env, by service."""
    with contextlib.suppress(OSError):
        text = (bundle / ".env").read_text(errors="replace")
        found = re.findall(r"""^IMAGE_(\w+)=["']?([^"'\s]+)""", text, re.MULTILINE)
        return {name.lower().replace("_", "-"): image for name, image in found}
    return {}


def seconds_of(text: str) -> float:
    """Return a time in Docker's form in seconds since 1970; it has up to nine digits of a second."""
    return datetime.fromisoformat(re.sub(r"\.(\d{1,6})\d*", r".\1", text).replace("Z", "+00:00")).timestamp()


def time_text(seconds: float) -> str:
    """Return a time in UTC, to the second, in the form of records; `seconds` count from 1970."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
