"""A clean clone with staging and production as they are tracked, and dry providers in the place of real ones.

Nothing is rendered: `basec` and `pulumi` run in the clone's own root as on an operator's machine. The engine finds the
dry providers on PATH, where it would find real ones that were installed by hand.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from localcloud.allocate import allocate
from localcloud.config import Mode
from tests.cli.conftest import Outcome, copy_program

TOKENS = {"DIGITALOCEAN_TOKEN": "dop_v1_" + "0f" * 32, "CLOUDFLARE_API_TOKEN": "not-a-token-" + "x" * 28}
DEFAULT_STATE = "file://~/.local/state/basecommerce"
PROVIDERS = ("digitalocean", "cloudflare", "command")


@dataclass
class Clone:
    """One clone of one user; `home` stands for what that user has outside of it."""

    root: Path
    home: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "AWS_"))}
        return {
            **kept,
            "HOME": str(self.home),
            "PULUMI_HOME": str(self.home / ".pulumi"),
            "PATH": f"{self.home / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.root),
            "NO_COLOR": "1",
            "COLUMNS": "160",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "AWS_ACCESS_KEY_ID": "a-key-of-a-test",
            "AWS_SECRET_ACCESS_KEY": "a-secret-of-a-test",
            **self.variables,
        }

    @property
    def state(self) -> Path:
        return self.home / "state"

    @property
    def passphrase_file(self) -> Path:
        return self.passphrase_of("staging")

    def passphrase_of(self, environment: str) -> Path:
        return self.home / f".config/basecommerce/{environment}.passphrase"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "basec", *arguments],
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def basec(self, *arguments: str) -> Outcome:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=300)
        return Outcome(process.returncode, out, err)

    def pulumi(self, *arguments: str, passphrase: Path | None = None) -> Outcome:
        binary = os.environ["BASECOMMERCE_PULUMI"]
        done = subprocess.run(
            [binary, "--non-interactive", *arguments],
            cwd=self.root,
            env={**self.environment, "PULUMI_CONFIG_PASSPHRASE_FILE": str(passphrase or self.passphrase_file)},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def second(self, root: Path) -> Clone:
        """Return another clone of the same user."""
        shutil.copytree(self.root, root, symlinks=True, ignore=shutil.ignore_patterns(".basec"))
        return Clone(root, self.home, dict(self.variables))

    @contextmanager
    def busy(self) -> Iterator[subprocess.Popen[str]]:
        """Run `up` and stop it in the middle of its first resource; it goes on when the block ends."""
        cloud = self.home / "cloud/cloud"
        hit = cloud / "fault.hit"
        hit.unlink(missing_ok=True)
        fault = {"when": "after", "op": "create", "name": "network-vpc", "seconds": 120}
        (cloud / "faults.json").write_text(json.dumps([fault]))
        with self.start("up", "--env", "staging", "--yes") as process:
            try:
                deadline = time.monotonic() + 120
                while not hit.exists():
                    assert process.poll() is None, process.communicate()[1]
                    assert time.monotonic() < deadline, "`up` never came to its first resource"
                    time.sleep(0.05)
                (cloud / "faults.json").unlink()
                yield process
            finally:
                process.kill()


def make(directory: Path) -> Clone:
    """Make the clone; its state is moved from the home of the account, where HOME is not asked, into `directory`."""
    root, home = directory / "clone", directory / "home"
    root.mkdir()
    copy_program(root)
    (root / ".venv").symlink_to(Path(sys.prefix))
    project = root / "Pulumi.yaml"
    text = project.read_text()
    assert DEFAULT_STATE in text
    project.write_text(text.replace(DEFAULT_STATE, f"file://{home / 'state'}"))
    (home / "bin").mkdir(parents=True)
    allocate(directory=home / "cloud", name="dry", mode=Mode.DRY, cache=directory / "cache", http_port=None)
    for name in PROVIDERS:
        variables = f"LOCALCLOUD_CONFIG={home / 'cloud/cloud.json'} PYTHONPATH={root}"
        _program(home / f"bin/pulumi-resource-{name}", f"{variables} exec {sys.executable} -m localcloud.plugin {name}")
    no_ssh(home / "bin")
    return Clone(root, home)


def no_ssh(directory: Path) -> None:
    """Put an ssh there that reaches no host, and an agent that needs no key: a dry cloud has no machines."""
    for name, code in (("ssh", 255), ("ssh-add", 0)):
        _program(directory / name, f"exit {code} #")


def _program(path: Path, command: str) -> None:
    path.write_text(f'#!/bin/sh\n{command} "$@"\n')
    path.chmod(0o755)
