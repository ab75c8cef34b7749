"""What an operator sees of the rules: a refused preview, its exit code, its JSON, and advice in a line."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from rich.console import Console

from basec.engine import policy_pack
from basec.engine.progress import ProgressView
from basec.environments import resolve
from tests.cli.conftest import DRY_NAME, REPOSITORY
from topology.errors import ExitCode
from topology.policy_rules import RULES, Violation

URN = "urn:pulumi:local::basecommerce::digitalocean:index/droplet:Droplet::edge-droplet"


def event(rule: str, severity: str, found: str) -> SimpleNamespace:
    """Make what the engine passes on of a violation."""
    shown = Violation(rule=RULES[rule], resource="edge-droplet (Droplet)", found=found, wanted="w")
    kinds = ("resource_pre_event", "res_outputs_event", "res_op_failed_event", "diagnostic_event", "summary_event")
    judged = SimpleNamespace(
        policy_name=rule,
        enforcement_level=severity,
        resource_urn=URN,
        message=f"{RULES[rule].title}\n{shown.details()}\n",
    )
    return SimpleNamespace(**dict.fromkeys(kinds), policy_event=judged)


def view_of(*events: SimpleNamespace, preview: bool = True) -> tuple[str, ProgressView]:
    text = io.StringIO()
    view = ProgressView(Console(file=text, width=200), preview=preview)
    for one in events:
        view.on_event(one)
    return text.getvalue(), view


def test_a_refusal_is_a_block_for_each_case_in_the_order_of_rules() -> None:
    _, view = view_of(event("BC10", "mandatory", "monitoring: off"), event("BC05", "mandatory", "ipv6: true"))
    error = policy_pack.PolicyError("staging", view.violations)
    assert error.exit_code == ExitCode.REFUSED
    lines = error.render().splitlines()
    assert lines[:2] == ["basec: staging: refused by the rules, nothing was touched", "2 violations of 2 rules"]
    assert lines[2:7] == [
        f"BC05 {RULES['BC05'].title}",
        "  resource: edge-droplet (Droplet)",
        "  found: ipv6: true",
        "  wanted: w",
        f"  fix: {RULES['BC05'].fix}",
    ]
    assert lines[-1].startswith("hint: ")
    assert lines[-1].endswith("; more: basec explain BC05")


def test_advice_is_one_line_of_the_preview_and_refuses_nothing() -> None:
    text, view = view_of(event("BC04", "advisory", "tcp 1-65535"))
    assert text == "  advice: BC04 edge-droplet (Droplet): tcp 1-65535; wanted: w\n"
    assert not policy_pack.refused(view.violations)
    assert view_of(event("BC04", "advisory", "tcp 1-65535"), preview=False)[0] == ""


def test_the_pack_gets_our_interpreter_and_the_stacks_file() -> None:
    given = policy_pack.variables(resolve("staging"))
    assert given["PATH"].split(":")[0] == str(Path(sys.executable).parent)
    assert given["BASECOMMERCE_STACK_FILE"].endswith("/Pulumi.staging.yaml")
    assert (REPOSITORY / policy_pack.PACK).is_file()
    assert os.access(REPOSITORY / policy_pack.PACK, os.X_OK)


@pytest.mark.engine
def test_a_preview_with_a_secret_in_clear_is_refused_and_touches_nothing(dry_stack: Path) -> None:
    """The whole way: the engine with dry plugins, the pack as a program, exit code, block and JSON."""
    subprocess.run([sys.executable, "-m", "basec", "init", "--env", DRY_NAME], cwd=dry_stack, check=True)
    file = dry_stack / ".local" / "local-dry" / "Pulumi.local-dry.yaml"
    document = yaml.safe_load(file.read_text())
    document["config"]["basecommerce:old_password"] = "hunter2-in-clear"
    file.write_text(yaml.safe_dump(document))

    def run(*words: str) -> Any:
        command = [sys.executable, "-m", "basec", *words, "--env", DRY_NAME]
        return subprocess.run(command, cwd=dry_stack, capture_output=True, text=True, check=False)

    for words in (("up",), ("preview", "--json")):
        done = run(*words)
        assert done.returncode == 5, done.stderr
        assert (
            "basec: local-dry: refused by the rules, nothing was touched\n1 violation of 1 rule\nBC19 " in done.stderr
        )
        assert "  resource: Pulumi.local-dry.yaml: config.basecommerce:old_password" in done.stderr
        assert "hunter2" not in done.stderr + done.stdout
    told = json.loads(done.stdout)
    assert [violation["rule"] for violation in told["violations"] if violation["severity"] == "mandatory"] == ["BC19"]
    state = dry_stack / ".local" / "local-dry" / "state/.pulumi/stacks/basecommerce/local-dry.json"
    assert not (json.loads(state.read_text())["checkpoint"]["latest"] or {}).get("resources")
