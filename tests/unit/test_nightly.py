"""The nightly run's bookkeeping: which results stand, what is named as outdated, and how a run goes on."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.nightly import __main__ as nightly
from tests.nightly import results, runner
from tests.nightly.notes import Notes
from tests.nightly.parts import PARTS, Part
from tests.nightly.results import Result, State

ROOT = Path(__file__).resolve().parents[2]
KILLS = Part(name="kills", proves="it heals", minutes=1, function="none:none", judges=("compose/", "cloud-init/"))
SCANS = Part(name="scans", proves="it is shut", minutes=1, function="none:none", judges=("compose/",))
PAIR = {part.name: part for part in (KILLS, SCANS)}

Say = Callable[[str], None]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a repository with two judged rooms, and let the run keep its files in it."""
    root = tmp_path / "tree"
    for name in ("compose/a.yaml", "compose/run.sh", "cloud-init/user-data"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{name}\n")
    (root / ".gitignore").write_text("*.pyc\nresults/\n")
    git(root, "init", "--quiet")
    commit(root)
    monkeypatch.setattr(results, "ROOT", root)
    monkeypatch.setattr(runner, "WORK", tmp_path / "work")
    monkeypatch.setattr(runner, "machine", lambda *_: "a machine")
    monkeypatch.setattr(runner, "additions", lambda: 0.2)
    monkeypatch.setattr(results, "RESULTS", root / "results")
    return root


def git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


def commit(root: Path) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--allow-empty", "--message", "x")


def result_of(part: Part, root: Path, outcome: str = "passed", reason: str = "") -> Result:
    return Result(
        part=part.name,
        date="2026-11-28T03:04:05Z",
        commit="abc1234",
        machine="a machine",
        outcome=outcome,
        reason=reason,
        seconds=60.0,
        figures={"kills": 20},
        judged=results.digests(root, part.judges),
    )


def test_a_result_stands_through_commits_clones_and_new_times(tree: Path, tmp_path: Path) -> None:
    results.write(result_of(KILLS, tree))
    (tree / "README.md").write_text("what no part judges\n")
    (tree / "compose/a.yaml").touch()
    (tree / "compose/a.pyc").write_text("ignored by git")
    commit(tree)
    assert results.judge(KILLS) == (State.CURRENT, "passed on 2026-11-28")
    shallow = tmp_path / "shallow"
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", f"file://{tree}", shallow], check=True)
    assert results.digests(shallow, KILLS.judges) == results.digests(tree, KILLS.judges)


EDITS: dict[str, Callable[[Path], object]] = {
    "an edit that is not committed": lambda room: (room / "a.yaml").write_text("edited\n"),
    "a new file that git does not know": lambda room: (room / "new.yaml").write_text(""),
    "a file that is gone": lambda room: (room / "a.yaml").unlink(),
    "another name": lambda room: (room / "a.yaml").rename(room / "b.yaml"),
    "an executable bit": lambda room: (room / "run.sh").chmod(0o755),
    "a link in a file's place": lambda room: subprocess.run(["ln", "-sf", "run.sh", room / "a.yaml"], check=True),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_a_result_is_outdated_by(tree: Path, edit: Callable[[Path], object]) -> None:
    results.write(result_of(KILLS, tree))
    edit(tree / "compose")
    assert results.judge(KILLS) == (State.OUTDATED, "ran 2026-11-28 on other compose/: outdated")


def test_what_a_part_does_not_judge_leaves_its_result(tree: Path) -> None:
    results.write(result_of(SCANS, tree))
    (tree / "cloud-init/user-data").write_text("edited\n")
    assert results.judge(SCANS)[0] is State.CURRENT


def test_a_path_that_a_part_judges_newly_outdates_its_result(tree: Path) -> None:
    results.write(result_of(SCANS, tree))
    wider = Part(name="scans", proves="", minutes=1, function="", judges=("compose/", "cloud-init/"))
    assert results.judge(wider) == (State.OUTDATED, "ran 2026-11-28 on other cloud-init/: outdated")


def test_each_part_without_a_good_result_is_named_with_the_command_that_renews_it(tree: Path) -> None:
    assert results.outdated(PAIR) == [
        "nightly: kills: never ran; make nightly PARTS=kills",
        "nightly: scans: never ran; make nightly PARTS=scans",
    ]
    results.write(result_of(KILLS, tree, "failed", "2 writes are lost"))
    results.write(result_of(SCANS, tree))
    assert results.outdated(PAIR) == [
        "nightly: kills: failed on 2026-11-28: 2 writes are lost; make nightly PARTS=kills"
    ]
    results.write(result_of(KILLS, tree))
    assert results.outdated(PAIR) == []
    (tree / "compose/a.yaml").write_text("edited\n")
    (tree / "results/scans.json").write_text("<<<<<<< ours\n")
    kills, scans = results.outdated(PAIR)
    assert kills == "nightly: kills: ran 2026-11-28 on other compose/: outdated; make nightly PARTS=kills"
    assert scans.startswith("nightly: scans: its result cannot be read: ")
    assert scans.endswith("; make nightly PARTS=scans")


def steps(count: int, stop_at: int | None = None, error: type[BaseException] = KeyboardInterrupt) -> object:
    """Make a part that counts to `count`, and is stopped before one of its steps."""

    def execute(part: Part, notes: Notes, say: Say) -> None:
        while notes.figures.get("kills", 0) < count:
            if notes.figures.get("kills", 0) == stop_at:
                raise error("no green after 120 s\npassword=hunter2")
            notes.keep(kills=notes.figures.get("kills", 0) + 1, ran=[*notes.figures.get("ran", []), stop_at])

    return execute


def test_a_part_that_passes_leaves_its_result_and_no_notes(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "execute", steps(3))
    runner.run(KILLS)
    written = json.loads((tree / "results/kills.json").read_text())
    assert written["figures"]["kills"] == 3
    assert (written["part"], written["outcome"], written["machine"]) == ("kills", "passed", "a machine")
    assert set(written["judged"]) == {"compose/", "cloud-init/"}
    assert list((runner.WORK / "progress").iterdir()) == []
    assert results.judge(KILLS)[0] is State.CURRENT


def test_an_interrupted_part_leaves_no_result_and_goes_on_after_its_last_step(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "execute", steps(5, stop_at=2))
    with pytest.raises(KeyboardInterrupt):
        runner.run(KILLS)
    assert results.judge(KILLS)[0] is State.MISSING
    monkeypatch.setattr(runner, "execute", steps(5))
    assert runner.run(KILLS).figures == {"kills": 5, "ran": [2, 2, None, None, None]}


@pytest.mark.parametrize("because", ["of an edit", "it was asked to"])
def test_an_interrupted_part_begins_anew_because(tree: Path, monkeypatch: pytest.MonkeyPatch, because: str) -> None:
    monkeypatch.setattr(runner, "execute", steps(5, stop_at=2))
    with pytest.raises(KeyboardInterrupt):
        runner.run(KILLS)
    if because == "of an edit":
        (tree / "compose/a.yaml").write_text("edited\n")
    monkeypatch.setattr(runner, "execute", steps(5))
    assert runner.run(KILLS, again=because != "of an edit").figures["ran"] == [None] * 5


def test_a_failure_is_a_result_with_only_its_first_line(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "execute", steps(5, stop_at=2, error=AssertionError))
    runner.run(KILLS)
    state, words = results.judge(KILLS)
    assert state is State.FAILED
    assert words.endswith(": no green after 120 s")
    assert "hunter2" not in (tree / "results/kills.json").read_text()
    assert list((runner.WORK / "progress").iterdir()) == [], "a failed part begins anew"


def test_an_error_of_the_part_itself_is_no_result(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "execute", steps(5, stop_at=2, error=FileNotFoundError))
    with pytest.raises(FileNotFoundError):
        runner.run(KILLS)
    assert results.judge(KILLS)[0] is State.MISSING


@pytest.fixture
def ran(tree: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the parts by two that end at once, and list what was run."""
    done: list[str] = []

    def execute(part: Part, notes: Notes, say: Say) -> None:
        done.append(part.name)
        assert not (tree / "compose/broken").exists(), "it broke"

    monkeypatch.setattr(runner, "execute", execute)
    monkeypatch.setattr(runner, "require_host", lambda: None)
    monkeypatch.setattr(nightly, "PARTS", PAIR)
    return done


def ask(*arguments: str) -> tuple[int, str]:
    answer = CliRunner(env={"COLUMNS": "160"}).invoke(nightly.app, arguments)
    return answer.exit_code, answer.output


def test_parts_that_are_current_are_left_out_unless_they_are_named(tree: Path, ran: list[str]) -> None:
    assert ask()[0] == 0
    assert ran == ["kills", "scans"]
    assert ask()[0] == 0
    assert ran == ["kills", "scans"]
    (tree / "cloud-init/user-data").write_text("edited\n")
    assert ask()[0] == 0
    assert ran == ["kills", "scans", "kills"]
    assert ask("scans")[0] == 0
    assert ask("--again")[0] == 0
    assert ran[3:] == ["scans", "kills", "scans"]


def test_a_failed_part_ends_the_run_with_1_after_the_others_and_is_run_again(tree: Path, ran: list[str]) -> None:
    (tree / "compose/broken").touch()
    code, output = ask()
    assert (code, ran) == (1, ["kills", "scans"])
    assert "== kills: failed in 0 s it broke" in output
    assert ask()[0] == 1
    assert ran == ["kills", "scans"] * 2


def test_an_unknown_part_ends_with_2_and_the_known_ones(ran: list[str]) -> None:
    assert ask("scan") == (2, "nightly: unknown part scan\nhint: one of kills, scans\n")
    assert ran == []


def test_an_interrupt_ends_with_130_and_says_how_to_go_on(ran: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "execute", steps(5, stop_at=2))
    code, output = ask("kills")
    assert code == 130
    assert "the same command goes on" in output


def test_a_machine_that_can_have_no_stack_and_a_second_run_end_with_1_and_no_result(
    ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with runner.alone():
        code, output = ask()
        assert (code, "another run is under way" in output) == (1, True)

    def refuse() -> None:
        raise runner.NightlyError("nightly: this machine can have no stack:\nno Docker")

    monkeypatch.setattr(runner, "require_host", refuse)
    code, output = ask()
    assert (code, output) == (1, "nightly: this machine can have no stack:\nno Docker\n")
    assert ran == []


def test_outdated_and_list_run_nothing_and_end_with_0(tree: Path, ran: list[str]) -> None:
    results.write(result_of(KILLS, tree))
    assert ask("--outdated") == (0, "nightly: scans: never ran; make nightly PARTS=scans\n")
    code, output = ask("--list")
    assert code == 0
    assert [word in output for word in ("passed on 2026-11-28", "never ran", "it heals")] == [True] * 3
    assert ran == []


def test_a_part_runs_on_a_stack_of_the_runs_own_name_and_ports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    called: list[Any] = []
    monkeypatch.setenv("BASECOMMERCE_E2E_STACK", "another")
    monkeypatch.setenv("BASECOMMERCE_E2E_LANE", "1")
    monkeypatch.setitem(sys.modules, "tests.nightly.stack", SimpleNamespace(own_stack=nullcontext))
    monkeypatch.setitem(sys.modules, "chaos", SimpleNamespace(all_of_it=called.append))
    notes = Notes(tmp_path / "notes.json", {})
    runner.execute(Part(name="chaos", proves="", minutes=1, function="chaos:all_of_it"), notes, print)
    assert [(run.stack, run.notes) for run in called] == [(runner.WORK, notes)]
    assert (os.environ["BASECOMMERCE_E2E_STACK"], os.environ["BASECOMMERCE_E2E_LANE"]) == ("local-nightly", "3")


@pytest.mark.parametrize("part", PARTS.values(), ids=list(PARTS))
def test_every_part_has_its_function_and_judges_what_is_there(part: Part) -> None:
    module, name = part.function.split(":")
    source = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())
    assert name in {node.name for node in source.body if isinstance(node, ast.FunctionDef)}
    assert [path for path in part.judges if not (ROOT / path).exists()] == []


def test_every_kept_result_belongs_to_a_part_and_can_be_read() -> None:
    kept = [path.stem for path in (ROOT / "tests/nightly/results").glob("*.json")]
    assert set(kept) <= set(PARTS)
    for name in kept:
        result = results.read(name)
        assert result is not None
        assert (result.part, result.outcome in ("passed", "failed"), result.seconds > 0) == (name, True, True)
        assert set(result.judged) == set(PARTS[name].judges)
