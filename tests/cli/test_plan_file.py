"""The plan that was shown is the one that is applied: what is edited in between is refused, and no secret is told."""

from __future__ import annotations

import base64
import json
import stat
import tempfile
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from basec.engine import operations
from basec.environments import Environment
from basec.secrets.stack_file import StackFile
from tests.cli.dry import DryStack, local_stack_that_is_up

pytestmark = pytest.mark.engine

NGINX = "compose/edge/nginx/nginx.conf"
LINE = "    add_header Referrer-Policy"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DryStack]:
    with local_stack_that_is_up(tmp_path_factory) as made:
        yield made


def canaries(stack: DryStack) -> list[str]:
    """Return every secret of the stack in the forms that a plan, a message or a log could hold."""
    file = StackFile(Environment(name=stack.name, root=stack.root))
    found = []
    for name in file.secret_names:
        value = file.secret(name if ":" in name else f"basecommerce:{name}")
        lines = [line for line in value.splitlines() if len(line) >= 16 and "-----" not in line]
        for text in lines:
            found += [text, urllib.parse.quote(text, safe="")]
            # In base64 a text reads in three ways, by where it begins; its ends mix with what is beside it.
            found += [base64.b64encode(b"x" * shift + text.encode()).decode()[4:-4] for shift in range(3)]
    assert len(found) > 20
    return found


def edit_before_up(monkeypatch: pytest.MonkeyPatch, edit: Callable[[], Any]) -> list[Path]:
    """Edit something after the preview and before the engine applies; answer where the plan file was."""
    plans: list[Path] = []
    apply = operations.Engine.up

    def up(self: operations.Engine, plan: Path, *arguments: Any, **options: Any) -> Any:
        plans.append(plan)
        edit()
        return apply(self, plan, *arguments, **options)

    monkeypatch.setattr(operations.Engine, "up", up)
    return plans


def append(stack: DryStack, number: int) -> tuple[str, str]:
    return (LINE, f'    add_header X-Test "{number}" always;\n{LINE}')


def test_what_is_edited_between_preview_and_up_is_refused_without_its_secrets(
    stack: DryStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, secrets = stack.journal(), canaries(stack)
    with stack.edited(NGINX, append(stack, 1)):
        path = stack.root / NGINX
        first = path.read_text()
        plans = edit_before_up(monkeypatch, lambda: path.write_text(first.replace('"1"', '"2"')))
        outcome = stack.basec("up", code=5)
    assert "up: refused, because it is not in the plan\n" in outcome.stderr
    assert "edge-stack-activation (Command): properties changed" in outcome.stderr
    assert [secret for secret in secrets if secret in outcome.stderr] == []
    assert len(outcome.stderr) < 5000, "the engine tells the whole value that differs, a bundle with its secrets"
    assert stack.journal() == before
    assert not plans[0].exists(), "the plan file is gone in the end"


def test_a_deleted_resource_or_a_new_one_is_refused_too(stack: DryStack, monkeypatch: pytest.MonkeyPatch) -> None:
    before = stack.journal()
    with stack.edited(NGINX, append(stack, 3)):
        inventory = stack.root / "inventory.yaml"
        original = inventory.read_text()
        new = original.replace(
            "egress:", "  - {name: more, droplet: edge, protocol: tcp, ports: [81], from: [cloudflare]}\n\negress:"
        )
        edit_before_up(monkeypatch, lambda: inventory.write_text(new))
        try:
            outcome = stack.basec("up", code=5)
        finally:
            inventory.write_text(original)
    assert "refused, because it is not in the plan" in outcome.stderr
    assert stack.journal() == before


def test_a_saved_plan_is_private_holds_no_secret_and_is_applied_later(stack: DryStack, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    with stack.edited(NGINX, append(stack, 4)):
        document = json.loads(stack.basec("preview", "--save-plan", str(plan), "--json").stdout)
        assert [step["resource"] for step in document["resources"]] == ["edge-stack-activation (Command)"]
        assert stat.S_IMODE(plan.stat().st_mode) == 0o600
        text = plan.read_text()
        assert "edge-stack-activation" in text
        assert [secret for secret in canaries(stack) if secret in text] == []
        stack.basec("up", "--plan", str(plan))
    with stack.edited(NGINX, append(stack, 5)):
        outcome = stack.basec("up", "--plan", str(plan), code=5)
        assert "edge-stack-activation" in outcome.stderr
    stack.basec("up")


def test_the_plan_of_a_refused_edit_is_not_kept(stack: DryStack, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    with stack.edited("inventory.yaml", ("name: data", "name: store")):
        stack.basec("preview", "--save-plan", str(plan), code=5)
    assert not plan.exists()


def test_a_plan_file_that_is_not_there_is_named(stack: DryStack, tmp_path: Path) -> None:
    outcome = stack.basec("up", "--plan", str(tmp_path / "gone.json"), code=2)
    assert outcome.stderr.startswith(
        f"basec: --plan: {tmp_path / 'gone.json'}: no such file\nhint: basec preview --env"
    )


def test_no_plan_is_left_in_the_directory_for_temporary_files(
    stack: DryStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert "up: nothing to do" in stack.basec("up").stderr
    assert list(tmp_path.glob("basec-plan-*")) == []
