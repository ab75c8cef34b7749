"""Each rule of the pack: the whole stack passes it, and each way to break it is named with what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from policy.checks import FIREWALL, RECORD
from policy.pack import RESOURCE_CHECKS, STACK_CHECKS, judge, judge_files, judge_stack
from policy.resources import UNKNOWN, Resource
from policy.stack import Stack
from tests.policy.fixtures import PASSWORD, resource, spoil, stack, whole
from topology.dangerous_edits import Refusal, RefusedPlanError
from topology.policy_rules import RULES, Violation

Edit = Callable[[dict[str, Resource], Stack], None]


def violations(resources: Iterable[Resource], judged: Stack) -> list[Violation]:
    """Judge everything, as the engine has it done."""
    listed = list(resources)
    single = [violation for item in listed for violation in judge(item, judged)]
    return [*single, *(violation for violation, _ in judge_stack(listed, judged)), *judge_files(judged)]


def change(name: str, path: str, value: object) -> Edit:
    def edit(parts: dict[str, Resource], _stack: Stack) -> None:
        parts[name] = spoil(parts[name], path, value)

    return edit


def option(name: str, **options: Any) -> Edit:
    def edit(parts: dict[str, Resource], _stack: Stack) -> None:
        parts[name] = replace(parts[name], **options)

    return edit


def drop(*names: str) -> Edit:
    def edit(parts: dict[str, Resource], _stack: Stack) -> None:
        for name in names:
            del parts[name]

    return edit


def both_droplets_by_id(parts: dict[str, Resource], _stack: Stack) -> None:
    wall = spoil(parts["edge-firewall"], "tags", [])
    parts["edge-firewall"] = replace(wall, property_dependencies={"dropletIds": frozenset({parts["edge"].urn})})


def second_firewall(parts: dict[str, Resource], judged: Stack) -> None:
    properties = {"tags": ["basecommerce"], "name": judged.project.physical_name("more")}
    parts["more"] = resource(FIREWALL, "more", properties)


def direct(parts: dict[str, Resource], _stack: Stack) -> None:
    parts["vertical-command"] = spoil(parts["vertical-command"], "connection.proxy", None)


def direct_by_address(parts: dict[str, Resource], judged: Stack) -> None:
    direct(parts, judged)
    command = replace(parts["vertical-command"], property_dependencies={})
    parts["vertical-command"] = spoil(command, "connection.host", "203.0.113.7")
    parts["vertical"] = spoil(parts["vertical"], "ipv4Address", "203.0.113.7")


def record_of_droplet(parts: dict[str, Resource], _stack: Stack) -> None:
    parts["apex"] = replace(parts["apex"], property_dependencies={"content": frozenset({parts["infra"].urn})})


def no_way_in(name: str, **changes: Any) -> Edit:
    """Take SSH out of a droplet's firewall, or change its rule for port 22."""

    def edit(parts: dict[str, Resource], _stack: Stack) -> None:
        wall = parts[f"{name}-firewall"]
        rules = [{**rule, **changes} if rule["portRange"] == "22" else rule for rule in wall.tables("inboundRules")]
        kept = [rule for rule in rules if changes or rule["portRange"] != "22"]
        parts[f"{name}-firewall"] = spoil(wall, "inboundRules", kept)

    return edit


def text_record_with_address(parts: dict[str, Resource], judged: Stack) -> None:
    parts["edge"] = spoil(parts["edge"], "ipv4Address", "203.0.113.7")
    properties = {"name": f"origin.{judged.project.settings.domain}", "type": "TXT", "content": "203.0.113.7"}
    parts["origin"] = resource(RECORD, "origin", properties)


def edited_template(parts: dict[str, Resource], judged: Stack) -> None:
    text = str(parts["edge"].get("userData"))
    parts["edge"] = spoil(parts["edge"], "userData", text.replace("PermitRootLogin no", "PermitRootLogin yes"))


def secret_in_user_data(parts: dict[str, Resource], judged: Stack) -> None:
    parts["edge"] = spoil(parts["edge"], "userData", f"{parts['edge'].get('userData')}# {PASSWORD}\n")


def earlier_template(*, ignored: bool) -> Edit:
    def edit(parts: dict[str, Resource], _stack: Stack) -> None:
        text = str(parts["edge"].get("userData"))
        lines = text.splitlines(keepends=True)
        at = next(n for n, line in enumerate(lines) if "basecommerce-template" in line) + 3
        lines[at] = "      0123456789ab\n"
        edge = spoil(parts["edge"], "userData", "".join(lines))
        parts["edge"] = edge if ignored else replace(edge, ignore_changes=())

    return edit


