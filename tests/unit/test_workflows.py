"""GitHub's workflows: what they may do, that they are thin, and that the linters would see a bad one."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.y*ml"))
PINNED = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
STEPS_OF_THEIR_OWN = ("apt-get ", "git config --global --add safe.directory ")
"""What a container lacks before `make` can run in it."""

every_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


def load(path: Path) -> Any:
    return yaml.load(path.read_text(), Loader=yaml.BaseLoader)  # noqa: S506 - texts only, so that `on` stays a word


def test_there_is_a_workflow_for_pull_requests() -> None:
    assert "pr.yml" in [path.name for path in WORKFLOWS]
    assert list(load(ROOT / ".github/workflows/pr.yml")["on"]) == ["pull_request"]


@every_workflow
def test_actions_and_images_are_pinned_with_the_version_beside(path: Path) -> None:
    used = [line.strip().removeprefix("- ") for line in path.read_text().splitlines() if "uses:" in line]
    assert used
    assert [line for line in used if not PINNED.fullmatch(line)] == []
    for job in load(path)["jobs"].values():
        assert re.fullmatch(r"debian:12@sha256:[0-9a-f]{64}", job["container"]["image"])


@every_workflow
def test_no_job_may_write_or_read_a_secret_or_run_for_ever(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {}
    assert "secrets" not in re.sub(r"#.*", "", path.read_text())
    assert workflow["concurrency"]["group"]
    for name, job in workflow["jobs"].items():
        assert job["permissions"] == {"contents": "read"}, name
        assert 1 <= int(job["timeout-minutes"]) <= 120, name
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] == "false", name


@every_workflow
def test_steps_are_targets_of_the_makefile(path: Path) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for name, job in load(path)["jobs"].items():
        lines = [line for step in job["steps"] for line in step.get("run", "").splitlines()]
        made = [line.removeprefix("make ") for line in lines if not line.startswith(STEPS_OF_THEIR_OWN)]
        assert made, name
        assert set(made) <= set(targets), name


def test_a_pull_request_runs_lint_tests_rules_and_the_local_cloud() -> None:
    jobs = load(ROOT / ".github/workflows/pr.yml")["jobs"].values()
    lines = [line for job in jobs for step in job["steps"] for line in step.get("run", "").splitlines()]
    assert {line for line in lines if line.startswith("make")} == {"make unit", "make policy", "make test"}


GOOD = """\
name: one
on: pull_request
permissions: {}
concurrency: {group: one, cancel-in-progress: true}
jobs:
  one:
    name: one
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
        with: {persist-credentials: false}
      - run: echo "$HOME"
"""
BAD = (
    ("actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1", "actions/checkout@v7", "unpinned-uses"),
    ("        with: {persist-credentials: false}\n", "", "artipacked"),
    ("on: pull_request", "on: pull_request_target", "dangerous-triggers"),
    ("permissions: {}\n", "", "excessive-permissions"),
    ('"$HOME"', "$HOME", "SC2086"),
    ('"$HOME"', "${{ github.head_ref }}", "potentially untrusted"),
    ("runs-on: ubuntu-24.04", "runs-on: ubuntu-1", "runner-label"),
)


def lint(*paths: Path) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / "scripts/lint-workflows"), *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.linters
def test_our_workflows_pass_the_linters() -> None:
    done = lint()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("lint-workflows: all passed\n")


@pytest.mark.linters
def test_a_good_workflow_passes_so_that_a_bad_one_fails_for_its_fault_alone(tmp_path: Path) -> None:
    path = tmp_path / "one.yml"
    path.write_text(GOOD)
    done = lint(path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.linters
@pytest.mark.parametrize(("good", "bad", "finding"), BAD, ids=[finding for *_, finding in BAD])
def test_a_bad_workflow_fails_with_the_name_of_its_fault(tmp_path: Path, good: str, bad: str, finding: str) -> None:
    assert GOOD.count(good) == 1
    path = tmp_path / "one.yml"
    path.write_text(GOOD.replace(good, bad))
    done = lint(path)
    assert done.returncode == 1
    assert finding in done.stdout
    assert "all passed" not in done.stdout
