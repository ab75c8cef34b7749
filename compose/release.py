#!/usr/bin/env python3
"""Activates a release of one tier on its droplet, and starts, stops and shows the active one.

Shipped in every bundle and run as root by Debian's own Python: standard library only. A *release* is the bundle
(files, named by the SHA-256 of its tar) plus the hosts' addresses plus the secrets. Whatever a container mounts
is laid under a name that carries the hash of its content, so a change recreates exactly the containers that
mount it, and the previous release stays startable as it was until it is pruned.

    /opt/basecommerce/<tier>/releases/<digest>/         the bundle's files
                             files/<directory>-<hash>/  its directories, as mounted: variable <DIRECTORY>_DIR
                             secrets/<file>.<hash>      0400, owned by the container's user: variable SECRET_<FILE>
                             hosts/<hash>.env           addresses and those variables
                             state.json                 which release is active, and the ones before it
                             current, hosts.env         links for people; state.json decides

Order of `activate`: disks, lay, pull, (PostgreSQL and Redis, password, migrate), up, health gate, record. A failure
exits 1; after the pull it brings the previous release back, before it touches nothing that runs. That the bundle is
whole was checked by what unpacked it: BOOTSTRAP in topology/bundle.py.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import ipaddress
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import release_files as files
from release_files import DATA_DIRECTORIES, Paths, Release, ReleaseError, say

KEEP = 3  # releases kept on the droplet, the active one among them
LOCK_WAIT = 30  # seconds that `activate` waits for another run; then it names the holder
UNIT_LOCK_WAIT = 400  # seconds for start and stop: an activation in progress ends first
ADDRESS_WAIT = 60  # seconds; at boot the private address can come after Docker
PULL_DEADLINE = 900  # seconds for one image
MIGRATE_DEADLINE = 300  # seconds
HEALTH_DEADLINE = 180  # seconds until all containers are healthy
RECOVERY_WAIT = 25  # seconds: two health checks of a container that was unhealthy before
LOG_LINES = 20  # of an unhealthy service, and of a failed program
KINDS = {"releases": 0o755, "files": 0o755, "hosts": 0o755, "secrets": 0o700}  # directories of a tier
LINES_ABOVE = "the lines above say why"


class Tier:
    """One tier's directory and its compose project."""

    def __init__(self, name: str, paths: Paths) -> None:
        """Nothing is read or written yet."""
        self.name = name
        self.paths = paths
        self.directory = paths.root / name
        self.lock_file: int | None = None
        self.redact: set[str] = set()  # secrets of the payload, never to be printed

    # ---- state -----------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def lock(self, command: str, wait: float) -> Iterator[None]:
        """One run at a time. Children hold the lock too: those of a killed run finish before the next starts."""
        self.directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    holder = os.read(descriptor, 200).decode().strip() or "unknown"
                    raise ReleaseError(
                        f"{self.name}: lock: held for more than {wait:.0f} s by {holder}", "wait for it, then repeat"
                    ) from None
                time.sleep(0.2)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"`{command}`, pid {os.getpid()}, since {files.now()}\n".encode(), 0)
        self.lock_file = descriptor
        try:
            yield
        finally:
            self.lock_file = None
            os.close(descriptor)

    def history(self) -> list[Release]:
        """Recorded releases, the active one first."""
        try:
            records = json.loads((self.directory / "state.json").read_text())["releases"]
            return [Release(**record) for record in records]
        except FileNotFoundError:
            return []

    def active(self) -> Release:
        """The active release, or an error when there is none."""
        history = self.history()
        if not history:
            raise ReleaseError(f"{self.name}: state.json: no release is active", "run `basec up` for this stack")
        return history[0]

    # ---- programs --------------------------------------------------------------------------------------

    def run(self, argv: Sequence[str], deadline: float, shown: str = "") -> str:
        """Standard output of the program, named `shown` in errors.

        Its environment is empty, since variables there would override those of the env files.
        """
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/root"}
        descriptors = () if self.lock_file is None else (self.lock_file,)
        where = f"{self.name}: {shown or ' '.join(argv)}"
        try:
            done = subprocess.run(
                argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
                timeout=deadline, env=environment, pass_fds=descriptors,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise ReleaseError(f"{where}: not done after {deadline:.0f} s", LINES_ABOVE) from None
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines()[-LOG_LINES:]
            text = self.clean("".join(f"\n  {line}" for line in said))
            raise ReleaseError(f"{where}: exit code {done.returncode}{text}", LINES_ABOVE)
        return done.stdout

    def compose(self, release: Release, *arguments: str, deadline: float = 60) -> str:
        """Runs docker compose on the release."""
        bundle = self.directory / "releases" / release.digest
        variables = self.directory / "hosts" / f"{release.hosts}.env"
        argv = ["docker", "compose", "--ansi", "never", "-p", self.name, "--project-directory", str(bundle)]
        argv += ["--env-file", str(bundle / ".env"), "--env-file", str(variables), "-f", str(bundle / "compose.yaml")]
        return self.run([*argv, *arguments], deadline, f"docker compose {' '.join(arguments)}")

    def clean(self, text: str) -> str:
        """The text without terminal control sequences and without any secret of the payload."""
        text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
        for secret in self.redact:
            text = text.replace(secret, "[secret]")
        return text

    def services(self, release: Release) -> dict[str, dict[str, Any]]:
        """Services of the release as compose sees them, `migrate` included."""
        return dict(json.loads(self.compose(release, "--profile", "migrate", "config", "--format", "json"))["services"])

    def containers(self, release: Release) -> list[dict[str, str]]:
        """Name, state and health of each service that should run; a missing container is `missing`."""
        text = self.compose(release, "ps", "-a", "--format", "json").strip()
        rows = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
        found = {row["Service"]: row for row in rows}
        names = [name for name, service in self.services(release).items() if not service.get("profiles")]
        return [
            {"name": name, "state": row.get("State", "missing"), "health": row.get("Health", "")}
            for name, row in ((name, found.get(name, {})) for name in sorted(names))
        ]

    def unhealthy(self, release: Release) -> list[dict[str, str]]:
        """The services that do not serve."""
        return [c for c in self.containers(release) if c["state"] != "running" or c["health"] not in ("", "healthy")]

    # ---- steps of an activation ------------------------------------------------------------------------

    def prepare(self, digest: str, bundle: Path, payload: Mapping[str, Any]) -> Release:
        """Lays the files of the unpacked bundle, secrets and variables beside those in use."""
        content = files.read_files(bundle)
        variables = {name: str(ipaddress.ip_address(value)) for name, value in payload["hosts"].items()}
        for kind, mode in KINDS.items():
            (self.directory / kind).mkdir(parents=True, exist_ok=True)
            (self.directory / kind).chmod(mode)
        files.lay(self.directory / "releases" / digest, content)
        for top in sorted({name.split("/")[0] for name in content if "/" in name}):
            inside = {n.removeprefix(f"{top}/"): file for n, file in content.items() if n.startswith(f"{top}/")}
            path = self.directory / "files" / f"{top}-{files.short(repr(sorted(inside.items())).encode())}"
            files.lay(path, inside)
            variables[f"{files.variable(top)}_DIR"] = str(path)
        for name, secret in payload["secrets"].items():
            text = secret["content"].encode()
            # Short words of a secrets file are names and hosts; passwords and keys have at least 24 characters.
            self.redact |= set(re.findall(r"[A-Za-z0-9_-]{20,}", secret["content"]))
            path = self.directory / "secrets" / f"{name}.{files.short(text)}"
            files.write(path, text, 0o400, (secret["uid"], secret["gid"]))
            variables[f"SECRET_{files.variable(name)}"] = str(path)
        text = "".join(f"{name}={value}\n" for name, value in sorted(variables.items())).encode()
        files.write(self.directory / "hosts" / f"{files.short(text)}.env", text)
        return Release(digest, files.short(text))

    def check_host(self, release: Release) -> None:
        """The private address and the data volume are there; the volume's directories belong to their users."""
        variables = (self.directory / "hosts" / f"{release.hosts}.env").read_text()
        address = dict(line.split("=", 1) for line in variables.splitlines())["PRIVATE_ADDRESS"]
        deadline = time.monotonic() + ADDRESS_WAIT
        while not files.is_local(address):
            if time.monotonic() > deadline:
                raise ReleaseError(
                    f"{self.name}: PRIVATE_ADDRESS: {address} is on no interface after {ADDRESS_WAIT} s",
                    "a rebuilt droplet has a new address: run `up`; else look at `ip address`",
                )
            time.sleep(0.5)
        directories = DATA_DIRECTORIES.get(self.name, {})
        if directories and not self.paths.data.is_mount():
            raise ReleaseError(
                f"{self.name}: {self.paths.data}: the data volume is not mounted; no database is started without it",
                f"systemctl status '{str(self.paths.data).strip('/').replace('/', '-')}.mount'",
            )
        for name, owner in directories.items():
            path = self.paths.data / name
            if not path.exists():
                path.mkdir(mode=0o700)
                os.chown(path, owner, owner)

    def pull(self, release: Release) -> None:
        """Every image of the release is here before anything that runs is touched."""
        for image in sorted({service["image"] for service in self.services(release).values()}):
            try:
                self.run(["docker", "image", "inspect", "--format", "{{.Id}}", image], 30)
            except ReleaseError:
                say(f"{self.name}: pulls {image}")
                self.run(["docker", "pull", "--quiet", image], PULL_DEADLINE)

    def up(self, release: Release, *services: str) -> None:
        """Starts and waits until all is healthy."""
        wait = ["up", "-d", "--wait", "--wait-timeout", str(HEALTH_DEADLINE)]
        try:
            self.compose(release, *wait, *(services or ["--remove-orphans"]), deadline=HEALTH_DEADLINE + 60)
        except ReleaseError as error:
            # It gives up on what is unhealthy now, also if the next check will pass: HAProxy with construction back.
            deadline = time.monotonic() + RECOVERY_WAIT
            while "is unhealthy" not in str(error) or self.unhealthy(release):
                if "is unhealthy" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(1)
        if not services and (bad := self.unhealthy(release)):
            names = ", ".join(f"{c['name']} is {c['state']} {c['health']}".strip() for c in bad)
            raise ReleaseError(f"{self.name}: health: {names}", LINES_ABOVE)

    def bring_up(self, release: Release) -> None:
        """Everything between the pull and the record."""
        if "migrate" in self.services(release):
            self.up(release, "postgres", "redis")  # no schema is changed for a release whose Redis does not start
            sql = "/etc/basecommerce/password.sql"
            self.compose(release, "exec", "-T", "postgres", "psql", "-qX", "-Ubasecommerce", "-f", sql)
            say(f"{self.name}: migrates")
            # Of a killed run: two at once would race, and what a killed one began is rolled back.
            with contextlib.suppress(ReleaseError):  # there is none: the usual case
                self.run(["docker", "rm", "-f", "infra-migrate"], 60)
            migrate = ["run", "--rm", "-T", "--no-deps", "--name", "infra-migrate", "migrate"]
            self.compose(release, "--profile", "migrate", *migrate, deadline=MIGRATE_DEADLINE)
        self.up(release)

    def explain(self, release: Release) -> None:
        """Prints state, last health check and last log lines of what does not serve."""
        check = "{{if .State.Health}}{{range .State.Health.Log}}{{println .Output}}{{end}}{{end}}"
        with contextlib.suppress(ReleaseError):
            for container in (c for c in self.unhealthy(release) if c["state"] != "missing"):
                name = container["name"]
                say(f"{self.name}: {name}: {container['state']} {container['health']}".rstrip())
                identity = self.compose(release, "ps", "-a", "-q", name).strip()
                checks = self.run(["docker", "inspect", "--format", check, identity], 30) if identity else ""
                logs = self.compose(release, "logs", "--no-color", "--no-log-prefix", "--tail", str(LOG_LINES), name)
                lines = [f"  health: {line}" for line in checks.strip().splitlines()[-1:]]
                lines += [f"  log: {line}" for line in logs.splitlines()[-LOG_LINES:]]
                print(self.clean("\n".join(lines)), file=sys.stderr, flush=True)

    def restore(self, failed: Release) -> None:
        """Brings back what ran before the failed release."""
        previous = next(iter(self.history()), None)
        if previous is None:
            say(f"{self.name}: there is no earlier release: stops what was started")
            self.compose(failed, "down", "--remove-orphans", deadline=150)
        elif not failed.same(previous):
            say(f"{self.name}: brings {previous.digest[:12]} back")
            self.up(previous)
            say(f"{self.name}: {previous.digest[:12]} serves again")

    def record(self, release: Release) -> None:
        """Makes the release the active one: for the next activation, for the next boot and for people."""
        history = self.history()
        if not history or not release.same(history[0]):
            older = [r for r in history if r.digest != release.digest][: KEEP - 1]
            kept = [Release(release.digest, release.hosts, files.now()), *older]
            state = {"tier": self.name, "releases": [vars(r) for r in kept]}
            files.write(self.directory / "state.json", json.dumps(state, indent=2).encode() + b"\n")
        files.link(self.directory / "current", f"releases/{release.digest}")
        files.link(self.directory / "hosts.env", f"hosts/{release.hosts}.env")
        (self.paths.root / "backups").mkdir(mode=0o700, exist_ok=True)
        for script in (self.directory / "releases" / release.digest).glob("*.py"):
            files.write(self.paths.root / "scripts" / script.name, script.read_bytes(), 0o755)
        unit = f"basecommerce-{self.name}.service"
        if files.write(self.paths.units / unit, files.unit(self.name, self.paths)):
            self.run(["systemctl", "daemon-reload"], 60)
        if not (self.paths.units / "multi-user.target.wants" / unit).is_symlink():
            self.run(["systemctl", "enable", unit], 60)
        # Active, so that a shutdown runs its stop. It starts when this run gives the lock back, and finds all up.
        self.run(["systemctl", "start", "--no-block", unit], 60)

    def prune(self) -> None:
        """Removes what no kept release needs: bundles, what they mounted, and the images that only they name."""
        kept = self.history()
        used = {str(self.directory / "releases" / r.digest) for r in kept}
        used |= {str(self.directory / "hosts" / f"{r.hosts}.env") for r in kept}
        for release in kept:
            variables = (self.directory / "hosts" / f"{release.hosts}.env").read_text()
            used |= set(re.findall(r"=(/.*)$", variables, re.MULTILINE))
        images = {i for r in kept for i in files.images_of(self.directory / "releases" / r.digest)}
        unused = [p for kind in KINDS for p in (self.directory / kind).iterdir() if str(p) not in used]
        for image in sorted({i for path in unused for i in files.images_of(path)} - images):
            with contextlib.suppress(ReleaseError):  # in use by hand, never pulled here, or gone already
                self.run(["docker", "image", "rm", image], 60)
        for path in unused:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    # ---- commands --------------------------------------------------------------------------------------

    def activate(self, digest: str, bundle: Path, payload: Mapping[str, Any]) -> None:
        """Makes the payload's release the active one, or leaves the active one as it is."""
        with self.lock(f"activate {self.name} {digest[:12]}", LOCK_WAIT):
            files.check_disks(self.name, self.paths)
            release = self.prepare(digest, bundle, payload)
            if release.same(next(iter(self.history()), None)) and not self.unhealthy(release):
                self.record(release)
                say(f"{self.name}: {digest[:12]} already active")
                return
            self.check_host(release)
            self.pull(release)
            say(f"{self.name}: activates {digest[:12]}")
            try:
                self.bring_up(release)
            except ReleaseError as error:
                say(str(error))
                self.explain(release)
                self.restore(release)
                raise ReleaseError(f"{self.name}: {digest[:12]}: not activated", "the reason is above") from None
            self.record(release)
            self.prune()
            say(f"{self.name}: {digest[:12]} is active")

    def start(self) -> None:
        """Starts the active release, as at boot."""
        with self.lock(f"start {self.name}", UNIT_LOCK_WAIT):
            release = self.active()
            self.check_host(release)
            try:
                self.up(release)
            except ReleaseError:
                self.explain(release)
                raise

    def stop(self) -> None:
        """Stops the containers and keeps them."""
        with self.lock(f"stop {self.name}", UNIT_LOCK_WAIT):
            if self.history():
                self.compose(self.active(), "stop", deadline=140)

    def status(self) -> dict[str, Any]:
        """What is active, and how its services are."""
        release = self.active()
        services = self.containers(release)
        return {"tier": self.name, "digest": release.digest, "since": release.since, "services": services}


def main(argv: Sequence[str] | None = None, paths: Paths | None = None) -> int:
    """Runs one command; exit code 1 when it failed, 2 when it was called wrongly."""
    parser = argparse.ArgumentParser(prog="release.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("command", choices=["activate", "start", "stop", "status"])
    parser.add_argument("tier", choices=["infra", "vertical", "edge"])
    parser.add_argument("digest", nargs="?", default="", help="SHA-256 of the bundle, checked by the caller (activate)")
    parser.add_argument("--bundle", type=Path, help="directory of the unpacked bundle (activate)")
    parser.add_argument("--payload", type=Path, help="JSON with hosts and secrets (activate)")
    parser.add_argument("--json", action="store_true", help="status as JSON")
    options = parser.parse_args(argv)
    tier = Tier(options.tier, paths or Paths())
    try:
        if options.command == "activate":
            if not re.fullmatch(r"[0-9a-f]{64}", options.digest) or None in (options.bundle, options.payload):
                parser.error("activate needs the 64 hexadecimal digits of a digest, --bundle and --payload")
            tier.activate(options.digest, options.bundle, json.loads(options.payload.read_text()))
        elif options.command == "status":
            status = tier.status()
            lines = [f"{s['name']}: {s['state']} {s['health']}".rstrip() for s in status["services"]]
            text = "\n".join([f"{status['digest'][:12]} since {status['since']}", *lines])
            print(json.dumps(status) if options.json else text)
        else:
            getattr(tier, options.command)()
    except ReleaseError as error:
        say(str(error))
        say(f"hint: {error.hint}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
