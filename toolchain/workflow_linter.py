"""Find actionlint, or build it from its Go module in `toolchain/actionlint/`.

It has a module of its own: an edit of it must not build the Pulumi CLI anew, and the other way round.
"""

from __future__ import annotations

from pathlib import Path

from toolchain.building import Progress, ToolchainError, cache_directory, go_build, lock, module_recipe

MODULE = Path(__file__).resolve().parent / "actionlint"
VERSION = "1.7.12"
"""As in versions.yaml."""
PACKAGE = "github.com/rhysd/actionlint/cmd/actionlint"
LDFLAGS = "-s -w"
BUILD_TIMEOUT_S = 600.0
"""A cold build takes 11 s on two cores, and the download of a Go compiler where there is none."""


def ensure_actionlint(progress: Progress) -> Path:
    """Return the path of actionlint, building it if need be. Raises ToolchainError."""
    target = cache_directory() / "actionlint" / module_recipe(MODULE, LDFLAGS) / "actionlint"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with lock(target.parent / ".lock", "actionlint", progress):
        if not target.exists():
            progress(f"building actionlint {VERSION} from its Go module (once)")
            try:
                go_build(target, progress, module=MODULE, package=PACKAGE, flags=LDFLAGS, limit_s=BUILD_TIMEOUT_S)
            except ToolchainError as error:
                raise ToolchainError(
                    f"toolchain: actionlint: go build: {error}\nhint: make a Go module proxy reachable, and run again"
                ) from error
    return target
