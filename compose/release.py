#!/usr/bin/env python3
"""Activates a release of one tier on its droplet, and starts, stops and shows the active one.

The order of steps, the lock and the command line. How each step is done is in the files beside it: tier_files.py and
atomic_files.py (the disk), containers.py (Docker), switch.py (two colours), host_checks.py (the host), programs.py
(running a program). Shipped in every bundle and run as root by Debian's own Python: standard library only.

Order of `activate`: disks, lay, pull, memory, try out, (PostgreSQL and Redis, roles, migrate, roles), start beside what
serves, prove, switch, watch, record, drain, prune. A failure exits 1: up to the trial nothing that runs was touched;
after it the previous release is brought back, by the watchdog if the run itself was killed. Outside its own files it
only ever adds: roles, logins and the schema. `retire` removes what is old. The bundle was checked by the code that
unpacked it: BOOTSTRAP in topology/bundle.py.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from atomic_files import remove
from containers import Containers
from host_checks import check_address, check_data_volume, check_disks
from programs import Programs, ReleaseError, say
from release_log import ACTIVE, KILLED, REFUSED, WENT_BACK, ReleaseLog
from switch import Switch
from tier_files import TIERS, Paths, Release, TierFiles, images_of, read_payload, time_text
from watch import Watch

LOCK_WAIT = 30  # seconds that `activate` waits for another run; then it names the holder
UNIT_LOCK_WAIT = 400  # seconds for start and stop: an activation in progress ends first
MIGRATE_DEADLINE = 300  # seconds
PSQL_SETTINGS = """\\set ON_ERROR_STOP on
\\set VERBOSITY terse
\\set logins '{logins}'
SET client_min_messages = 'warning';
"""  # terse: without the line that failed, which may hold a verifier
NEWER_SCHEMA = "Can't locate revision identified by"  # Alembic's words for a revision that its image does not have


class Tier:
    """One tier on its droplet."""

    def __init__(self, name: str, paths: Paths) -> None:
        """Nothing is read or written yet."""
        self.name = name
        self.paths = paths
        self.files = TierFiles(name, paths)
        self.programs = Programs(name)
        self.containers = Containers(name, self.files, self.programs)
        self.switch = Switch(self.containers)
        self.log = ReleaseLog(self.files.directory / "log.json")

    @contextlib.contextmanager
    def lock(self, command: str, wait: float) -> Iterator[None]:
        """Let one run at a time continue; the others wait up to `wait` seconds.

        Programs that it starts hold the lock too: those of a killed run finish before the next run starts.
        """
        self.files.directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.files.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    holder = os.read(descriptor, 200).decode(errors="replace").strip("\0\n ") or "unknown"
                    raise ReleaseError(
                        f"{self.name}: lock: held for more than {wait:.0f} s by {holder}", "wait for it, then repeat"
                    ) from None
                time.sleep(0.2)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"`{command}`, pid {os.getpid()}, since {time_text(time.time())}\n".encode(), 0)
        self.programs.lock_file = descriptor
        try:
            if damage := self.files.set_damaged_record_aside():
                say(str(damage))
                say(f"hint: {damage.hint}")
            yield
        finally:
            self.programs.lock_file = None
            os.close(descriptor)

    # ---- commands --------------------------------------------------------------------------------------

    def activate(self, digest: str, bundle: Path, payload: Mapping[str, Any]) -> None:
        """Make the payload's release the active one, or leave the active one as it is."""
        for secret in payload["secrets"].values():
            self.programs.hide(secret["content"])
        with self.lock(f"activate {self.name} {digest[:12]}", LOCK_WAIT):
            check_disks(self.name, self.paths, self.files.description(bundle))
            release = self.files.lay(digest, bundle, payload)
            is_active = release.same(self.files.latest()) and self.switch.is_done(release)
            if is_active and not self.containers.unhealthy(release):
                self.files.point(release)  # a killed activation may have left another one's
                self.containers.reload(release)
                self.record(release)
                self.finish(release)
                say(f"{self.name}: {digest[:12]} already active")
                return
            self.log.begin(digest, images_of(self.files.bundle(release)))
            try:
                self.check_host(release)
                self.containers.pull(release)  # every image is here before anything that runs is touched
                self.switch.prepare(release)
                self.switch.check_memory(release)
                self.containers.try_out(release)
            except ReleaseError as error:
                self.log.end(REFUSED, str(error))
                raise
            say(f"{self.name}: activates {digest[:12]}")
            watch = Watch(self.containers, release)
            self.files.arm(release)
            try:
                watch.look_before()
                self.bring_up(release)
                if self.files.latest() is not None:  # else there is none to go back to
                    watch.run(self.files.description(bundle).watch_s)
            except ReleaseError as error:
                say(str(error))
                self.containers.explain(release)
                self.restore(release)
                self.log.end(WENT_BACK, str(error))
                raise ReleaseError(f"{self.name}: {digest[:12]}: not activated", "the reason is above") from None
            self.record(release)
            self.log.end(ACTIVE)
            self.finish(release)
            self.prune()
            say(f"{self.name}: {digest[:12]} is active")

    def start(self) -> None:
        """Start the active release, as at boot."""
        with self.lock(f"start {self.name}", UNIT_LOCK_WAIT):
            release = self.files.active()
            self.check_host(release)
            self.switch.prepare(release)
            try:
                self.change(release, proven=False)  # a killed activation may have left another one's files and colours
            except ReleaseError:
                self.containers.explain(release)
                raise
            self.finish(release)
            self.files.disarm()

    def settle(self) -> None:
        """Bring the active release back after a run that was killed before it had decided; do nothing after others."""
        if self.files.armed():
            say(f"{self.name}: {self.files.armed()[:12]} was not decided on, and nobody works on it: goes back")
            self.start()
            self.log.end(KILLED, "its run ended before it had decided, and the release before came back")

    def stop(self) -> None:
        """Stop the containers and keep them."""
        with self.lock(f"stop {self.name}", UNIT_LOCK_WAIT):
            release = self.files.latest()
            if release is not None:
                self.containers.compose(release, "stop", deadline=140)

    def retire(self) -> None:
        """Remove the logins and privileges that the active release does not need. No tier may run an older release."""
        with self.lock(f"retire {self.name}", LOCK_WAIT):
            release = self.files.active()
            self.containers.up(release, "postgres")
            self.sql(release, "retire.sql")
            say(f"{self.name}: old logins are retired")

    def status(self) -> dict[str, Any]:
        """Return the active release, and the state of its services."""
        release = self.files.active()
        services = [vars(container) for container in self.containers.states(release)]
        return {"tier": self.name, "digest": release.digest, "since": release.since, "services": services}

    # ---- steps that involve more than one of disk, host and containers ----------------------------------

    def check_host(self, release: Release) -> None:
        """Refuse to start containers without an address to listen on, or without their data."""
        check_address(self.name, self.files.variables(release)["PRIVATE_ADDRESS"])
        check_data_volume(self.name, self.files.description(self.files.bundle(release)))

    def bring_up(self, release: Release) -> None:
        """Do everything between the pull and the record."""
        if "migrate" in self.containers.services(release):
            self.pause_workers(self.files.latest(), release)
            # No schema is changed for a release whose Redis does not start.
            self.containers.up(release, "postgres", "redis")
            self.sql(release, "roles.sql")
            self.migrate(release)
            self.sql(release, "roles.sql")  # for the tables that are new
        self.change(release, proven=True)

    def change(self, release: Release, *, proven: bool) -> None:
        """Let the release serve instead of the one before, which goes on until it does. Raises ReleaseError."""
        self.switch.start(release, proven=proven)
        self.files.point(release)
        self.containers.up(release)
        if proven:
            self.containers.prove(release)
        self.containers.reload(release)
        self.switch.serve(release)

    def finish(self, release: Release) -> None:
        """End what served before the release."""
        self.switch.finish(release)
        self.containers.remove_orphans(release)

    def pause_workers(self, before: Release | None, after: Release) -> None:
        """Stop the workers when Redis gets new passwords, until they have theirs; events wait in the outbox."""
        users = "SECRET_REDIS_AUTH_CONF"
        if before is not None and self.files.variables(before).get(users) != self.files.variables(after).get(users):
            self.containers.compose(before, "stop", "relay", "engines", deadline=60)

    def sql(self, release: Release, script: str) -> None:
        """Run a script of the release as PostgreSQL's superuser, who logs in by its container's socket.

        All of it comes by standard input, so new logins or privileges need no new container.
        """
        logins = Path(self.files.variables(release)["SECRET_DATABASE_LOGINS_JSON"]).read_text()
        scripts = [self.files.bundle(release) / "database" / name for name in ("privileges.sql", script)]
        text = PSQL_SETTINGS.format(logins=logins) + "".join(path.read_text() for path in scripts)
        psql = ["psql", "-qX", "--single-transaction", "-Ubasecommerce", "-f", "-"]
        self.containers.compose(release, "exec", "-T", "postgres", *psql, text=text)

    def migrate(self, release: Release) -> None:
        """Bring the schema to the release's revision; a newer one stays, since migrations only ever expand."""
        say(f"{self.name}: migrates")
        try:
            self.containers.run_once(release, "migrate", ["migrate"], MIGRATE_DEADLINE)
        except ReleaseError as error:
            if NEWER_SCHEMA not in str(error):
                raise
            say(f"{self.name}: the schema is newer than this release, and stays as it is")

    def restore(self, failed: Release) -> None:
        """Bring back what ran before the failed release."""
        previous = self.files.latest()
        if self.files.has_lost_its_record():
            say(f"{self.name}: the earlier release is unknown, since its record was damaged: leaves all as it is")
        elif previous is None:
            say(f"{self.name}: there is no earlier release: stops what was started")
            self.containers.compose(failed, "down", "--remove-orphans", deadline=150)
        elif not failed.same(previous):
            say(f"{self.name}: brings {previous.digest[:12]} back")
            self.pause_workers(failed, previous)
            self.switch.prepare(previous)
            self.change(previous, proven=False)
            self.finish(previous)
            say(f"{self.name}: {previous.digest[:12]} serves again")
        self.files.disarm()

    def record(self, release: Release) -> None:
        """Make the release the active one, here and at the next boot."""
        self.files.record(release)
        self.files.disarm()
        unit = self.files.unit_name
        if self.files.write_unit(release):
            self.programs.run(["systemctl", "daemon-reload"], 60)
        if not self.files.unit_is_enabled():
            self.programs.run(["systemctl", "enable", unit], 60)
        # Active, so that a shutdown runs its stop. It starts when this run releases the lock, and finds all up.
        self.programs.run(["systemctl", "start", "--no-block", unit], 60)

    def prune(self) -> None:
        """Remove what no kept release needs: bundles, what they mounted, and the images that only they name."""
        paths, images = self.files.unneeded()
        self.containers.remove_images(images)  # first: if the run is killed here, the paths still name them
        remove(paths)


