"""A name that the inventory may have is one that the compose files can work with, or it is refused with a reason."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.unit.topology_support import ROOT, project, raw_settings, tree_copy
from topology.bundle import build_bundle
from topology.errors import ConfigurationError
from topology.inventory import ROLES, load_inventory
from topology.project import load_project, required_secrets
from topology.secrets import secret_files
from topology.tier_variables import host_variables, required_variables


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "compose", tmp_path / "compose", ignore=shutil.ignore_patterns("__pycache__"))
    return tree_copy(tmp_path)


def _renamed(root: Path, old: str, new: str) -> None:
    """Rename a droplet in its own entry and in the rule table."""
    file = root / "inventory.yaml"
    text = re.sub(rf"^  {old}:", f"  {new}:", file.read_text(), flags=re.MULTILINE)
    text = re.sub(rf"droplet: {old}\b", f"droplet: {new}", text)
    file.write_text(re.sub(rf"(from: \[.*)\b{old}\b", rf"\g<1>{new}", text))


SECOND_EDGE = """\
  front:
    role: edge
    size: s-1vcpu-1gb
    image: debian-13-x64

# The one rule table."""


def _add_vertical(root: Path) -> None:
    """Add what a second application needs: a droplet, and a folder with the compose file of the first."""
    shutil.copytree(root / "compose/vertical", root / "compose/plumbing")
    compose = root / "compose/plumbing/compose.yaml"
    compose.write_text(compose.read_text().replace("SECRET_CONSTRUCTION_ENV", "SECRET_PLUMBING_ENV"))
    file = root / "inventory.yaml"
    second = "  second:\n    role: vertical\n    vertical: plumbing\n    size: s-1vcpu-1gb\n    image: debian-13-x64\n"
    file.write_text(file.read_text().replace("\n# The one rule table.", f"{second}\n# The one rule table."))


def _built(root: Path) -> list[str]:
    """Load the project and build its tiers, as every command does before it touches anything."""
    secrets = required_secrets(load_inventory(root / "inventory.yaml"))
    renamed = load_project(root, "staging", raw_settings(), secrets)
    return [build_bundle(renamed, name).tier for name in renamed.inventory.droplets]


def _refusal(root: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        _built(root)
    return caught.value.render()


@pytest.mark.parametrize(("old", "new"), [("infra", "data-base"), ("vertical", "shop"), ("edge", "front")])
def test_a_droplet_may_have_any_name(root: Path, old: str, new: str) -> None:
    _renamed(root, old, new)
    assert set(_built(root)) == {"infra", "vertical", "edge"}, "peers know it by what runs there"


def test_a_second_vertical_has_a_bundle_secrets_and_a_login_of_its_own(root: Path) -> None:
    _add_vertical(root)
    secrets = required_secrets(load_inventory(root / "inventory.yaml"))
    loaded = load_project(root, "staging", raw_settings(), secrets)
    assert set(_built(root)) == {"infra", "vertical", "plumbing", "edge"}
    assert secret_files(loaded, "second") == ("plumbing.env",)
    assert {"database_password_plumbing", "host_key_second"} <= set(secrets)


def test_a_second_edge_has_the_same_tier(root: Path) -> None:
    file = root / "inventory.yaml"
    file.write_text(file.read_text().replace("\n# The one rule table.", SECOND_EDGE))
    assert _built(root).count("edge") == 2


def test_an_address_of_a_tier_that_runs_nowhere_is_refused(root: Path) -> None:
    compose = root / "compose/vertical/compose.yaml"
    compose.write_text(compose.read_text().replace("INFRA_ADDRESS", "CACHE_ADDRESS"))
    assert _refusal(root) == (
        "compose/vertical/compose.yaml: CACHE_ADDRESS: no droplet of inventory.yaml sets it\n"
        "hint: let a droplet run the tier `cache`, or use one of: INFRA_ADDRESS, VERTICAL_ADDRESS, EDGE_ADDRESS"
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    vertical: plumbing\n", "    vertical: construction\n    compose: vertical\n", "runs on vertical already"),
        ("    role: vertical\n    vertical: plumbing\n", "    role: infra\n", "'infra' is already the role of infra"),
    ],
)
def test_a_tier_that_may_run_once_is_not_declared_twice(root: Path, old: str, new: str, said: str) -> None:
    _add_vertical(root)
    file = root / "inventory.yaml"
    file.write_text(file.read_text().replace(old, new))
    assert said in _refusal(root)


def test_a_vertical_without_the_secret_file_that_compose_requires_is_refused(root: Path) -> None:
    file = root / "inventory.yaml"
    file.write_text(file.read_text().replace("vertical: construction", "vertical: shop"))
    message, hint = _refusal(root).splitlines()
    assert message.startswith(
        "compose/vertical/compose.yaml: SECRET_CONSTRUCTION_ENV: vertical has no such secret file"
    )
    assert "SECRET_SHOP_ENV" in message
    assert hint.startswith("hint: write `vertical: construction` at `droplets.vertical` of inventory.yaml, or ")


@pytest.mark.parametrize(("tier", "variable"), [("edge", "IMAGE_CACHE"), ("infra", "CACHE_DIR"), ("vertical", "DEBUG")])
def test_any_variable_that_nothing_sets_is_refused(root: Path, tier: str, variable: str) -> None:
    file = root / "compose" / tier / "compose.yaml"
    file.write_text(file.read_text().replace("read_only: true", f"read_only: true\n  hostname: ${{{variable}:?}}", 1))
    assert _refusal(root).startswith(
        f"compose/{tier}/compose.yaml: {variable}: no image, setting, directory or `x-live` sets it\n"
    )


@pytest.mark.parametrize("name", ["cloudflare", "private"])
def test_a_word_with_another_meaning_is_no_name_of_a_droplet(root: Path, name: str) -> None:
    _renamed(root, "vertical", name)
    report = _refusal(root)
    assert f"inventory.yaml: droplets.{name}: '{name}' already means " in report
    assert "hint: choose another name" in report


def test_the_tracked_tiers_get_all_that_they_require() -> None:
    for stack in ("local", "staging", "production"):
        for tier in ROLES:
            assert build_bundle(project(stack), tier).tier == tier


def test_required_is_what_has_no_default() -> None:
    document = {
        "a": ["${A:?} ${B?must} $C ${D}", {"b": "${E:-x} ${F-x} ${G:+x} $$H $${I} \\d$"}],
        "${KEY}": 5,
        "c": "${J:-${K:?}}",
    }
    assert required_variables(document) == {"A", "B", "C", "D", "K"}


def test_addresses_are_named_as_compose_names_them() -> None:
    addresses = {"infra": "10.0.0.2", "vertical": "10.0.0.3", "edge": "10.0.0.4"}
    assert host_variables(project().inventory, "infra", addresses) == {
        "INFRA_ADDRESS": "10.0.0.2",
        "VERTICAL_ADDRESS": "10.0.0.3",
        "EDGE_ADDRESS": "10.0.0.4",
        "PRIVATE_ADDRESS": "10.0.0.2",
    }


def test_secret_files_are_named_without_a_value() -> None:
    assert secret_files(project(), "vertical") == ("construction.env",)
