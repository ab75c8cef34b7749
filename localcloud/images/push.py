"""Push the images into the registry's storage, through a registry that runs only during the push.

The storage is a directory of the cache, shared by all local clouds of the machine: each cloud's own registry mounts it
read-only. What is already in the directory is not pushed again; if nothing is missing, no registry is started.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from localcloud.errors import NO_DOCUMENT, CloudError
from localcloud.images.process import run, succeeds
from localcloud.naming import NAMESPACE

REGISTRY = "registry.localcloud.internal:80"
"""The registry as the droplets know it."""
START_TIMEOUT_S = 20.0
LABEL = f"{NAMESPACE}.kind=registry-push"


def tag_link(storage: Path, repository: str, tag: str) -> Path:
    """Return the file that the registry writes last when a tag is pushed. Source: distribution's `paths.go`."""
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
            _push(reference(name), f"{address}/{name}:{tag}")
            progress(f"{name}: in the registry after {time.monotonic() - started:.0f} s")


def push(storage: Path, registry_image: str, image: str) -> str:
    """Put an image into the storage under its own last name and tag; return its name for droplets. Safe to repeat.

    Raises CloudError if the engine does not have it, or the registry has another one by that name: a droplet never
    pulls the same name twice, so it would keep the old one.
    """
    repository, _, tag = image.rpartition("/")[2].partition(":")
    if not tag or tag == "latest":
        raise CloudError(f"images: {image}: has no fixed tag\nhint: docker tag {image} {repository}:dev-1")
    try:
        identity = run(["docker", "image", "inspect", "--format", "{{.Id}}", image]).strip()
    except CloudError:
        raise CloudError(f"images: {image}: not on this machine\nhint: docker build --tag {image} .") from None
    there = _identities(storage, repository, tag)
    if there and identity not in there:
        raise CloudError(
            f"images: {repository}:{tag}: the registry has another image by this name\n"
            f"hint: give yours a new tag: docker tag {image} {repository}:{tag}-2"
        )
    if not there:
        storage.mkdir(parents=True, exist_ok=True)
        with _registry(storage, registry_image) as address:
            _push(image, f"{address}/{repository}:{tag}")
    return f"{REGISTRY}/{repository}:{tag}"


def reference_link(storage: Path, reference: str) -> Path:
    """Return the file that exists if the registry has a reference: its digest's, otherwise its tag's."""
    name, _, digest = reference.partition("@")
    repository, _, tag = name.partition(":")
    if not digest:
        return tag_link(storage, repository, tag)
    revisions = storage / "docker/registry/v2/repositories" / repository / "_manifests/revisions"
    return revisions / digest.replace(":", "/") / "link"


def missing_from(storage: Path, references: Iterable[str]) -> list[str]:
    """List those names of our registry that the storage does not have; other registries are not asked."""
    ours = [name.removeprefix(f"{REGISTRY}/") for name in references if name.startswith(f"{REGISTRY}/")]
    return [name for name in ours if not reference_link(storage, name).is_file()]


def _push(image: str, target: str) -> None:
    run(["docker", "tag", image, target])
    try:
        run(["docker", "push", "--quiet", target])
    finally:
        succeeds(["docker", "image", "rm", target])  # the name only; the image keeps its other one


def _identities(storage: Path, repository: str, tag: str) -> set[str]:
    """Return an engine's possible ids of a tag's image: its manifest's or configuration's digest; none if absent."""
    link = tag_link(storage, repository, tag)
    if not link.is_file():
        return set()
    manifest = link.read_text(errors="replace").strip()
    blob = storage / "docker/registry/v2/blobs" / manifest.replace(":", f"/{manifest.partition(':')[2][:2]}/") / "data"
    try:
        return {manifest, str(json.loads(blob.read_bytes()).get("config", {}).get("digest"))}
    except (OSError, *NO_DOCUMENT):  # damaged: treated as missing, and pushed again
        return set()


@contextmanager
def _registry(storage: Path, image: str) -> Iterator[str]:
    """Yield a writable registry on loopback, which the engine trusts without TLS, at a port chosen by the kernel."""
    _remove_leftovers()
    container = run(
        [
            *("docker", "run", "--detach", "--rm", "--label", LABEL, "--publish", "127.0.0.1::80"),
            # Files get the owner of the cache.
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
    """Remove the registry of a killed build. The caller holds the lock, so nobody uses it."""
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
