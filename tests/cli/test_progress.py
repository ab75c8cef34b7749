"""What a person sees of an engine operation: a line for each resource that took work, errors kept for the end."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from basec.engine.progress import ProgressView, name_of, stage_of

HEAD = "urn:pulumi:local::basecommerce::"
DROPLET = HEAD + "basecommerce:droplet:Droplet$digitalocean:index/droplet:Droplet::edge-droplet"
COMPONENT = HEAD + "basecommerce:droplet:Droplet::edge"
PROVIDER = HEAD + "pulumi:providers:digitalocean::default_4_84_1"
KINDS = (
    *("resource_pre_event", "res_outputs_event", "res_op_failed_event"),
    *("diagnostic_event", "policy_event", "summary_event"),
)


def event(kind: str, **fields: Any) -> SimpleNamespace:
    return SimpleNamespace(**{**dict.fromkeys(KINDS), kind: SimpleNamespace(**fields)})


def step(kind: str, urn: str, op: str) -> SimpleNamespace:
    metadata = SimpleNamespace(urn=urn, op=op, old=None, new=None, keys=None, diffs=None, detailed_diff=None)
    return event(kind, metadata=metadata)


def diagnostic(urn: str, message: str, *, severity: str = "error", ephemeral: bool = False) -> SimpleNamespace:
    return event("diagnostic_event", urn=urn, message=message, severity=severity, ephemeral=ephemeral)


def shown(*events: SimpleNamespace, preview: bool = False) -> tuple[str, ProgressView]:
    text = io.StringIO()
    view = ProgressView(Console(file=text, width=120), preview=preview)
    with view:
        for one in events:
            view.on_event(one)
    return text.getvalue(), view


@pytest.mark.parametrize(
    ("urn", "stage", "name"),
    [
        (DROPLET, "droplets", "edge-droplet (Droplet)"),
        (
            HEAD + "basecommerce:compose:ComposeStack$command:remote:Command::infra-stack",
            "tiers",
            "infra-stack (Command)",
        ),
        (HEAD + "basecommerce:firewall:UfwFirewall$command:remote:Command::ufw", "firewall", "ufw (Command)"),
        (HEAD + "pulumi:pulumi:Stack::basecommerce-local", "stack", "basecommerce-local (Stack)"),
    ],
)
def test_a_resource_is_named_as_a_person_knows_it(urn: str, stage: str, name: str) -> None:
    assert (stage_of(urn), name_of(urn)) == (stage, name)


def test_a_finished_resource_is_one_line_with_its_seconds() -> None:
    text, _ = shown(step("resource_pre_event", DROPLET, "create"), step("res_outputs_event", DROPLET, "create"))
    assert text == f"  droplets  created   {'edge-droplet (Droplet)':<48}    0.0 s\n"


@pytest.mark.parametrize(("urn", "op"), [(DROPLET, "same"), (COMPONENT, "create"), (PROVIDER, "create")])
def test_what_took_no_work_is_not_shown(urn: str, op: str) -> None:
    assert shown(step("resource_pre_event", urn, op), step("res_outputs_event", urn, op))[0] == ""


def test_live_lines_of_a_resource_stay_out_of_a_pipe() -> None:
    start = step("resource_pre_event", DROPLET, "create")
    assert shown(start, diagnostic(DROPLET, "cloud-init", severity="info", ephemeral=True))[0] == ""


def test_errors_are_kept_by_resource_without_the_engines_marks() -> None:
    message = "<{%reset%}>disk is full<{%reset%}>\n"
    _, view = shown(diagnostic(DROPLET, message), diagnostic(DROPLET, message))
    assert view.failures == {DROPLET: ["disk is full"]}


def test_a_preview_lists_the_steps_that_do_something() -> None:
    text, view = shown(
        step("resource_pre_event", COMPONENT, "create"),
        step("resource_pre_event", DROPLET, "replace"),
        step("resource_pre_event", DROPLET, "same"),
        event("summary_event", resource_changes={"same": 3, "create": 1, "replace": 1}),
        preview=True,
    )
    assert text == ""
    assert [(one.op, one.urn) for one in view.steps] == [("replace", DROPLET)]
    assert view.changed == 2


@pytest.mark.parametrize(
    ("changes", "before", "after"),
    [
        ({"same": 3}, "nothing to change, 3 unchanged", "nothing changed, 3 unchanged"),
        (
            {"delete": 1, "same": 3, "create": 2, "update": 4, "replace": 5},
            "2 to create, 4 to update, 5 to replace, 1 to delete, 3 unchanged",
            "2 created, 4 updated, 5 replaced, 1 deleted, 3 unchanged",
        ),
        ({"of-tomorrow": 1}, "1 of-tomorrow, 0 unchanged", "1 of-tomorrow, 0 unchanged"),
    ],
)
def test_changes_are_counted_in_words_before_and_after(changes: dict[str, int], before: str, after: str) -> None:
    for preview, words in ((True, before), (False, after)):
        _, view = shown(event("summary_event", resource_changes=changes), preview=preview)
        assert view.summary == words


def test_an_operation_that_nobody_knows_counts_as_a_change() -> None:
    _, view = shown(event("summary_event", resource_changes={"of-tomorrow": 1}), preview=True)
    assert view.changed == 1


def test_a_preview_keeps_the_files_of_a_release_before_and_after() -> None:
    urn = HEAD + "basecommerce:compose:ComposeStack::edge-stack"
    for old, new, kept in (({"files": {"a": "1"}}, {"files": {"a": "2"}}, True), ({}, {"files": {"a": "2"}}, False)):
        told = step("res_outputs_event", urn, "update")
        metadata = told.res_outputs_event.metadata
        metadata.old, metadata.new = SimpleNamespace(outputs=old), SimpleNamespace(outputs=new)
        _, view = shown(told, preview=True)
        assert view.releases == ({urn: ({"a": "1"}, {"a": "2"})} if kept else {})


@pytest.mark.parametrize(("before", "after", "changed"), [({"a": 1}, {"a": 1}, False), ({"a": 1}, {"a": 2}, True)])
def test_a_preview_tells_whether_exports_change(before: object, after: object, changed: bool) -> None:
    stack = SimpleNamespace(urn=HEAD + "pulumi:pulumi:Stack::basecommerce-local", op="same")
    old, new = SimpleNamespace(outputs=before), SimpleNamespace(outputs=after)
    stack.old, stack.new = old, new
    _, view = shown(event("res_outputs_event", metadata=stack), preview=True)
    assert view.exports_changed is changed


VIOLATION = (
    f"resource {COMPONENT} violates plan: properties changed: "
    '~~stdin[{&{{"postgres_password":"s3cret-of-postgres"}}}!={&{{}}}], ++more[x]'
)


def test_a_violated_plan_is_told_without_the_values_that_the_engine_tells() -> None:
    text, view = shown(diagnostic("", VIOLATION))
    assert view.plan_mismatch == "edge (Droplet): properties changed (stdin)"
    assert "s3cret" not in text
    assert view.failures == {}


def test_a_preview_keeps_the_steps_of_what_holds_data_the_unchanged_too() -> None:
    def state(protect: bool, **inputs: str) -> SimpleNamespace:
        return SimpleNamespace(protect=protect, inputs=inputs)

    def told(op: str, urn: str) -> SimpleNamespace:
        old, new = state(True, image="a"), state(False, image="b")
        causes = {"keys": ["image"], "diffs": ["image"], "detailed_diff": None}
        return event("resource_pre_event", metadata=SimpleNamespace(urn=urn, op=op, old=old, new=new, **causes))

    _, view = shown(told("same", DROPLET), told("update", COMPONENT), preview=True)
    (kept,) = view.stateful
    assert (kept.op, kept.urn, kept.causes, kept.differs) == ("same", DROPLET, ("image",), ("image",))
    assert (kept.old_inputs, kept.new_inputs) == ({"image": "a"}, {"image": "b"})
    assert (kept.old_protect, kept.new_protect, view.protection_changed) == (True, False, True)


def test_in_a_terminal_it_counts_and_has_a_line_for_each_host_that_is_busy() -> None:
    command = HEAD + "basecommerce:images:ImagePull$command:remote:Command::infra-images-pull"
    record = HEAD + "cloudflare:index/dnsRecord:DnsRecord::dns-wildcard"
    console = Console(file=io.StringIO(), force_terminal=True, width=40)
    view = ProgressView(console, hosts={DROPLET: "edge", command: "infra", record: ""})
    for one in (
        step("resource_pre_event", DROPLET, "create"),
        step("resource_pre_event", COMPONENT, "create"),
        step("resource_pre_event", command, "create"),
        step("resource_pre_event", record, "create"),
        diagnostic(command, "pulling postgres\n", severity="info", ephemeral=True),
        step("res_outputs_event", DROPLET, "create"),
    ):
        view.on_event(one)
    assert view.now() == ["[1/3] 0 s", "  infra: infra-images-pull: pulling ", "  account: dns-wildcard"]
    assert max(map(len, view.now())) <= 36


def test_a_preview_shows_its_seconds_while_it_looks() -> None:
    view = ProgressView(Console(file=io.StringIO(), force_terminal=True, width=80), preview=True)
    assert view.now() == ["0 s"]
