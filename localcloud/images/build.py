"""Build the images of the local cloud, only missing ones.

    base ── droplet, postgres, redis, haproxy, registry
         ├─ nginx ── cloudflare
         └─ the caller's applications: a folder with `images.json` (README.md describes it)

Each image is a folder with a thin Dockerfile, named on this machine `localcloud/<image>:<recipe>`. The recipe hashes
the folder, the parent's recipe and the application's sources, so an image with the right name is the right image and a
build that was interrupted is simply done again. Source of the classic builder's protocol (a tar on standard input):
https://docs.docker.com/reference/cli/docker/image/build/
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from localcloud.errors import NO_DOCUMENT, CloudError, damaged
from localcloud.images.process import run, succeeds
from localcloud.images.push import REGISTRY, push, push_missing
from localcloud.images.recipe import Files, context, digest, folder_files
from localcloud.images.rootfs import Rootfs, import_command, make_tar
from localcloud.naming import NAMESPACE

Progress = Callable[[str], None]

IMAGES = Path(__file__).parent
REFERENCE = "reference"
"""The version of the applications in their own folders."""
INDEX, COMMON, VERSIONS = "images.json", "common", "versions"
"""Of a folder of applications: each one's parent, what all get, and later versions, with only their differences."""
LABEL = f"{NAMESPACE}.image"
"""A label on every image of ours, with the image's name. Nothing without it is ever removed."""
PARALLEL_BUILDS = 2
"""Package installation is half network, half disk: two at a time use both, more only wait."""


@dataclass(frozen=True)
class Image:
    """One image: its folder's name, its parent, and whether droplets pull it."""

    name: str
    parent: str = "base"
    application: bool = False
    """Built from an application's sources: it has them in `app/`, and what all applications share in `common/`."""
    published: bool = True
    """Pushed to the registry. What only this machine's engine runs (droplet, registry, ...) is not."""


OWN_IMAGES = {
    image.name: image
    for image in (
        Image("droplet", published=False),
        Image("postgres"),
        Image("redis"),
        Image("nginx"),
        Image("haproxy"),
        Image("registry", published=False),
        Image("cloudflare", parent="nginx", published=False),
    )
}


@dataclass(frozen=True)
class ImageSet:
    """The result of a build: where the droplets pull from, and the tags."""

    registry: str
    tag: str
    """Of all applications."""
    services: Mapping[str, str]
    """Service -> full reference, as the droplets pull it."""
    references: tuple[str, ...]
    """All that is in the registry now, with the applications."""
    droplet_image: str
    """On this machine; never pulled."""

    def as_json(self) -> dict[str, object]:
        """Return what `python -m localcloud images` prints."""
        services, references = dict(self.services), list(self.references)
        return {"registry": self.registry, "tag": self.tag, "services": services, "references": references}


class Recipes:
    """The recipes of all images on this machine, from these folders, for one version of the applications."""

    def __init__(
        self, rootfs: Rootfs, applications: Path | None = None, version: str = REFERENCE, images: Path = IMAGES
    ) -> None:
        """Raises CloudError if the folder of applications has no index of its images."""
        self.rootfs = rootfs
        self._applications = applications
        self._version = version
        self._images = images
        self.table = {**OWN_IMAGES, **_listed(applications)}
        """All images by name, parents before their children."""

    def files(self, image: Image) -> Files:
        """Read the build context: the image's folder; of an application its Dockerfile, `app/` and `common/`."""
        if self._applications is None or image.name in OWN_IMAGES:
            return folder_files(self._images / image.name)
        own = folder_files(self._applications / image.name)
        if not image.application:
            return own
        return {
            "Dockerfile": own["Dockerfile"],
            **{f"app/{name}": file for name, file in own.items() if name != "Dockerfile"},
            **folder_files(self._applications / COMMON, "common/"),
            **folder_files(self._applications / VERSIONS / self._version / image.name, "app/"),
        }

    def of_version(self, version: str) -> Recipes:
        """Return the recipes for another version of the applications."""
        return Recipes(self.rootfs, self._applications, version, self._images)

    def recipe(self, name: str) -> str:
        return self._recipes[name]

    def reference(self, name: str) -> str:
        """Return the name of an image on this machine."""
        return f"localcloud/{name}:{self._recipes[name]}"

    @property
    def application_tag(self) -> str:
        """One tag for all applications, like the real ones of one commit."""
        names = [image.name for image in self.table.values() if image.application]
        return f"{self._version}-" + digest({}, *(self._recipes[name] for name in names))

    @cached_property
    def _recipes(self) -> dict[str, str]:
        recipes = {"base": self.rootfs.recipe}
        for image in self.table.values():
            recipes[image.name] = digest(self.files(image), image.name, recipes[image.parent])
        return recipes


def _listed(applications: Path | None) -> dict[str, Image]:
    """Read the index of a folder of applications. Droplets do not pull an image that is a parent of others."""
    if applications is None:
        return {}
    path = applications / INDEX
    try:
        parents = dict(json.loads(path.read_text()).items())
    except (OSError, *NO_DOCUMENT) as error:
        raise damaged(path, error, "an object of names: each image, and its parent image") from None
    below = set(parents.values())
    return {
        name: Image(name, parent=parent, application=name not in below, published=name not in below)
        for name, parent in parents.items()
    }


def versions(applications: Path | None) -> list[str]:
    """List the versions of the applications, the oldest first; none without a folder of applications."""
    if applications is None:
        return []
    return [REFERENCE, *sorted(folder.name for folder in (applications / VERSIONS).glob("*/"))]


