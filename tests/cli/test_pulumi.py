"""`basec pulumi`: the CLI with an environment's own things, and no way past the judge of dangerous edits by mistake."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from basec import main
from basec.commands import pulumi
from basec.engine import locks
from basec.environments import Environment
from tests.cli.conftest import Run
from tests.cli.dry import DryStack, local_stack_that_is_up


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A CLI that writes down how it is called."""
    path = tmp_path / "pulumi"
    path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/arguments\nenv > {tmp_path}/variables\nexit 7\n')
    path.chmod(0o755)
    monkeypatch.setattr(pulumi, "toolchain", lambda: path)
    monkeypatch.setattr(pulumi, "_check", lambda _session: None)
    return tmp_path


def protect(clone: Path, *, protect: bool) -> None:
    path = clone / "Pulumi.staging.yaml"
    document = yaml.safe_load(path.read_text())
    document["config"]["basecommerce:settings"]["protect"] = protect
    path.write_text(yaml.safe_dump(document))


@pytest.mark.parametrize(
    ("word", "instead"), [("up", "up"), ("update", "up"), ("destroy", "down"), ("down", "down"), ("watch", "up")]
)
def test_what_changes_a_protected_stack_unjudged_is_refused_with_the_command_of_basec(
    basec: Run, clone: Path, cli: Path, word: str, instead: str
) -> None:
    protect(clone, protect=True)
    refused = basec("pulumi", "--env", "staging", "--", word, "--yes")
    assert refused.code == 5
    assert f"staging is protected, and `pulumi {word}` does not check for dangerous edits" in refused.stderr
    assert f"hint: basec {instead} --env staging; to do it anyway: --unjudged before the `--`\n" in refused.stderr
    assert not (cli / "arguments").exists()
    assert basec("pulumi", "--env", "staging", "--unjudged", "--", word, "--yes").code == 7
    protect(clone, protect=False)
    assert basec("pulumi", "--env", "staging", "--", word, "--yes").code == 7


@pytest.mark.parametrize("word", ["config", "stack", "refresh", "state", "about"])
def test_all_else_is_the_clis_own_and_so_is_the_exit_code(basec: Run, clone: Path, cli: Path, word: str) -> None:
    protect(clone, protect=True)
    assert basec("pulumi", "--env", "staging", "--", word, "--some-option", "a b").code == 7
    assert (cli / "arguments").read_text().splitlines() == [word, "--some-option", "a b"]
    variables = (cli / "variables").read_text()
    assert "PULUMI_STACK=staging\n" in variables
    assert "PULUMI_CONFIG_PASSPHRASE_FILE=" in variables


def test_a_preview_gets_the_rules_unless_it_names_others(basec: Run, clone: Path, cli: Path) -> None:
    basec("pulumi", "--env", "staging", "--", "preview", "--diff")
    assert (cli / "arguments").read_text().splitlines() == [
        *("preview", "--policy-pack", f"{clone}/policy/basecommerce", "--diff")
    ]
    basec("pulumi", "--env", "staging", "--", "preview", "--policy-pack=other")
    assert (cli / "arguments").read_text().splitlines() == ["preview", "--policy-pack=other"]


def test_a_lock_of_somebody_else_is_respected_by_all_but_the_command_that_removes_it(
    basec: Run, cli: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(environment: Environment) -> None:
        raise locks.LockedError(f"basec: {environment.name}: locked", "wait")

    monkeypatch.setattr(pulumi, "clear_stale_locks", held)
    assert basec("pulumi", "--env", "staging", "--", "refresh").code == 1
    assert not (cli / "arguments").exists()
    assert basec("pulumi", "--env", "staging", "--", "cancel", "--yes").code == 7


def test_options_before_pulumis_command_are_refused(basec: Run, clone: Path) -> None:
    refused = basec("pulumi", "--env", "staging", "--", "--cwd", "/tmp", "up")
    assert (refused.code, refused.stderr) == (
        2,
        "basec: pulumi: --cwd: Pulumi's command must come first\nhint: basec pulumi --env staging -- preview\n",
    )


@pytest.mark.engine
def test_a_local_stack_is_previewed_read_and_brought_up_by_plain_pulumi(
    tmp_path_factory: pytest.TempPathFactory, capfd: pytest.CaptureFixture[str]
) -> None:
    with local_stack_that_is_up(tmp_path_factory) as stack:
        (stack.root / ".venv").symlink_to(sys.prefix)
        assert plain(stack, capfd, "preview", "--json")["changeSummary"] == {"same": 73}
        assert plain(stack, capfd, "config", "--json")["basecommerce:settings"]
        assert len(plain(stack, capfd, "stack", "export")["deployment"]["resources"]) > 73
        with stack.edited("Pulumi.local.yaml", ("cpu_percent: 80", "cpu_percent: 81")):
            before = len(stack.journal().splitlines())
            assert main.invoke(["pulumi", "--env", stack.name, "--", "up", "--yes", "--skip-preview"]) == 0
        done = [json.loads(line) for line in stack.journal().splitlines()[before:]]
        assert {(each["op"], each["type"].rpartition(":")[2]) for each in done} == {("update", "MonitorAlert")}


def plain(stack: DryStack, capfd: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """Run the CLI through basec and read its document."""
    capfd.readouterr()
    code = main.invoke(["pulumi", "--env", stack.name, "--", *arguments])
    out, err = capfd.readouterr()
    assert code == 0, err
    document: dict[str, Any] = json.loads(out)
    return document
