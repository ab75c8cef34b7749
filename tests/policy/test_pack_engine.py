"""The pack under the real engine with dry plugins: our stacks pass, a naive program does not, and nothing is silent."""

from __future__ import annotations

import os
import runpy
import shutil
from pathlib import Path

import pulumi
import pulumi.automation as auto
import pulumi_digitalocean as digitalocean
import pytest
import yaml

from basec.engine.policy_pack import ReportedViolation
from tests.policy.dry_stack import PACK, STACKS, DryStack, LenientStack, pack_environment, program, throw_away_secrets
from tests.policy.fixtures import NAIVE_RULES
from topology.policy_rules import RULES

pytestmark = pytest.mark.engine

NAIVE = Path(__file__).parent / "naive_program" / "__main__.py"
CLEAR = "kAn4ry-clear-password"


def naive() -> None:
    runpy.run_path(str(NAIVE), run_name="__main__")


def mandatory(violations: list[ReportedViolation]) -> list[str]:
    return [violation.block() for violation in violations if violation.is_mandatory]


@pytest.mark.parametrize("name", STACKS)
def test_the_stack_is_made_under_the_rules(name: str, tmp_path: Path) -> None:
    """Preview, `up` (which alone knows ids and addresses) and a second preview."""
    stack = DryStack(tmp_path, program, name)
    flexible = (
        yaml.safe_load(stack.file.read_text())["config"]["basecommerce:settings"]["cloudflare"]["ssl"] != "strict"
    )
    if flexible and name != "local":
        with pytest.raises(auto.CommandError):
            stack.judge()
        assert {violation.rule for violation in stack.violations if violation.is_mandatory} == {"BC12"}
        return
    for operation in ("preview", "up", "preview"):
        assert mandatory(stack.judge(operation)) == []


@pytest.fixture
def naive_stack(tmp_path: Path) -> LenientStack:
    stack = LenientStack(tmp_path, naive, "production")
    document = yaml.safe_load(stack.file.read_text())
    document["config"] |= {"naive:db_password": CLEAR, "naive:ssh_key_text": "clear-text-of-a-key"}
    stack.file.write_text(yaml.safe_dump(document))
    return stack


def test_a_naive_program_breaks_at_least_twelve_rules_and_makes_nothing(naive_stack: LenientStack) -> None:
    with pytest.raises(auto.CommandError) as refused:
        naive_stack.judge()
    broken = {violation.rule for violation in naive_stack.violations}
    assert broken <= set(RULES)
    assert len(broken) >= 12, sorted(broken)
    assert {f"BC{number:02d}" for number in NAIVE_RULES} == broken
    for violation in naive_stack.violations:
        assert violation.resource
        assert violation.found
        assert violation.wanted
        assert violation.fix
    told = str(refused.value) + "".join(violation.block() for violation in naive_stack.violations)
    assert CLEAR not in "".join(violation.block() for violation in naive_stack.violations)
    for value in throw_away_secrets("localhost").values():
        assert value not in told
    assert naive_stack.created == []


def test_up_stops_before_the_first_resource_that_breaks_a_rule(naive_stack: LenientStack) -> None:
    with pytest.raises(auto.CommandError):
        naive_stack.judge("up")
    made = naive_stack.created
    # The bucket, the volume and the droplets break rules themselves; what hangs on them never comes.
    assert made == []


def small() -> None:
    digitalocean.Tag("tag", name=f"basecommerce-{pulumi.get_stack()}-edge")


def test_without_a_stack_file_the_pack_refuses(tmp_path: Path) -> None:
    stack = DryStack(tmp_path, small, "local")
    missing = tmp_path / "elsewhere" / "Pulumi.local.yaml"
    with pack_environment(missing), pytest.raises(auto.CommandError, match="there is no file"):
        stack.stack.preview(policy_packs=[str(PACK)])


def test_the_file_of_another_stack_is_refused(tmp_path: Path) -> None:
    stack = DryStack(tmp_path, small, "local")
    other = tmp_path / "Pulumi.staging.yaml"
    shutil.copy(stack.file, other)
    with pack_environment(other), pytest.raises(auto.CommandError, match="is not the file of the stack 'local'"):
        stack.stack.preview(policy_packs=[str(PACK)])


def test_without_a_named_file_the_one_of_the_stack_is_found(tmp_path: Path) -> None:
    """As plain `pulumi preview --policy-pack policy/basecommerce` does in the repository's root."""
    stack = DryStack(tmp_path, small, "staging")
    with pack_environment(None):
        stack.stack.preview(policy_packs=[str(PACK)])


def test_the_pack_works_where_python_buffers_its_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    stack = DryStack(tmp_path, small, "local")
    assert mandatory(stack.judge()) == []
    assert os.access(PACK, os.X_OK)


def test_a_destroy_is_not_held_up(tmp_path: Path) -> None:
    stack = DryStack(tmp_path, small, "local")
    stack.judge("up")
    stack.stack.destroy()
    assert stack.records() == {}