def machine_recipes(applications: Path | None = None, version: str = REFERENCE) -> Recipes:
    """Compute the recipes on this machine, without a build."""
    return Recipes(Rootfs.of_this_machine(), applications, version)


def build_all(cache: Path, progress: Progress, applications: Path | None = None, tag: str = REFERENCE) -> ImageSet:
    """Build and push what is missing; remove the images of old recipes. Raises CloudError.

    `tag` is a version of the applications. With any other tag they are the caller's own images, from `push`, and
    none of them is built.
    """
    own = tag not in versions(applications)
    recipes = machine_recipes(None if own else applications, REFERENCE if own else tag)
    wanted = recipes.table
    builder = _Builder(recipes, cache, progress, versions(applications))
    builder.build("base")
    with ThreadPoolExecutor(PARALLEL_BUILDS) as pool:
        # Waves: a child starts when every image of the wave before is there.
        for wave in _waves(wanted):
            list(pool.map(builder.build, wave))
    published = {
        image.name: (recipes.application_tag if image.application else recipes.recipe(image.name))
        for image in wanted.values()
        if image.published
    }
    with _lock(cache, "registry", progress):
        push_missing(cache / "registry", recipes.reference, published, progress)
    references = {name: f"{REGISTRY}/{name}:{tag}" for name, tag in published.items()}
    services = {name: reference for name, reference in references.items() if not wanted[name].application}
    return ImageSet(
        registry=REGISTRY,
        tag=tag if own else recipes.application_tag,
        services=services,
        references=tuple(references.values()),
        droplet_image=recipes.reference("droplet"),
    )


def push_own(image: str, cache: Path, progress: Progress) -> str:
    """Put an image of this machine's engine into the registry; return its name there. Raises CloudError."""
    registry = build_image("registry", cache, progress)
    with _lock(cache, "registry", progress):
        return push(cache / "registry", registry, image)


def build_image(name: str, cache: Path, progress: Progress) -> str:
    """Build one image of the cloud's own and its parents; return its name on this machine."""
    builder = _Builder(machine_recipes(), cache, progress)
    for ancestor in _lineage(name, builder.recipes.table):
        builder.build(ancestor)
    return builder.recipes.reference(name)


def droplet_image(cache: Path, progress: Progress = lambda _: None) -> str:
    """Return the name of the droplet image, built if it is missing."""
    return build_image("droplet", cache, progress)


class _Builder:
    def __init__(self, recipes: Recipes, cache: Path, progress: Progress, versions: Sequence[str] = ()) -> None:
        """`versions` are those of the applications whose images stay on the machine."""
        self.recipes = recipes
        self._kept = [recipes, *map(recipes.of_version, versions)]
        self._cache = cache
        self._progress = progress

    def build(self, name: str) -> None:
        """Build one image whose parent exists, unless it exists already."""
        reference = self.recipes.reference(name)
        if _exists(reference):
            return
        with _lock(self._cache, name, self._progress):
            if _exists(reference):  # another process has just built it
                return
            started = time.monotonic()
            if name == "base":
                self._import_base(reference)
            else:
                self._docker_build(self.recipes.table[name], reference)
            self._progress(f"{name}: built in {time.monotonic() - started:.0f} s")
            _remove_other_recipes(name, {recipes.reference(name) for recipes in self._kept})

    def _import_base(self, reference: str) -> None:
        tar = make_tar(self.recipes.rootfs, self._cache, self._progress)
        run(import_command(tar, reference, [f"{LABEL}=base"]))

    def _docker_build(self, image: Image, reference: str) -> None:
        self._progress(f"{image.name}: building")
        argv = ["docker", "build", "--quiet", "--force-rm", "--tag", reference, "--label", f"{LABEL}={image.name}"]
        argv += ["--build-arg", f"BASE={self.recipes.reference(image.parent)}"]
        # The machine's own network: only its own resolver may know the mirror, or the mirror listens on loopback.
        argv += ["--network", "host", "-"]
        # The classic builder, which every engine has; BuildKit's client is a separate package on Debian.
        try:
            run(argv, stdin=context(self.recipes.files(image)), environment={"DOCKER_BUILDKIT": "0"})
        except CloudError as error:
            raise CloudError(f"images: {image.name}: build failed: {error}") from error


def _waves(images: Mapping[str, Image]) -> Iterator[list[str]]:
    done = {"base"}
    while rest := [image for image in images.values() if image.name not in done]:
        wave = [image.name for image in rest if image.parent in done]
        yield wave
        done.update(wave)


def _lineage(name: str, table: Mapping[str, Image]) -> list[str]:
    """List an image and its ancestors, the oldest first."""
    if name == "base":
        return ["base"]
    return [*_lineage(table[name].parent, table), name]


def _exists(reference: str) -> bool:
    return succeeds(["docker", "image", "inspect", reference])


def _remove_other_recipes(name: str, keep: set[str]) -> None:
    """Untag the older recipes of an image. The engine keeps what a container or a newer image still uses."""
    listed = run(["docker", "image", "ls", "--filter", f"label={LABEL}={name}", "--format", "{{.Repository}}:{{.Tag}}"])
    for reference in listed.split():
        if reference.startswith(f"localcloud/{name}:") and reference not in keep:
            succeeds(["docker", "image", "rm", reference])


@contextmanager
def _lock(cache: Path, name: str, progress: Progress) -> Iterator[None]:
    """Let one process at a time build an image: two builds of the same one would only be slower."""
    folder = cache / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(f"{name}: waiting for another process that builds it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
