"""A clone of the tracked files that a test may spoil, and basec run in it as people run it, with a pinned width."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from basec import environments, main
from basec.io.console import stderr
from localcloud.allocate import allocate
from localcloud.config import Mode

REPOSITORY = Path(__file__).resolve().parents[2]
DRY_NAME = "local-dry"
TRACKED = (
    "inventory.yaml",
    "versions.yaml",
    "Pulumi.yaml",
    "Pulumi.local.yaml",
    "Pulumi.staging.yaml",
    "Pulumi.production.yaml",
)
DATA = ("compose", "cloud-init")
PROGRAM = ("basec", "components", "localcloud", "policy", "topology", "toolchain")


def copy_program(root: Path) -> None:
    """Copy what the engine and the policy pack need to the root of a clone; what is there stays."""
    for name in (*TRACKED, "__main__.py", "requirements.txt"):
        shutil.copy2(REPOSITORY / name, root)
    compiled = shutil.ignore_patterns("__pycache__")
    for room in DATA:
        shutil.copytree(REPOSITORY / room, root / room, ignore=compiled, dirs_exist_ok=True)
    for room in PROGRAM:  # what is compiled as well: else each of the engine's plugins would compile it anew
        shutil.copytree(REPOSITORY / room, root / room, dirs_exist_ok=True)


@dataclass(frozen=True)
class Outcome:
    """How one command line ended."""

    code: int
    stdout: str
    stderr: str


Run = Callable[..., Outcome]


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository root of the test's own."""
    root = tmp_path / "clone"
    root.mkdir()
    for name in TRACKED:
        shutil.copy2(REPOSITORY / name, root / name)
    for name in DATA:
        shutil.copytree(REPOSITORY / name, root / name)
    monkeypatch.setattr(environments.resolve, "__defaults__", (root,))
    monkeypatch.setattr(environments.known_names, "__defaults__", (root,))
    monkeypatch.setattr(environments.seen_names, "__defaults__", (root,))
    monkeypatch.setenv("BASECOMMERCE_CACHE", str(tmp_path / "cache"))
    for name in (
        "BASEC_ENV",
        "LOCAL_HTTP_PORT",
        "LOCAL_HTTPS_PORT",
        "LOCAL_TENANTS",
        "PULUMI_CONFIG_PASSPHRASE",
        "PULUMI_CONFIG_PASSPHRASE_FILE",
    ):
        monkeypatch.delenv(name, raising=False)
    return root


@pytest.fixture
def dry_stack(clone: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a clone that holds the program and all rooms, with a stack `local-dry` without machines, to initialise."""
    if not os.environ.get("BASECOMMERCE_PULUMI"):
        pytest.skip("no Pulumi CLI: set BASECOMMERCE_PULUMI to what `python -m toolchain` prints")
    copy_program(clone)
    allocate(directory=clone / ".local" / DRY_NAME, name=DRY_NAME, mode=Mode.DRY, cache=clone / "cache", http_port=None)
    monkeypatch.setenv("PYTHONPATH", str(clone))
    monkeypatch.setenv("NO_COLOR", "1")
    return clone


@pytest.fixture
def basec(clone: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command line of basec and answer code and output."""
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments: str) -> Outcome:
        stderr.cache_clear()
        capfd.readouterr()
        code = main.invoke(list(arguments))
        out, err = capfd.readouterr()
        return Outcome(code, out, err)

    return run
