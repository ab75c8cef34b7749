"""The reference applications as the local cloud builds them: images that stand in for the real ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.images.apt_sources import Source
from localcloud.images.build import Recipes, build_all, machine_recipes, versions
from localcloud.images.push import tag_link
from localcloud.images.rootfs import Rootfs
from localcloud.naming import default_cache
from localcloud.tests.container_support import Run, containers, docker, eventually, serves

APPLICATIONS = Path(__file__).resolve().parents[2] / "reference_apps"
SOURCE = Source("http://mirror.example/debian", "trixie")


def test_the_second_version_of_construction_is_the_first_but_for_what_it_says() -> None:
    first, second = (Recipes(Rootfs((SOURCE,), (), ()), APPLICATIONS, version) for version in versions(APPLICATIONS))
    construction = first.table["construction"]
    old, new = first.files(construction), second.files(construction)
    assert {file for file in new if new[file] != old.get(file)} == {
        "app/alembic/versions/0001_notices.py",
        "app/src/construction_app/notices.py",
        "app/src/construction_app/routers/web.py",
        "app/src/construction_app/templates/dashboard_with_notice.html",
    }
    web = "app/src/construction_app/routers/web.py"
    lines = [set(files[web][0].decode().splitlines()) for files in (old, new)]
    assert {line for line in lines[1] - lines[0] if "notice" not in line} == set(), "edited in one version only"
    assert len(lines[0] - lines[1]) == 2


@pytest.fixture(scope="module")
def recipes() -> Recipes:
    """Build what is missing."""
    images = build_all(default_cache(), print, APPLICATIONS)
    made = machine_recipes(APPLICATIONS)
    for image in made.table.values():
        if image.application:
            assert tag_link(default_cache() / "registry", image.name, images.tag).is_file()
    return made


@pytest.fixture
def run(recipes: Recipes, tmp_path: Path) -> Iterator[Run]:
    """Start a container of an application."""
    tmp_path.chmod(0o755)  # a container's user enters what a test mounts
    with containers(recipes.reference) as start:
        yield start


@pytest.mark.real
@pytest.mark.parametrize(
    ("image", "module", "port"), [("auth", "auth_app", 8001), ("construction", "construction_app", 8000)]
)
def test_an_application_answers_health_without_database_or_network(
    run: Run, tmp_path: Path, image: str, module: str, port: int
) -> None:
    settings = (
        "DATABASE_URL='postgresql+psycopg2://u:p@127.0.0.1:1/d'\nSECRET_KEY='a-made-up-key-of-32-characters-here'\n"
    )
    (tmp_path / "env").write_text(settings)
    server = f"exec uvicorn {module}.main:app --host 0.0.0.0 --port {port}"
    container = run(
        *(image, "10001:10001", "--tmpfs", "/tmp", "--tmpfs", "/app/logs:uid=10001,gid=10001"),
        *("--volume", f"{tmp_path}/env:/run/secrets/env:ro"),
        command=("sh", "-c", f"set -a; . /run/secrets/env; {server}"),
    )
    eventually(lambda: '"status":"ok"' in serves(container, port, "/health"), container)
    assert "HTTP" in docker("exec", container, "curl", "--silent", "--include", f"http://127.0.0.1:{port}/health")


@pytest.mark.real
def test_construction_brings_the_migrations_and_the_clients_of_postgresql(recipes: Recipes) -> None:
    image = recipes.reference("construction")
    shown = docker(
        "run", "--rm", "--network", "none", image, "sh", "-c", "pwd; ls; psql --version; pg_isready --version"
    )
    assert {"/app", "alembic", "alembic.ini", "src"} <= set(shown.split())
    assert shown.count("PostgreSQL) 17") == 2
