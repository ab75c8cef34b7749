"""Production's own settings on a dry cloud: what is protected goes only when it is named, and then it does go."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.dry import DryStack, clone_of_the_program, production_stack

pytestmark = pytest.mark.engine

SETTINGS = "Pulumi.production.yaml"
PROTECTED = ["edge-droplet", "edge-reserved-ip", "infra-droplet", "infra-volume", "vertical-droplet"]


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DryStack]:
    with (
        clone_of_the_program(tmp_path_factory.mktemp("protected")) as root,
        pytest.MonkeyPatch.context() as patch,
    ):
        stack = production_stack(root, patch)
        stack.basec("up", "--yes")
        yield stack


def protected(stack: DryStack) -> list[str]:
    return sorted(each["urn"].rpartition("::")[2] for each in stack.resources() if each.get("protect"))


def test_every_edit_of_something_protected_is_named_not_only_the_first(production: DryStack) -> None:
    before = production.journal()
    with production.edited(SETTINGS, ("region: nyc3", "region: fra1")):
        outcome = production.basec("preview", code=5)
    for name in PROTECTED:
        assert f"--allow-replace {name}" in outcome.stderr
    assert "marked for protection" not in outcome.stderr
    assert production.journal() == before


def test_whoever_is_asked_for_a_yes_has_seen_each_resource_with_its_properties(production: DryStack) -> None:
    before = production.journal()
    with production.edited(SETTINGS, ("cpu_percent: 80", "cpu_percent: 81")):
        outcome = production.basec("up", code=2)
    shown, asked = outcome.stderr.split("basec: up: production: changes must be confirmed\n")
    assert "(MonitorAlert)" in shown
    assert "     value: 80 to 81" in shown
    assert asked == "hint: basec up --env production --yes\n"
    assert production.journal() == before


def test_a_removed_protection_is_refused_and_done_when_each_is_named(production: DryStack) -> None:
    assert protected(production) == PROTECTED
    allowed = [word for name in PROTECTED for word in ("--allow-replace", production.urn(name))]
    with production.edited(SETTINGS, ("protect: true", "protect: false")):
        for command in ("preview", "up"):
            outcome = production.basec(command, *allowed[2:], code=5)
            assert outcome.stderr.count("BC07 ") == 1, "the policy pack sees it first"
            assert f"--allow-replace {PROTECTED[0]}" in outcome.stderr
        assert protected(production) == PROTECTED
        production.basec("up", "--yes", *allowed)
        assert protected(production) == []
    production.basec("up", "--yes")
    assert protected(production) == PROTECTED, "an edit of protection alone is work too"


def test_a_protected_machine_of_another_image_is_made_anew_when_named_and_the_others_stay(
    production: DryStack,
) -> None:
    urn = production.urn("edge-droplet")
    production.rewrite("edge-droplet", image="debian-12-x64")  # as if it had been made before the inventory was edited
    old = production.records("droplet")
    outcome = production.basec("up", "--yes", code=5)
    assert "the image would change ('debian-12-x64' -> 'debian-13-x64')" in outcome.stderr
    production.basec("preview", "--allow-replace", urn)
    assert production.records("droplet") == old
    production.basec("up", "--yes", "--allow-replace", urn)
    new = production.records("droplet")
    (gone,) = set(old) - set(new)
    assert old[gone]["urn"] == urn
    assert len(new) == len(old)
    assert protected(production) == PROTECTED
    assert "up: nothing to do" in production.basec("up", "--yes").stderr


def test_down_destroys_a_protected_stack_under_its_own_name_only(production: DryStack) -> None:
    before = production.journal()
    for named in ((), ("--allow-destroy", "staging")):
        assert "destroy: every machine" in production.basec("down", *named, code=5).stderr
    assert production.journal() == before
    production.basec("down", "--allow-destroy", "production")
    assert production.records("droplet") == production.records("volume") == production.records("reserved_ip") == {}