def main(argv: Sequence[str] | None = None, paths: Paths | None = None) -> int:
    """Run one command; return exit code 1 when it failed, 2 when it was called wrongly."""
    parser = argparse.ArgumentParser(prog="release.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "command", choices=["activate", "start", "stop", "retire", "check", "status", "serving", "settle"]
    )
    parser.add_argument("tier", help="what runs here, such as infra")
    parser.add_argument(
        "subject",
        nargs="?",
        default="",
        help="SHA-256 of the bundle, checked by the caller (activate); a service (serving)",
    )
    parser.add_argument("--bundle", type=Path, help="directory of the unpacked bundle (activate)")
    parser.add_argument("--payload", type=Path, help="JSON with hosts and secrets (activate)")
    parser.add_argument("--json", action="store_true", help="status as JSON")
    options = parser.parse_args(argv)
    if not TIERS.fullmatch(options.tier):
        parser.error(f"{options.tier!r} is not the name of a tier")
    tier = Tier(options.tier, paths or Paths())
    try:
        if options.command == "activate":
            if not re.fullmatch(r"[0-9a-f]{64}", options.subject) or None in (options.bundle, options.payload):
                parser.error("activate needs the 64 hexadecimal digits of a digest, --bundle and --payload")
            tier.activate(options.subject, options.bundle, read_payload(options.payload))
        elif options.command == "check":
            print(tier.files.damage(), end="")
        elif options.command == "serving":
            print(tier.switch.serving(options.subject))
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
