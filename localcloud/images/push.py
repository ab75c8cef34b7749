"""Bring the images into the registry's storage, through a registry that lives for the length of the push.

The storage is a directory of the cache, shared by all local clouds of the machine: each cloud's own registry mounts it
read-only. What a directory listing shows to be there is not pushed again, and then no registry is started at all.
"""

from __future__ import annotations

import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from localcloud.backend import CloudError
from localcloud.images.process import run, succeeds

REGISTRY = "registry.localcloud.internal:80"
"""The registry as the droplets know it."""
START_TIMEOUT_S = 20.0
LABEL = "basecommerce.kind=registry-push"


def tag_link(storage: Path, repository: str, tag: str) -> Path:
    """Name the file that the registry writes last when a tag is pushed. Source: distribution's `paths.go`."""
    return storage / "docker/registry/v2/repositories" / repository / "_manifests/tags" / tag / "current/link"


def push_missing(
    storage: Path, reference: Callable[[str], str], published: Mapping[str, str], progress: Callable[[str], None]
) -> None:
    """Push each `published` (repository -> tag) that the storage lacks. Raises CloudError."""
    missing = {name: tag for name, tag in published.items() if not tag_link(storage, name, tag).is_file()}
    if not missing:
        return
    storage.mkdir(parents=True, exist_ok=True)
    with _registry(storage, reference("registry")) as address:
        for name, tag in missing.items():
            started = time.monotonic()
            target = f"{address}/{name}:{tag}"
            run(["docker", "tag", reference(name), target])
            try:
                run(["docker", "push", "--quiet", target])
            finally:
                succeeds(["docker", "image", "rm", target])  # the name only; the image keeps its other one
            progress(f"{name}: in the registry after {time.monotonic() - started:.0f} s")


@contextmanager
def _registry(storage: Path, image: str) -> Iterator[str]:
    """Run a writable registry on loopback, which the engine trusts without TLS, at a port that the kernel chooses."""
    _remove_leftovers()
    container = run(
        [
            *("docker", "run", "--detach", "--rm", "--label", LABEL, "--publish", "127.0.0.1::80"),
            # Files belong to whoever owns the cache.
            *("--user", f"{os.getuid()}:{os.getgid()}", "--cap-drop", "ALL", "--read-only"),
            *("--volume", f"{storage}:/var/lib/registry", image, "/etc/docker/registry/writable.yml"),
        ]
    ).strip()
    try:
        address = run(["docker", "port", container, "80/tcp"]).split()[0]
        _wait(address)
        yield address
    finally:
        succeeds(["docker", "rm", "--force", container])


def _remove_leftovers() -> None:
    """Remove the registry of a build that was killed. The caller holds the lock, so it is nobody's."""
    for container in run(["docker", "ps", "--all", "--quiet", "--filter", f"label={LABEL}"]).split():
        succeeds(["docker", "rm", "--force", container])


def _wait(address: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            with urllib.request.urlopen(f"http://{address}/v2/", timeout=2):
                return
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > deadline:
                raise CloudError(f"registry on {address}: no answer within {START_TIMEOUT_S:.0f} s: {error}") from error
            time.sleep(0.1)
