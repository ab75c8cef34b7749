"""Recipes decide what is built again: they must change with the content, and with nothing else."""

from pathlib import Path

import pytest

from localcloud.images import rootfs
from localcloud.images.apt_sources import Source
from localcloud.images.build import IMAGE_TABLE, IMAGES, Recipes, versions
from localcloud.images.recipe import context, digest, folder_files
from localcloud.images.rootfs import Rootfs

SOURCE = Source("http://mirror.example/debian", "trixie")


def make_tree(root: Path) -> tuple[Path, Path]:
    images, applications = root / "images", root / "apps"
    for name in IMAGE_TABLE:
        (images / name).mkdir(parents=True)
        (images / name / "Dockerfile").write_text(f"ARG BASE\nFROM ${{BASE}}\n# {name}\n")
    for name in ("auth", "construction"):
        (applications / name / "src").mkdir(parents=True)
        (applications / name / "src/main.py").write_text(f"name = {name!r}\n")
    return images, applications


def recipes_of(tree: tuple[Path, Path], source: Source = SOURCE) -> Recipes:
    return Recipes(Rootfs((source,), (), ()), *tree)


def all_recipes(recipes: Recipes) -> dict[str, str]:
    return {name: recipes.recipe(name) for name in ("base", *IMAGE_TABLE)}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


def test_the_same_tree_gives_the_same_recipes(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    assert all_recipes(recipes_of(tree)) == all_recipes(recipes_of(tree))


def test_an_edited_image_changes_its_own_recipe_and_its_children_only(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    before = all_recipes(recipes_of(tree))
    (tree[0] / "nginx/Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nRUN true\n")
    assert changed(before, all_recipes(recipes_of(tree))) == {"nginx", "cloudflare"}


def test_another_mirror_changes_every_recipe(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    before = all_recipes(recipes_of(tree))
    after = all_recipes(recipes_of(tree, Source("http://other.example/debian", "trixie")))
    assert changed(before, after) == set(before)


def test_an_edited_application_changes_its_image_and_the_one_tag_of_both(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    before = recipes_of(tree)
    recipes, tag = all_recipes(before), before.application_tag
    (tree[1] / "auth/src/main.py").write_text("name = 'other'\n")
    after = recipes_of(tree)
    assert changed(recipes, all_recipes(after)) == {"auth"}
    assert after.application_tag != tag


def test_the_application_tag_is_reference_and_twelve_hexadecimal_digits(tmp_path: Path) -> None:
    prefix, _, digits = recipes_of(make_tree(tmp_path)).application_tag.partition("-")
    assert prefix == "reference"
    assert len(digits) == 12
    assert int(digits, 16) >= 0


def test_a_later_version_changes_the_images_that_it_has_files_for_and_the_tag_of_all(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    first = recipes_of(tree)
    later = tree[1] / "versions/reference-v2/construction/src"
    later.mkdir(parents=True)
    (later / "main.py").write_text("name = 'later'\n")
    second = Recipes(Rootfs((SOURCE,), (), ()), *tree, version="reference-v2")
    assert changed(all_recipes(first), all_recipes(second)) == {"construction"}
    assert second.files(IMAGE_TABLE["construction"])["app/src/main.py"][0] == b"name = 'later'\n"
    assert second.application_tag.startswith("reference-v2-")
    assert all_recipes(recipes_of(tree)) == all_recipes(first)


def test_the_second_version_of_construction_is_the_first_but_for_what_it_says() -> None:
    first, second = (Recipes(Rootfs((SOURCE,), (), ()), version=version) for version in versions())
    construction = IMAGE_TABLE["construction"]
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


def test_caches_and_tests_in_a_folder_do_not_change_a_recipe(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    before = all_recipes(recipes_of(tree))
    for litter in ("auth/src/__pycache__/main.cpython-311.pyc", "auth/tests/test_main.py", "auth/src/old.pyc"):
        (tree[1] / litter).parent.mkdir(parents=True, exist_ok=True)
        (tree[1] / litter).write_text("litter")
    assert all_recipes(recipes_of(tree)) == before


def test_a_file_moved_between_two_names_changes_the_digest() -> None:
    assert digest({"a": (b"xy", 0o644), "b": (b"", 0o644)}) != digest({"a": (b"x", 0o644), "b": (b"y", 0o644)})
    assert digest({}, "ab", "c") != digest({}, "a", "bc")


def test_the_umask_does_not_change_a_build_context(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("#!/bin/sh\n")
    (tmp_path / "run.sh").chmod(0o700)
    strict = context(folder_files(tmp_path))
    (tmp_path / "run.sh").chmod(0o755)
    assert context(folder_files(tmp_path)) == strict


@pytest.mark.parametrize("name", sorted(IMAGE_TABLE))
def test_every_image_stands_on_the_given_base_and_names_no_registry(name: str) -> None:
    lines = (IMAGES / name / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith("FROM")] == ["FROM ${BASE}"]
    assert "ARG BASE" in lines


def test_an_administrators_authorities_are_in_the_image_and_those_of_local_stacks_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stack's own would rebuild every image each time that somebody trusts it."""
    for name in ("company.crt", "team/proxy.crt", "basecommerce-local-0123abcd-0123456789abcdef.crt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(rootfs, "_LOCAL_CERTIFICATES", tmp_path)
    monkeypatch.setattr(rootfs, "run", lambda _: "")
    made = Rootfs.of_this_machine()
    hooks = [
        each for each in made.command(tmp_path / "sources", tmp_path / "tar") if "upload" in each and ".crt" in each
    ]
    assert hooks == [
        f"--customize-hook=upload {tmp_path}/company.crt {tmp_path}/company.crt",
        f"--customize-hook=upload {tmp_path}/team/proxy.crt {tmp_path}/team-proxy.crt",
    ]