OPEN = ["0.0.0.0/0"]
BROKEN: list[tuple[str, str, Edit, str]] = [
    ("BC01", "postgres", change("infra-firewall", "inboundRules.0.sourceAddresses", OPEN), "tcp 22 from 0.0.0.0/0"),
    ("BC01", "web", change("edge-firewall", "inboundRules.0.sourceAddresses", OPEN), "tcp 80 from 0.0.0.0/0"),
    ("BC01", "ipv6", change("edge-firewall", "inboundRules.0.sourceAddresses", ["::/0"]), "tcp 80 from ::/0"),
    ("BC01", "other-port", change("edge-firewall", "inboundRules.0.portRange", "1-65535"), "tcp 1-65535 from "),
    ("BC02", "none", drop("edge-firewall"), "0 firewalls: none"),
    ("BC02", "two", second_firewall, "2 firewalls"),
    ("BC02", "late", option("edge", dependencies=frozenset()), "nothing makes it wait"),
    ("BC02", "by-id", both_droplets_by_id, "so it is made after it"),
    ("BC03", "address", change("infra-firewall", "inboundRules.0.sourceAddresses", ["10.80.0.0/20"]), "tcp 22 from 10"),
    ("BC03", "neighbours", change("edge-firewall", "inboundRules.1.sourceAddresses", OPEN), "which contains the VPC"),
    ("BC03", "tag", change("infra-firewall", "inboundRules.0.sourceTags", ["web"]), "from tags web"),
    ("BC03", "numbers", change("infra-firewall", "inboundRules.0.sourceDropletIds", [7]), "from sourceDropletIds"),
    ("BC03", "port", change("infra-firewall", "inboundRules.0.portRange", "9000"), "tcp 9000 is open"),
    ("BC03", "untagged", change("infra-firewall", "tags", ["web"]), "tags: web"),
    ("BC04", "all-ports", change("edge-firewall", "outboundRules.0.portRange", "1-65535"), "tcp 1-65535 to 0.0.0.0/0"),
    ("BC05", "key", change("edge", "sshKeys", []), "ssh_keys: none"),
    ("BC05", "vpc", change("edge", "vpcUuid", None), "vpc_uuid: not set"),
    ("BC05", "ipv6", change("edge", "ipv6", True), "ipv6: true"),
    ("BC06", "image", change("edge", "image", "ubuntu-24-04-x64"), "image: ubuntu-24-04-x64"),
    ("BC06", "size", change("edge", "size", "s-8vcpu-16gb"), "size: s-8vcpu-16gb"),
    ("BC06", "region", change("volume", "region", "ams3"), "region: ams3"),
    ("BC07", "volume", option("volume", protect=False), "protect: off"),
    ("BC07", "address", option("address", protect=False), "protect: off"),
    ("BC07", "bucket", option("bucket", protect=False), "protect: off"),
    ("BC07", "droplet", option("infra", protect=False), "protect: off"),
    ("BC08", "none", change("edge", "userData", None), "user_data: none"),
    ("BC08", "clear", option("edge", secret=frozenset()), "in clear in the state"),
    ("BC08", "large", change("edge", "userData", "#" * 70_000), "70000 bytes"),
    ("BC08", "other", change("edge", "userData", "#!/bin/sh\n"), "is not made from cloud-init/"),
    ("BC08", "edited", edited_template, "but differs from it"),
    ("BC08", "password", secret_in_user_data, "holds the value of postgres_password"),
    ("BC08", "earlier", earlier_template(ignored=False), "of an earlier template (0123456789ab)"),
    ("BC09", "public", change("bucket", "acl", "public-read"), "acl: public-read"),
    ("BC09", "versions", change("bucket", "versioning.enabled", False), "versioning: off"),
    ("BC09", "lifecycle", change("bucket", "lifecycleRules", []), "lifecycle_rules: none"),
    ("BC09", "force", change("bucket", "forceDestroy", True), "force_destroy: true"),
    ("BC10", "agent", change("edge", "monitoring", False), "monitoring: off"),
    ("BC10", "disk", drop("alert-disk_utilization_percent"), "no alert for disk"),
    ("BC10", "uptime", drop("check-alert"), "no uptime check with an alert"),
    ("BC11", "bare", change("apex", "proxied", False), "proxied: off"),
    ("BC11", "private", change("apex", "content", "10.80.0.2"), "a private address"),
    ("BC11", "droplet", record_of_droplet, "leads to infra-droplet (Droplet) itself"),
    ("BC11", "text", text_record_with_address, "leads to edge-droplet (Droplet) itself"),
    ("BC12", "flexible", change("ssl", "value", "flexible"), "ssl: flexible"),
    ("BC12", "old-tls", change("min_tls_version", "value", "1.0"), "min_tls_version: 1.0"),
    ("BC12", "http", change("always_use_https", "value", "off"), "always_use_https: off"),
    ("BC12", "undeclared", drop("ssl"), "not declared: ssl"),
    ("BC12", "pulls-off", change("pulls", "enabled", False), "not declared: authenticated origin pulls"),
    ("BC12", "shared-certificate", drop("pulls-certificate"), "our own client certificate"),
    ("BC13", "deep", change("apex", "name", "*.shop.basecommerce.com.br"), "name: *.shop.basecommerce.com.br"),
    ("BC13", "relative", change("apex", "name", "www"), "name: www"),
    ("BC14", "host-key", change("edge-command", "connection.hostKey", None), "connection.host_key: none"),
    ("BC14", "proxy-key", change("vertical-command", "connection.proxy.hostKey", None), "connection.proxy.host_key"),
    ("BC14", "root", change("edge-command", "connection.user", "root"), "connection.user: root"),
    ("BC14", "port", change("edge-command", "connection.port", 2222.0), "connection.port: 2222"),
    ("BC14", "password", change("edge-command", "connection.password", "letmein"), "connection.password: set"),
    ("BC14", "direct", direct, "no proxy on the way to vertical-droplet"),
    ("BC14", "direct-by-address", direct_by_address, "no proxy on the way to vertical-droplet"),
    ("BC15", "logging", change("edge-command", "logging", None), "logging: on"),
    ("BC15", "output", option("edge-command", secret_outputs=("stdout",)), "stderr: in clear"),
    ("BC15", "previous", change("edge-command", "addPreviousOutputInEnv", None), "add_previous_output_in_env: on"),
    ("BC15", "environment", change("edge-command", "environment", {"A": "b"}), "environment: set"),
    ("BC15", "triggers", change("edge-command", "triggers", [UNKNOWN]), "triggers: set"),
    ("BC15", "delete", change("edge-command", "delete", "set -euo pipefail\nrm -rf /x\n"), "delete: runs after"),
    ("BC16", "secret", change("edge-command", "create", f"set -euo pipefail\nlogin {PASSWORD}"), "postgres_password"),
    ("BC16", "flagged", option("edge-command", secret=frozenset({"create"})), "create: made from a secret"),
    ("BC16", "pipe", change("edge-command", "create", "set -euo pipefail\ncurl -s https://x | sudo sh\n"), "pipes"),
    ("BC16", "goes-on", change("edge-command", "create", "apt-get update; apt-get upgrade"), "goes on after an error"),
    ("BC16", "token", change("edge-command", "create", "set -euo pipefail\n: dop_v1_" + "a" * 64), "a key or token"),
    ("BC21", "edge", no_way_in("edge"), "tcp 22: closed to operators"),
    ("BC21", "vertical", no_way_in("vertical"), "tcp 22: closed to operators"),
    ("BC21", "infra-port", no_way_in("infra", portRange="2222"), "tcp 22: closed to operators"),
    ("BC21", "infra-peer", no_way_in("infra", sourceTags=["basecommerce-production-vertical"]), "tcp 22: closed"),
    ("BC21", "edge-range", no_way_in("edge", sourceAddresses=["::/0"]), "tcp 22: closed to operators"),
    ("BC20", "name", change("volume", "name", "data"), "name: data"),
    ("BC20", "check", change("check", "name", "health"), "name: health"),
    ("BC20", "tags", change("edge", "tags", ["basecommerce-production-edge"]), "tags: basecommerce-production-edge"),
    ("BC20", "provider", change("provider", "version", "4.0.0"), "version: 4.0.0"),
    ("BC20", "any-provider", change("provider", "version", None), "version: any"),
]


