"""Which images a local stack runs: the built ones, or those that its template asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from basec.environments import Environment
from basec.io import programs
from basec.local.cloud import LocalCloud
from basec.local.images import kept_images, require_images
from basec.local.rendering import settings_of
from basec.session import Session
from localcloud.allocate import allocate
from localcloud.config import Mode
from tests.cli.conftest import Run
from topology.errors import ExitCode
from topology.names import LOCAL_TEMPLATE
from topology.project import load_project
from topology.settings import OPTIONAL_SECRET_KEYS, SECRET_KEYS

REGISTRY = "registry.localcloud.internal:80"
APPLICATIONS = ("auth", "construction", "outbox-relay", "engines-worker")
BUILT = {
    "for": "reference",
    "registry": REGISTRY,
    "tag": "reference-0123456789ab",
    "services": {name: f"{REGISTRY}/{name}:0123456789ab" for name in ("postgres", "redis", "nginx", "haproxy")},
    "references": [
        *(f"{REGISTRY}/{name}:0123456789ab" for name in ("postgres", "redis", "nginx", "haproxy")),
        *(f"{REGISTRY}/{name}:reference-0123456789ab" for name in APPLICATIONS),
    ],
}
OWN = f"{REGISTRY}/outbox-relay:own-1"


@pytest.fixture
def environment(clone: Path) -> Environment:
    found = Environment(name="local", root=clone)
    allocate(directory=found.work_dir, name="local", mode=Mode.REAL, cache=clone / "cache", http_port=None)
    return found


def images(environment: Environment, *edits: tuple[str, str]) -> dict[str, Any]:
    template = environment.root / LOCAL_TEMPLATE
    for old, new in edits:
        assert old in template.read_text()
        template.write_text(template.read_text().replace(old, new))
    cloud = LocalCloud.load(environment)
    found: dict[str, Any] = settings_of(Session(environment).template, cloud, BUILT)["images"]
    return found


def test_the_reference_applications_have_the_tag_that_was_built(environment: Environment) -> None:
    assert images(environment) == {key: BUILT[key] for key in ("registry", "tag", "services")}


@pytest.mark.parametrize("tag", ["sha-0ab12cd", "reference-v2"])
def test_a_tag_that_was_edited_is_not_ignored(environment: Environment, tag: str) -> None:
    assert images(environment, ("tag: reference", f"tag: {tag}"))["tag"] == tag


def test_a_service_of_the_template_wins_over_the_built_one(environment: Environment) -> None:
    nginx = f"{REGISTRY}/nginx:own-1"
    services = images(environment, ("services: {}", f"services: {{relay: {OWN}, nginx: {nginx}}}"))["services"]
    assert services == {**BUILT["services"], "relay": OWN, "nginx": nginx}  # type: ignore[dict-item]


def test_what_was_built_is_remembered_for_a_preview(environment: Environment) -> None:
    assert kept_images(environment) is None
    session = Session(environment)
    session.use_images(BUILT)
    session.render()
    assert kept_images(environment) == {name: BUILT[name] for name in BUILT if name != "registry"}


@pytest.mark.parametrize(
    ("edit", "asked"),
    [
        (("services: {}", "services: {}"), []),
        (("services: {}", f"services: {{relay: {OWN}}}"), [["has", OWN]]),
        (("tag: reference", "tag: dev-1"), [["has", *sorted(f"{REGISTRY}/{name}:dev-1" for name in APPLICATIONS)]]),
    ],
)
def test_only_what_was_not_built_is_looked_for_in_the_registry(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, edit: tuple[str, str], asked: list[list[str]]
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(programs.Program, "run", lambda program: ran.append(list(program.arguments)))
    raw = {"images": images(environment, edit)}
    settings = settings_of(Session(environment).template, LocalCloud.load(environment), BUILT)
    assert settings["images"] == raw["images"]
    project = load_project(environment.root, "local", settings, {*SECRET_KEYS, *OPTIONAL_SECRET_KEYS})
    require_images(project, BUILT)
    assert ran == asked


def test_a_pushed_image_comes_with_the_lines_to_write(basec: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs.Program, "run", lambda _program: f"{OWN}\n")
    ended = basec("images", "push", "outbox-relay:own-1", "--env", "local")
    assert (ended.code, ended.stdout) == (0, f"{OWN}\n")
    hint = f"hint: set images.services: {{relay: {OWN}}} in Pulumi.local.yaml, then basec up --env local"
    assert ended.stderr.splitlines()[-1] == hint


def test_no_image_is_pushed_for_a_cloud_stack(basec: Run) -> None:
    ended = basec("images", "push", "auth:dev-1", "--env", "staging")
    assert ended.code == ExitCode.CONFIGURATION
    assert ended.stderr.splitlines()[-1] == "hint: docker push, then images.tag in Pulumi.staging.yaml"


def test_an_image_that_no_setting_would_accept_is_not_pushed(basec: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(programs.Program, "run")
    ended = basec("images", "push", "auth:main", "--env", "local")
    assert ended.code == ExitCode.CONFIGURATION
    assert ended.stderr.splitlines() == [
        "basec images: auth:main: the tag 'main' moves, and a droplet never pulls a name twice",
        "hint: docker tag auth:main auth:dev-1, then push that",
    ]
