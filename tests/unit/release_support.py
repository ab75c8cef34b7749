"""A droplet for tests of release.py: a temporary root, and recording stand-ins for `docker` and `systemctl`."""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import os
import re
import shutil
import stat
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

COMPOSE = Path(__file__).parents[2] / "compose"
sys.path.insert(0, str(COMPOSE))  # as on the droplet, where the scripts lie side by side
atomic_files: Any = importlib.import_module("atomic_files")
release: Any = importlib.import_module("release")
containers: Any = importlib.import_module("containers")
host_checks: Any = importlib.import_module("host_checks")
programs: Any = importlib.import_module("programs")
colours: Any = importlib.import_module("colours")
release_log: Any = importlib.import_module("release_log")
switch: Any = importlib.import_module("switch")
live_files: Any = importlib.import_module("live_files")
tier_files: Any = importlib.import_module("tier_files")

# -I -S: no site-packages, which is most of an interpreter's start.
STAND_IN = """#!{python} -IS
import json, re, sys, time
here, _, name = __file__.rpartition("/")
argv = [name, *sys.argv[1:]]
with open(here + "/calls", "a") as calls:
    calls.write(json.dumps(argv) + "\\n")
answers = json.load(open(here + "/answers.json"))
for answer in answers:
    if re.search(answer["pattern"], " ".join(argv)) and answer["times"] != 0:
        answer["times"] -= 1
        json.dump(answers, open(here + "/answers.json", "w"))
        time.sleep(answer["sleep"])
        sys.stdout.write(answer["stdout"])
        sys.stderr.write(answer["stderr"])
        sys.exit(answer["rc"])
"""
SERVICES = {"infra": ["postgres", "redis", "relay"], "vertical": ["construction", "haproxy"], "edge": ["auth", "nginx"]}
LIVE = {
    "vertical": {"haproxy": {"folder": "haproxy", "secrets": [], "signal": "USR2"}},
    "edge": {"nginx": {"folder": "nginx", "secrets": ["origin.key"], "signal": "HUP"}},
}
"""By tier: what its services read again."""
FOR_EVER = 10**6
PASSWORD = "a-password-of-26-letters-x"