def test_the_whole_stack_breaks_no_rule() -> None:
    judged = stack()
    assert [found.render() for found in violations(whole(judged.project).values(), judged)] == []


@pytest.mark.parametrize(("rule", "edit", "says"), [pytest.param(r, e, s, id=f"{r}-{n}") for r, n, e, s in BROKEN])
def test_each_way_to_break_a_rule_is_named(rule: str, edit: Edit, says: str) -> None:
    judged = stack()
    parts = whole(judged.project)
    edit(parts, judged)
    found = [violation for violation in violations(parts.values(), judged) if violation.rule.id == rule]
    assert any(says in violation.found for violation in found), [violation.render() for violation in found]
    for violation in found:
        assert violation.resource
        assert violation.wanted
        assert PASSWORD not in violation.render()
        assert violation.rule.id in violation.render()


FIXES = {
    "BC02-two": "keep the one that inventory.yaml makes",
    "BC03-port": "close it, or open it for infra in the table `firewall`",
    "BC03-untagged": "pass the tag as `tags`",
    "BC03-neighbours": "take the rules from topology/firewall.py",
    "BC06-region": "take `region` from the stack's settings",
    "BC08-none": "pass what render_user_data of topology/cloud_init.py returns",
    "BC08-clear": "wrap it in Output.secret",
    "BC08-large": "shorten cloud-init/",
    "BC08-other": "pass what render_user_data of topology/cloud_init.py returns",
    "BC08-edited": "pass what render_user_data of topology/cloud_init.py returns",
    "BC20-provider": "install requirements.txt (scripts/bootstrap), and pass no version",
}
"""Where the rule's own fix does not solve the case."""


