"""What goes over the wire: unknown and secret values, the stack's file, answers to the engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import struct_pb2
from pulumi.runtime.proto import analyzer_pb2 as wire

from basec.engine.policy_pack import allow
from policy import analyzer as analyzer_module
from policy.analyzer import Analyzer, read
from policy.resources import SECRET, SIGNATURE, UNKNOWN, has_secret, plain
from policy.stack import NoStackError, Stack, find_file, load_stack
from tests.policy.fixtures import PASSWORD, stack
from topology.names import STACK_FILE_VARIABLE
from topology.policy_rules import RULES, Violation

UNKNOWN_TEXT = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
DROPLET_URN = "urn:pulumi:production::basecommerce::digitalocean:index/droplet:Droplet::edge"


class RefusalError(Exception):
    """What a gRPC context raises when a call is aborted."""


class Context:
    """The part of a gRPC context that the pack uses."""

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise RefusalError(f"{code.name}: {details}")


def secret(value: Any) -> dict[str, Any]:
    return {SIGNATURE: SECRET, "value": value}


def struct(values: dict[str, Any]) -> struct_pb2.Struct:
    result = struct_pb2.Struct()
    result.update(values)
    return result


def test_unknown_values_and_secrets_are_told_apart() -> None:
    sent = {"a": UNKNOWN_TEXT, "b": secret("s"), "c": [{"d": secret(UNKNOWN_TEXT)}], "e": 1.0}
    assert plain(sent) == {"a": UNKNOWN, "b": "s", "c": [{"d": UNKNOWN}], "e": 1.0}
    assert {key for key, value in sent.items() if has_secret(value)} == {"b", "c"}


def test_a_resource_is_read_with_its_options() -> None:
    options = wire.AnalyzerResourceOptions(
        protect=True, ignoreChanges=["image"], additionalSecretOutputs=["stdout"], deleteBeforeReplace=True
    )
    request = wire.AnalyzeRequest(
        type="t", urn=DROPLET_URN, name="edge", options=options, properties=struct({"userData": secret("x")})
    )
    resource = read(request)
    assert (resource.protect, resource.ignore_changes, resource.secret_outputs) == (True, ("image",), ("stdout",))
    assert resource.delete_before_replace
    assert resource.secret == {"userData"}
    assert "x" not in repr(resource).replace("index", "")


def test_a_violation_comes_back_with_rule_level_and_the_four_parts() -> None:
    request = wire.AnalyzeRequest(type="digitalocean:index/droplet:Droplet", urn=DROPLET_URN, name="edge")
    answer = Analyzer().Analyze(request, Context())
    by_rule = {diagnostic.policyName: diagnostic for diagnostic in answer.diagnostics}
    assert {"BC05", "BC06", "BC07", "BC08", "BC10", "BC20"} == set(by_rule)
    lines = by_rule["BC10"].message.splitlines()
    assert lines[0] == RULES["BC10"].title
    assert [line.split(":")[0] for line in lines[1:]] == ["resource", "found", "wanted", "fix"]
    assert by_rule["BC10"].enforcementLevel == wire.EnforcementLevel.MANDATORY
    assert by_rule["BC10"].urn == DROPLET_URN


def test_secret_settings_of_the_engine_are_compared_with_and_never_shown() -> None:
    analyzer = Analyzer()
    request = wire.AnalyzerStackConfigureRequest(
        stack="production",
        config={"basecommerce:redis_password": PASSWORD, "basecommerce:settings": "{}"},
        config_secret_keys=["basecommerce:redis_password"],
    )
    analyzer.ConfigureStack(request, Context())
    properties = struct({"create": f"set -euo pipefail\nredis-cli -a {PASSWORD}\n"})
    command = wire.AnalyzeRequest(type="command:remote:Command", urn=DROPLET_URN, name="c", properties=properties)
    answer = analyzer.Analyze(command, Context())
    assert any("the value of redis_password" in item.message for item in answer.diagnostics)
    assert PASSWORD not in str(answer)


def test_every_rule_is_announced() -> None:
    info = Analyzer().GetAnalyzerInfo(None, Context())
    assert [policy.name for policy in info.policies] == list(RULES)


def test_an_unknown_stack_is_refused() -> None:
    urn = DROPLET_URN.replace("production", "qa")
    with pytest.raises(RefusalError, match=r"no settings, neither Pulumi.qa.yaml"):
        Analyzer().Analyze(wire.AnalyzeRequest(urn=urn, type="t", name="n"), Context())


def test_a_local_stack_is_found_where_basec_renders_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(STACK_FILE_VARIABLE, raising=False)
    tracked = tmp_path / "Pulumi.local.yaml"
    tracked.write_text("{}")
    assert find_file("local", tmp_path) == tracked
    rendered = tmp_path / ".local" / "local" / "Pulumi.local.yaml"
    rendered.parent.mkdir(parents=True)
    rendered.write_text("{}")
    assert find_file("local", tmp_path) == rendered


def test_a_named_file_must_be_there_and_of_the_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STACK_FILE_VARIABLE, str(tmp_path / "Pulumi.staging.yaml"))
    with pytest.raises(NoStackError, match="there is no file"):
        find_file("staging", tmp_path)
    with pytest.raises(NoStackError, match="is not the file of the stack 'production'"):
        find_file("production", tmp_path)


def test_what_basec_allows_reaches_the_pack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASECOMMERCE_ALLOW_REPLACE", "")
    monkeypatch.delenv(STACK_FILE_VARIABLE, raising=False)
    allow(["urn:one", "urn:two"])
    assert load_stack("staging", {}).allowed == {"urn:one", "urn:two"}


def test_wrong_settings_are_refused_with_their_problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "Pulumi.staging.yaml"
    file.write_text("config:\n  basecommerce:settings: {domain: 7}\n")
    monkeypatch.setenv(STACK_FILE_VARIABLE, str(file))
    with pytest.raises(NoStackError, match=r"basecommerce:settings.domain: expected a domain name, got the number 7"):
        load_stack("staging", {})


def test_a_file_that_cannot_be_read_is_a_refusal_with_its_reason(tmp_path: Path) -> None:
    judged = stack()
    (tmp_path / "Pulumi.other.yaml").write_text("config: [\n")
    analyzer = Analyzer()
    analyzer._stacks["production"] = replace(judged, project=replace(judged.project, root=tmp_path))
    request = wire.AnalyzeStackRequest(resources=[wire.AnalyzerResource(urn=DROPLET_URN, type="t", name="n")])
    with pytest.raises(RefusalError, match=r"a file cannot be judged\nPulumi.other.yaml: is not valid YAML"):
        analyzer.AnalyzeStack(request, Context())


def test_files_are_judged_once_and_with_the_whole_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def judge(judged: Stack) -> list[Violation]:
        asked.append(judged.project.stack)
        return [Violation(rule=RULES["BC18"], resource="compose", found="a", wanted="b", fix="c")]

    monkeypatch.setattr(analyzer_module, "judge_files", judge)
    analyzer = Analyzer()
    analyzer._stacks["production"] = stack()
    request = wire.AnalyzeStackRequest(resources=[wire.AnalyzerResource(urn=DROPLET_URN, type="t", name="n")])
    for _ in range(2):
        answer = analyzer.AnalyzeStack(request, Context())
        assert "BC18" in {diagnostic.policyName for diagnostic in answer.diagnostics}
    assert asked == ["production"]
