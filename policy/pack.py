"""Which check belongs to which rule. Checks of one resource stop `up` before it is made; the others at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from policy import command_rules, domain_rules, machine_rules, network_rules, stack_rules
from policy.checks import FileCheck, Finding, ResourceCheck, StackCheck
from policy.resources import Resource
from policy.stack import Stack
from topology.policy_rules import RULES, Violation

RESOURCE_CHECKS: tuple[tuple[str, ResourceCheck], ...] = (
    ("BC01", network_rules.no_public_ingress),
    ("BC03", network_rules.only_named_peers),
    ("BC04", network_rules.narrow_egress),
    ("BC05", machine_rules.droplet_birth),
    ("BC06", machine_rules.known_choices),
    ("BC07", machine_rules.kept_things),
    ("BC08", machine_rules.user_data),
    ("BC09", machine_rules.safe_bucket),
    ("BC10", machine_rules.monitored),
    ("BC11", domain_rules.proxied),
    ("BC12", domain_rules.strict_setting),
    ("BC13", domain_rules.shallow_names),
    ("BC14", command_rules.checked_connection),
    ("BC15", command_rules.quiet_command),
    ("BC16", command_rules.clean_text),
    ("BC20", stack_rules.named_after_stack),
    ("BC20", stack_rules.pinned_provider),
)
STACK_CHECKS: tuple[tuple[str, StackCheck], ...] = (
    ("BC02", network_rules.one_firewall_first),
    ("BC10", machine_rules.alerts_exist),
    ("BC11", domain_rules.no_droplet_in_dns),
    ("BC12", domain_rules.strict_zone),
    ("BC14", command_rules.through_the_edge),
    ("BC21", network_rules.way_in),
)
FILE_CHECKS: tuple[tuple[str, FileCheck], ...] = (
    ("BC19", stack_rules.kept_secrets),
    ("BC23", stack_rules.separate_stacks),
)


def judge(resource: Resource, stack: Stack) -> Iterator[Violation]:
    """Judge one resource by its inputs."""
    for rule, check in RESOURCE_CHECKS:
        for finding in check(resource, stack):
            yield _violation(rule, finding, resource.label)


def judge_files(stack: Stack) -> Iterator[Violation]:
    """Judge what is known before any resource is declared."""
    for rule, check in FILE_CHECKS:
        for finding in check(stack):
            yield _violation(rule, finding, finding.place)
    yield from stack_rules.shipped_files(stack)


def judge_stack(resources: Sequence[Resource], stack: Stack) -> Iterator[tuple[Violation, str]]:
    """Judge all resources together; each violation comes with the URN that it belongs to (empty: the stack)."""
    for rule, check in STACK_CHECKS:
        for finding in check(resources, stack):
            where = finding.resource
            yield _violation(rule, finding, where.label if where else finding.place), where.urn if where else ""


def _violation(rule: str, finding: Finding, resource: str) -> Violation:
    return Violation(
        rule=RULES[rule],
        resource=resource,
        found=finding.found,
        wanted=finding.wanted,
        fix=finding.fix,
        advisory=finding.advisory,
    )