def bundle(tier: str, tag: str = "1", extra: Mapping[str, str] | None = None, volume: Path | None = None) -> bytes:
    """A small bundle; another tag is another digest. With a data volume it has the directories of infra's stores."""
    data = dict.fromkeys(("postgres", "redis"), os.getuid()) if volume else {}
    live = LIVE.get(tier, {})
    description = {"tier": tier, "mount": str(volume or "/mnt/data"), "data": data, "watchdog": {}, "live": live}
    content = {
        "tier.json": json.dumps(description),
        "compose.yaml": "services: {}\n",
        ".env": f"DOMAIN='basecommerce.example'\nIMAGE_APP='registry.example/app:{tag}'\n",
        **{path.name: path.read_text() for path in COMPOSE.glob("*.py")},
        "config/service.conf": "shared by all tags\n",
        **{f"{name}/{name}.conf": "shared by all tags\n" for name in live},
        **{f"database/{path.name}": path.read_text() for path in COMPOSE.glob(f"{tier}/database/*.sql")},
        **{f"{path.parent.name}/health.py": path.read_text() for path in COMPOSE.glob(f"{tier}/*/health.py")},
        **(extra or {}),
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in sorted(content.items()):
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            member.mode = 0o644
            archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def digest_of(tar: bytes) -> str:
    return hashlib.sha256(tar).hexdigest()


class Droplet:
    """One tier on a made-up droplet."""

    def __init__(self, directory: Path, tier: str) -> None:
        self.tier = tier
        self.directory = directory
        self.paths = tier_files.Paths(directory / "opt", directory / "units")
        self.volume = directory / "data"
        self.home = self.paths.root / tier
        self.bin = directory / "bin"
        for made in (self.bin, self.paths.units, self.volume):
            made.mkdir()
        for name in ("docker", "systemctl"):
            (self.bin / name).write_text(STAND_IN.format(python=sys.executable))
            (self.bin / name).chmod(0o755)
        profiles = {"migrate": {"image": "registry.example/app:1", "profiles": ["migrate"]}} if tier == "infra" else {}
        services = {name: {"image": f"registry.example/{name}:1"} for name in SERVICES[tier]} | profiles
        self.answers: list[dict[str, Any]] = [
            {"pattern": "config --format json", "stdout": json.dumps({"services": services})},
            {"pattern": "ps -a --format json", "stdout": self.ps()},
            {"pattern": "ps -a -q", "stdout": "0123456789ab\n"},
        ]
        self.answer("nothing matches this")

    def ps(self, **states: tuple[str, str]) -> str:
        """What `docker compose ps` prints; services not named are healthy."""
        rows = [(name, *states.get(name, ("running", "healthy"))) for name in SERVICES[self.tier]]
        return "".join(json.dumps({"Service": n, "State": s, "Health": h}) + "\n" for n, s, h in rows)

    def answer(self, pattern: str, *, rc: int = 0, stdout: str = "", stderr: str = "", times: int = FOR_EVER) -> None:
        """From now on calls that match answer so; the newest rule wins."""
        self.answers.insert(0, {"pattern": pattern, "rc": rc, "stdout": stdout, "stderr": stderr, "times": times})
        whole = [{"rc": 0, "stderr": "", "times": FOR_EVER, "sleep": 0, **answer} for answer in self.answers]
        (self.bin / "answers.json").write_text(json.dumps(whole))

    def heal(self) -> None:
        """Forgets all rules but the first three."""
        del self.answers[:-3]
        self.answer("nothing matches this")

    def activation(
        self, tar: bytes, password: str = PASSWORD, address: str = "127.0.0.1", **changes: Any
    ) -> tuple[str, ...]:
        """The arguments that the bootstrap calls release.py with, when it has unpacked the bundle."""
        secret = {"content": f"PASSWORD='{password}'\n", "uid": os.getuid(), "gid": os.getgid()}
        payload = {
            "hosts": {"INFRA_ADDRESS": "10.20.0.2", "PRIVATE_ADDRESS": address},
            "secrets": {
                "app.env": secret,
                "origin.key": {**secret, "content": "a key\n"},
                "database_logins.json": {**secret, "content": "[]"},
            },
            **changes,
        }
        unpacked, file = self.directory / "unpacked", self.directory / "payload.json"
        shutil.rmtree(unpacked, ignore_errors=True)
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            archive.extractall(unpacked, filter="data")
        file.write_text(json.dumps(payload))
        return ("activate", self.tier, digest_of(tar), "--bundle", str(unpacked), "--payload", str(file))

    def bundle(self, tag: str = "1", extra: Mapping[str, str] | None = None) -> bytes:
        return bundle(self.tier, tag, extra, self.volume if self.tier == "infra" else None)

    def digest(self, tag: str) -> str:
        return digest_of(self.bundle(tag))

    def activate(self, tag: str = "1", *, extra: Mapping[str, str] | None = None, **payload: Any) -> int:
        return self.run(*self.activation(self.bundle(tag, extra), **payload))

    def run(self, *argv: str) -> int:
        code: int = release.main(argv, self.paths)
        return code

    def calls(self) -> list[str]:
        """The calls since the last question: program and arguments, compose's own options left out."""
        log = self.bin / "calls"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        texts = [" ".join(json.loads(line)) for line in lines]
        return [
            re.sub(r"--ansi never -p (\w+) --project-directory \S*/(\w{8})\w* .*?compose.yaml", r"\1@\2", text)
            for text in texts
        ]

    def steps(self) -> list[str]:
        """The calls that change something."""
        looking = re.compile(r" (config|ps|logs|inspect|image inspect|top) |-trial\b")
        return [call for call in self.calls() if not looking.search(call)]

    def state(self) -> list[dict[str, str]]:
        releases: list[dict[str, str]] = json.loads((self.home / "state.json").read_text())["releases"]
        return releases

    def variables(self) -> dict[str, str]:
        lines = (self.home / "hosts.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def tree(self) -> dict[str, tuple[int, bytes]]:
        """Everything under /opt and the units: modification time and content, the lock's holder line apart."""
        found = {}
        for root in (self.paths.root, self.paths.units):
            for path in sorted(root.rglob("*")):
                if path.is_file() and not path.is_symlink() and path.name != "lock":
                    found[str(path)] = (path.stat().st_mtime_ns, path.read_bytes())
        return found


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def make_droplet(directory: Path, tier: str, monkeypatch: pytest.MonkeyPatch) -> Droplet:
    droplet = Droplet(directory, tier)
    monkeypatch.setenv("PATH", f"{droplet.bin}:{os.environ['PATH']}")
    monkeypatch.setattr(host_checks, "ADDRESS_WAIT", 0.2)
    monkeypatch.setattr(release, "LOCK_WAIT", 0.3)
    monkeypatch.setattr(containers, "RECOVERY_WAIT", 3)
    return droplet


def kind(step: str) -> str:
    """A step without its options."""
    words = [word for word in step.split() if not word.startswith("-")]
    return " ".join(words[2:4] if words[1] == "compose" else words[:3])
