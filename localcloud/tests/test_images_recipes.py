"""Recipes decide what is built again: they must change with the content, and with nothing else."""

import json
from pathlib import Path

import pytest

from localcloud.errors import CloudError
from localcloud.images import rootfs
from localcloud.images.apt_sources import Source
from localcloud.images.build import IMAGES, OWN_IMAGES, Recipes, versions
from localcloud.images.recipe import context, digest, folder_files
from localcloud.images.rootfs import Rootfs
from localcloud.naming import NAMESPACE

SOURCE = Source("http://mirror.example/debian", "trixie")


INDEX = {"runtime": "base", "auth": "runtime", "construction": "runtime"}


def make_tree(root: Path) -> tuple[Path, Path]:
    images, applications = root / "images", root / "apps"
    for name in OWN_IMAGES:
        write_image(images / name)
    for name in INDEX:
        write_image(applications / name)
    for name in ("auth", "construction"):
        (applications / name / "src").mkdir()
        (applications / name / "src/main.py").write_text(f"name = {name!r}\n")
    (applications / "images.json").write_text(json.dumps(INDEX))
    return images, applications


def write_image(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text(f"ARG BASE\nFROM ${{BASE}}\n# {folder.name}\n")


def recipes_of(tree: tuple[Path, Path], source: Source = SOURCE, version: str = "reference") -> Recipes:
    images, applications = tree
    return Recipes(Rootfs((source,), (), ()), applications, version, images)


def all_recipes(recipes: Recipes) -> dict[str, str]:
    return {name: recipes.recipe(name) for name in ("base", *recipes.table)}


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
    second = recipes_of(tree, version="reference-v2")
    assert changed(all_recipes(first), all_recipes(second)) == {"construction"}
    assert second.files(second.table["construction"])["app/src/main.py"][0] == b"name = 'later'\n"
    assert second.application_tag.startswith("reference-v2-")
    assert all_recipes(recipes_of(tree)) == all_recipes(first)


def test_an_application_has_its_sources_beside_its_dockerfile_and_what_all_share(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    (tree[1] / "common").mkdir()
    (tree[1] / "common/shared.py").write_text("")
    recipes = recipes_of(tree)
    assert set(recipes.files(recipes.table["auth"])) == {"Dockerfile", "app/src/main.py", "common/shared.py"}
    assert set(recipes.files(recipes.table["runtime"])) == {"Dockerfile"}
    published = {name for name in INDEX if recipes.table[name].published}
    assert published == {"auth", "construction"}, "what others stand on is never pulled"


def test_without_applications_there_are_the_clouds_own_images_alone() -> None:
    assert Recipes(Rootfs((SOURCE,), (), ())).table == OWN_IMAGES
    assert versions(None) == []


@pytest.mark.parametrize("content", [None, "", "[]"])
def test_a_folder_of_applications_without_an_index_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "images.json").write_text(content)
    with pytest.raises(CloudError, match=rf"^{tmp_path}/images\.json: .*\nhint: an object of names"):
        Recipes(Rootfs((SOURCE,), (), ()), tmp_path)


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


@pytest.mark.parametrize("name", sorted(OWN_IMAGES))
def test_every_image_stands_on_the_given_base_and_names_no_registry(name: str) -> None:
    lines = (IMAGES / name / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith("FROM")] == ["FROM ${BASE}"]
    assert "ARG BASE" in lines


def test_an_administrators_authorities_are_in_the_image_and_those_of_local_stacks_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stack's own would rebuild every image each time that somebody trusts it."""
    for name in ("company.crt", "team/proxy.crt", f"{NAMESPACE}-local-0123abcd-0123456789abcdef.crt"):
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


@pytest.mark.parametrize(
    "name", [".DS_Store", "main.py~", ".main.py.swp", "main.py.orig", "#main.py#", "old.bak/main.py"]
)
def test_what_an_editor_or_a_file_manager_leaves_changes_no_recipe(tmp_path: Path, name: str) -> None:
    tree = make_tree(tmp_path)
    before = all_recipes(recipes_of(tree))
    for folder in (tree[0] / "nginx", tree[1] / "auth/src"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("left over")
    assert all_recipes(recipes_of(tree)) == before


def test_a_version_of_the_applications_is_a_directory(tmp_path: Path) -> None:
    (tmp_path / "versions/next").mkdir(parents=True)
    (tmp_path / "versions/.DS_Store").touch()
    assert versions(tmp_path) == ["reference", "next"]