@pytest.mark.parametrize(
    ("rule", "edit", "says", "fix"),
    [pytest.param(r, e, s, FIXES[f"{r}-{n}"], id=f"{r}-{n}") for r, n, e, s in BROKEN if f"{r}-{n}" in FIXES],
)
def test_a_case_that_the_rules_own_fix_does_not_solve_has_its_own_fix(
    rule: str, edit: Edit, says: str, fix: str
) -> None:
    judged = stack()
    parts = whole(judged.project)
    edit(parts, judged)
    found = [each for each in violations(parts.values(), judged) if each.rule.id == rule and says in each.found]
    assert found
    assert all(each.fix.startswith(fix) and f"fix: {fix}" in each.render() for each in found)


def test_every_rule_of_the_pack_has_a_failing_fixture() -> None:
    told = {rule for rule, _ in (*RESOURCE_CHECKS, *STACK_CHECKS)}
    assert {rule for rule, *_ in BROKEN} == told


def test_what_is_marked_for_the_pack_is_judged_by_it() -> None:
    told = {rule for rule, _ in (*RESOURCE_CHECKS, *STACK_CHECKS)}
    assert {rule.id for rule in RULES.values() if "pack" in rule.where} <= told


def test_what_is_marked_for_the_plan_is_found_by_its_judge() -> None:
    kinds = ("replace", "delete", "image", "shrink", "protect", "destroy")
    told = {RefusedPlanError([Refusal(rule=kind, stack="x", why="", loss="")]).render().split()[0] for kind in kinds}
    assert {rule.id for rule in RULES.values() if "plan" in rule.where} == told


def test_a_rule_goes_on_with_what_is_known_when_a_value_is_not() -> None:
    judged = stack()
    parts = whole(judged.project)
    edge = spoil(parts["edge"], "userData", UNKNOWN)
    assert list(judge(edge, judged)) == []
    assert [found.rule.id for found in judge(spoil(edge, "monitoring", None), judged)] == ["BC10"]


def test_a_running_droplet_keeps_the_template_that_it_was_born_from() -> None:
    judged = stack()
    parts = whole(judged.project)
    earlier_template(ignored=True)(parts, judged)
    assert list(judge(parts["edge"], judged)) == []


def test_what_the_operator_named_may_lose_its_protection() -> None:
    judged = stack()
    volume = replace(whole(judged.project)["volume"], protect=False)
    (found,) = judge(volume, judged)
    assert found.fix.endswith("to let it go: --allow-replace " + volume.urn.rsplit("::", maxsplit=1)[-1])
    assert list(judge(volume, replace(judged, allowed=frozenset({volume.urn})))) == []


def test_advice_never_stops_anything() -> None:
    judged = stack()
    parts = whole(judged.project)
    change("edge-firewall", "outboundRules.0.portRange", "1-65535")(parts, judged)
    drop("check-alert")(parts, judged)
    found = violations(parts.values(), judged)
    assert {(violation.rule.id, violation.severity) for violation in found} == {
        ("BC04", "advisory"),
        ("BC10", "advisory"),
    }


def test_an_alias_to_somebody_else_needs_no_proxy() -> None:
    judged = stack()
    content = {"name": "mail.basecommerce.com.br", "type": "CNAME", "content": "mail.example.net", "proxied": False}
    assert list(judge(resource(RECORD, "mail", content), judged)) == []
    ours = {**content, "content": "shop.basecommerce.com.br"}
    assert [found.rule.id for found in judge(resource(RECORD, "mail", ours), judged)] == ["BC11"]


def test_a_local_stack_may_be_thrown_away_and_may_be_flexible() -> None:
    judged = stack("local", ssl="flexible")
    parts = whole(judged.project)
    for name in ("edge", "vertical", "infra", "volume", "address", "bucket"):
        parts[name] = replace(parts[name], protect=False)
    drop("ssl", "min_tls_version", "always_use_https", "pulls", "pulls-certificate")(parts, judged)
    assert [found.render() for found in violations(parts.values(), judged)] == []


def test_a_local_stack_that_says_strict_must_be_strict() -> None:
    judged = stack("local", ssl="strict")
    parts = whole(judged.project)
    drop("always_use_https")(parts, judged)
    assert {found.rule.id for found in violations(parts.values(), judged)} == {"BC12"}
