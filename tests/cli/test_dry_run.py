"""A rehearsal judges the stack's file as it is: what stands there in clear is in the copy."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from basec.engine.dry_run import rehearsal
from basec.environments import resolve
from basec.session import Session
from policy.pack import judge_files
from policy.stack import load_stack
from tests.cli.conftest import Run
from topology.names import STACK_FILE_VARIABLE

CLEAR = "hunter2-in-clear"


@pytest.mark.parametrize("key", ["basecommerce:smtp_pass", "basecommerce:postgres_password", "digitalocean:token"])
def test_a_secret_in_clear_reaches_the_rules_in_a_rehearsal(
    clone: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    file = clone / "Pulumi.staging.yaml"
    document = yaml.safe_load(file.read_text())
    document["config"][key] = CLEAR
    file.write_text(yaml.safe_dump(document))
    with rehearsal(Session(resolve("staging"))) as dry:
        copy = yaml.safe_load(dry.environment.stack_file.read_text())
        assert copy["config"]["basecommerce:settings"] == document["config"]["basecommerce:settings"]
        assert {"basecommerce:token_key", "basecommerce:redis_password"} <= set(copy["config"])
        monkeypatch.setenv(STACK_FILE_VARIABLE, str(dry.environment.stack_file))
        found = list(judge_files(load_stack("staging", {}, clone)))
    assert [(each.rule.id, each.resource) for each in found] == [("BC19", f"Pulumi.staging.yaml: config.{key}")]
    assert CLEAR not in found[0].render()


def test_a_local_stack_has_no_dry_preview(basec: Run) -> None:
    outcome = basec("preview", "--env", "local", "--dry")
    assert outcome.code == 2
    assert outcome.stderr == (
        "basec: preview: --dry is for cloud stacks; a local stack is previewed as it is\n"
        "hint: basec preview --env local\n"
    )


def test_what_is_in_clear_and_no_secret_is_in_the_copy_too(clone: Path) -> None:
    file = clone / "Pulumi.staging.yaml"
    document = yaml.safe_load(file.read_text())
    document["config"]["pulumi:disable-default-providers"] = ["aws"]
    file.write_text(yaml.safe_dump(document))
    with rehearsal(Session(resolve("staging"))) as dry:
        copy = yaml.safe_load(dry.environment.stack_file.read_text())
    assert copy["config"]["pulumi:disable-default-providers"] == ["aws"]
