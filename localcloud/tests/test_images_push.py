"""A user's own image in the registry of local stacks: by its own name, and never two by the same."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from localcloud.__main__ import main
from localcloud.errors import CloudError
from localcloud.images import push as pushing
from localcloud.images.push import missing_from, push, tag_link

MANIFEST, IDENTITY = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
REGISTRY = "registry.localcloud.internal:80"


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """A registry's storage with auth:dev-1, as distribution lays it out."""
    blob = tmp_path / "docker/registry/v2/blobs/sha256/aa" / ("a" * 64) / "data"
    blob.parent.mkdir(parents=True)
    blob.write_text(json.dumps({"config": {"digest": IDENTITY}}))
    link = tag_link(tmp_path, "auth", "dev-1")
    link.parent.mkdir(parents=True)
    link.write_text(MANIFEST)
    return tmp_path


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was pushed, on a machine whose engine has one image under every name."""
    told: list[str] = []

    def run(argv: Sequence[str]) -> str:
        if argv[1] == "push":
            told.append(argv[-1])
        return IDENTITY

    @contextmanager
    def registry(_storage: Path, _image: str) -> Iterator[str]:
        yield "127.0.0.1:1"

    monkeypatch.setattr(pushing, "run", run)
    monkeypatch.setattr(pushing, "succeeds", lambda _argv: True)
    monkeypatch.setattr(pushing, "_registry", registry)
    return told


@pytest.mark.parametrize("image", ["auth:dev-2", "ghcr.io/somebody/auth:dev-2", "127.0.0.1:5000/auth:dev-2"])
def test_an_image_keeps_its_last_name_and_its_tag(storage: Path, pushed: list[str], image: str) -> None:
    assert push(storage, "registry", image) == f"{REGISTRY}/auth:dev-2"
    assert pushed == ["127.0.0.1:1/auth:dev-2"]


@pytest.mark.parametrize("known_as", [IDENTITY, MANIFEST])
def test_the_same_image_again_is_not_pushed(
    storage: Path, pushed: list[str], monkeypatch: pytest.MonkeyPatch, known_as: str
) -> None:
    monkeypatch.setattr(pushing, "run", lambda _argv: known_as)
    assert push(storage, "registry", "auth:dev-1") == f"{REGISTRY}/auth:dev-1"
    assert pushed == []


def test_another_image_by_the_same_name_is_refused(
    storage: Path, pushed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushing, "run", lambda _argv: f"sha256:{'c' * 64}")
    with pytest.raises(CloudError, match=r"auth:dev-1: the registry has another image .*\nhint: .*auth:dev-1-2"):
        push(storage, "registry", "auth:dev-1")
    assert pushed == []


@pytest.mark.parametrize("image", ["auth", "auth:latest", "127.0.0.1:5000/auth"])
def test_a_tag_that_moves_is_refused(storage: Path, pushed: list[str], image: str) -> None:
    with pytest.raises(CloudError, match="has no fixed tag\nhint: docker tag"):
        push(storage, "registry", image)
    assert pushed == []


def test_other_registries_are_not_asked_for_what_is_missing(storage: Path) -> None:
    names = [f"{REGISTRY}/auth:dev-1", f"{REGISTRY}/auth:dev-2", "docker.io/library/nginx:1.28.3"]
    assert missing_from(storage, names) == ["auth:dev-2"]


def test_a_digest_of_our_registry_is_looked_up_with_and_without_its_tag(storage: Path) -> None:
    repository = storage / "docker/registry/v2/repositories/auth/_manifests"
    link = repository / "revisions/sha256" / ("a" * 64) / "link"
    link.parent.mkdir(parents=True)
    link.write_text(f"sha256:{'a' * 64}")
    known, unknown = (f"{REGISTRY}/auth:dev-9@sha256:{letter * 64}" for letter in "ab")
    assert missing_from(storage, [known, known.replace(":dev-9", ""), unknown]) == [
        unknown.removeprefix(f"{REGISTRY}/")
    ]


def test_a_missing_image_is_told_with_the_command_that_brings_it(
    storage: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCALCLOUD_CACHE", str(storage.parent))
    storage.rename(storage.parent / "registry")
    assert main(["has", f"{REGISTRY}/auth:dev-2"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "error: local cloud: images: auth:dev-2: not in the registry of local stacks",
        "hint: basec images push auth:dev-2",
    ]
