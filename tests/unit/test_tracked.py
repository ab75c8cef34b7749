"""A release is what git tracks: left-overs beside it change nothing, and a new file that it needs is not forgotten."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from localcloud.images import recipe
from tests.unit.topology_support import ROOT, project, tree_copy
from topology import tracked
from topology.bundle import build_bundle
from topology.errors import ConfigurationError
from topology.inventory import ROLES

LEFT_OVERS = (
    *("compose/edge/.DS_Store", "compose/edge/.compose.yaml.swp", "compose/edge/compose.yaml~"),
    *("compose/edge/compose.yaml.orig", "compose/edge/nginx/.locations.conf.swp", "compose/edge/nginx/._nginx.conf"),
    *(
        "compose/edge/nginx/#nginx.conf#",
        "compose/edge/nginx/.#nginx.conf",
        "compose/edge/nginx/site/tenants.map.j2.bak",
    ),
    *("compose/release.py.orig", "compose/.release.py.swp"),
)
NOTES = "compose/edge/notes.txt"
"""Of nobody's kind, and nobody names it: only git tells that it is no part."""


def git(root: Path, *arguments: str) -> str:
    """Run git with nothing of this machine's settings."""
    variables = {"PATH": os.environ["PATH"], "HOME": str(root), "GIT_CONFIG_NOSYSTEM": "1"}
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    return subprocess.run(
        ["git", "-C", str(root), *who, *arguments], env=variables, capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with the tracked tiers."""
    root = tmp_path / "clone"
    root.mkdir()
    archive = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z", "compose"], capture_output=True, check=True)
    for name in archive.stdout.decode().split("\0")[:-1]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    tree_copy(root)
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "-m", "tiers")
    return root


def _digests(root: Path) -> dict[str, str]:
    loaded = project(root=root)
    return {tier: build_bundle(loaded, tier).digest for tier in ROLES}


def _refusal(root: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        build_bundle(project(root=root), "edge")
    return caught.value.render()


def _write(root: Path, name: str, text: str = "x\n") -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def _archive(root: Path) -> Path:
    """The same commit as git hosts hand it out."""
    target = root.parent / "archive"
    done = subprocess.run(["git", "-C", str(root), "archive", "HEAD"], capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as files:
        files.extractall(target, filter="data")
    return target


def test_left_overs_and_notes_change_no_digest_in_a_clone(clone: Path) -> None:
    before = _digests(clone)
    for name in (*LEFT_OVERS, NOTES):
        _write(clone, name)
    assert _digests(clone) == before


def test_left_overs_change_no_digest_in_an_archive(clone: Path) -> None:
    archive = _archive(clone)
    for name in LEFT_OVERS:
        _write(archive, name)
    assert _digests(archive) == _digests(clone)


def test_an_archive_takes_every_other_file_since_nothing_tells_what_belongs_to_it(clone: Path) -> None:
    archive = _archive(clone)
    before = _digests(archive)
    _write(archive, NOTES)
    assert {tier for tier, digest in _digests(archive).items() if digest != before[tier]} == {"edge"}


@pytest.mark.parametrize("mode", [0o777, 0o600])
@pytest.mark.parametrize("tree", [lambda clone: clone, _archive], ids=["clone", "archive"])
def test_modes_of_the_work_tree_change_no_digest(clone: Path, mode: int, tree: Callable[[Path], Path]) -> None:
    before, root = _digests(clone), tree(clone)
    for path in (root / "compose").rglob("*"):
        if path.is_file():
            path.chmod(mode)
    assert _digests(root) == before


def test_what_is_executable_by_git_is_so_by_its_first_line() -> None:
    modes = tracked.tracked_files(ROOT, "compose")
    assert [str(path) for path, mode in modes.items() if mode != ((ROOT / path).read_bytes()[:2] == b"#!")] == []


def test_no_tracked_file_has_the_name_of_a_left_over(clone: Path) -> None:
    in_clone = tracked.tracked_files(clone, "compose")
    shutil.rmtree(clone / ".git")
    assert dict(tracked.tracked_files(clone, "compose")) == dict(in_clone)


def test_an_edit_counts_before_it_is_committed_or_added(clone: Path) -> None:
    before = _digests(clone)
    _write(clone, "compose/edge/nginx/nginx.conf", "# other\n")
    assert _digests(clone)["edge"] != before["edge"]


@pytest.mark.parametrize(
    ("name", "by", "text"),
    [
        ("compose/edge/nginx/limits.conf", "compose/edge/nginx/nginx.conf", "include limits.conf;"),
        ("compose/edge/nginx/site/apex.conf.j2", "compose/edge/nginx/nginx.conf", "include site/apex.conf;"),
        ("compose/edge/nginx/extra/a.conf", "compose/edge/nginx/nginx.conf", "include /etc/nginx/extra/*.conf;"),
        ("compose/edge/cache/varnish.vcl", "compose/edge/compose.yaml", "# ${CACHE_DIR:-./cache}:/etc/cache:ro"),
        ("compose/hues.py", "compose/release.py", "from hues import BLUE"),
    ],
)
def test_a_new_file_that_a_known_one_names_is_not_forgotten(clone: Path, name: str, by: str, text: str) -> None:
    with (clone / by).open("a") as file:
        file.write(f"{text}\n")
    _write(clone, name)
    assert (
        _refusal(clone)
        == f"{name}: is not tracked by git, so no release has it, but {by} names it\nhint: git add {name}"
    )
    git(clone, "add", name)
    assert build_bundle(project(root=clone), "edge")


def test_a_folder_that_git_does_not_know_yet_is_refused_with_what_adds_it(clone: Path) -> None:
    git(clone, "rm", "--quiet", "-r", "--cached", "compose/edge")
    refusal = "compose/edge/compose.yaml: is not known to git, so no release has it\nhint: git add compose/edge"
    assert _refusal(clone) == refusal


def test_a_new_file_of_one_tier_stops_no_other(clone: Path) -> None:
    _write(clone, "compose/edge/nginx/limits.conf")
    _write(clone, "compose/edge/nginx/nginx.conf", "include limits.conf;")
    assert build_bundle(project(root=clone), "infra")


def test_a_file_that_is_gone_is_named(clone: Path) -> None:
    name = "compose/edge/nginx/locations.conf"
    (clone / name).unlink()
    assert _refusal(clone) == f"{name}: there is no such file\nhint: restore it with `git checkout`, or: git rm {name}"


def test_a_file_with_conflicts_is_refused(clone: Path) -> None:
    name = "compose/edge/nginx/nginx.conf"
    branch = git(clone, "branch", "--show-current").strip()
    git(clone, "checkout", "--quiet", "-b", "other")
    for text, on in (("a\n", "other"), ("b\n", branch)):
        git(clone, "checkout", "--quiet", on)
        _write(clone, name, text)
        git(clone, "commit", "--quiet", "-am", on)
    with pytest.raises(subprocess.CalledProcessError):
        git(clone, "merge", "--quiet", "other")
    assert _refusal(clone) == f"{name}: has merge conflicts\nhint: resolve them, then git add {name}"


def test_git_that_cannot_tell_is_no_tree_without_git(clone: Path) -> None:
    (clone / ".git/index").write_text("broken")
    assert _refusal(clone).startswith("compose: git cannot list its files: ")


def test_the_variables_of_a_hook_name_no_other_index(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _digests(clone)
    monkeypatch.setenv("GIT_INDEX_FILE", str(clone / "other-index"))
    monkeypatch.setenv("GIT_DIR", str(clone / "nowhere"))
    assert _digests(clone) == before


def test_a_tree_without_git_on_the_machine_is_taken_as_it_is(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _digests(clone)
    monkeypatch.setenv("PATH", str(clone / "no-programs"))
    assert _digests(clone) == before


def test_images_leave_out_the_same_left_overs() -> None:
    """The local cloud may import no other room, so it repeats them."""
    assert recipe.LEFT_OVERS == tracked.LEFT_OVERS
