"""The tracked files load, and everything that is wrong anywhere is reported at once."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from tests.unit.topology_support import ROOT, project, raw_settings, tree_copy, with_value
from topology.errors import ConfigurationError, ExitCode, Problem
from topology.inventory import droplet_of, load_inventory
from topology.project import load_project, required_secrets
from topology.settings import SECRET_KEYS
from topology.versions import load_versions

STACKS = ("local", "staging", "production")


def _report(root: Path, stack: str = "staging", settings: object = None, secrets: object = SECRET_KEYS) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_project(root, stack, settings or raw_settings(stack), secrets)  # type: ignore[arg-type]
    assert caught.value.exit_code is ExitCode.CONFIGURATION
    return caught.value.render()


@pytest.mark.parametrize("stack", STACKS)
def test_tracked_stack_loads(stack: str) -> None:
    assert project(stack).stack == stack


@pytest.mark.parametrize("stack", STACKS)
def test_tracked_stack_holds_settings_only_and_no_secret(stack: str) -> None:
    assert list(yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]) == ["basecommerce:settings"]


def test_cloud_stacks_share_neither_zone_nor_network() -> None:
    staging, production = project("staging").settings, project("production").settings
    assert staging.cloudflare.zone_id != production.cloudflare.zone_id
    assert not staging.vpc_ip_range.overlaps(production.vpc_ip_range)


def test_project_runs_in_the_repositorys_own_environment() -> None:
    file = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    assert (file["name"], file["runtime"]) == ("basecommerce", {"name": "python", "options": {"virtualenv": ".venv"}})


def test_problems_of_all_files_and_secrets_are_raised_at_once(tmp_path: Path) -> None:
    root = tree_copy(tmp_path)
    (root / "versions.yaml").unlink()
    inventory = (root / "inventory.yaml").read_text().replace("role: edge", "role: front")
    (root / "inventory.yaml").write_text(inventory.replace("size_gib: 10", "size_gib: 0"))
    settings = with_value(with_value(raw_settings(), "images.tag", "latest"), "domain", "X")
    report = _report(root, settings=settings, secrets=set(SECRET_KEYS) - {"token_key", "cloudflare:apiToken"})
    assert [line.rpartition(": ")[0] for line in report.splitlines() if not line.startswith("hint:")] == [
        "Pulumi.staging.yaml: basecommerce:settings.domain",
        "Pulumi.staging.yaml: basecommerce:settings.images.tag",
        "inventory.yaml: droplets.infra.volume.size_gib",
        "inventory.yaml: droplets.edge.role",
        "versions.yaml",
        "Pulumi.staging.yaml: 2 secrets are not set",
    ]
    assert "Pulumi.staging.yaml: 2 secrets are not set: token_key, cloudflare:apiToken\nhint: run `basec init" in report


def test_wrong_field_does_not_hide_another_in_the_same_section(tmp_path: Path) -> None:
    settings = with_value(with_value(raw_settings(), "ssh.user", "root"), "ssh.sources", [])
    assert [line.split(": ")[1] for line in _report(tree_copy(tmp_path), settings=settings).splitlines()[::2]] == [
        "basecommerce:settings.ssh.user",
        "basecommerce:settings.ssh.sources",
    ]


def test_missing_file_is_one_problem_with_a_hint(tmp_path: Path) -> None:
    (tree_copy(tmp_path) / "inventory.yaml").unlink()
    assert _report(tmp_path) == (
        f"inventory.yaml: there is no such file in {tmp_path}\nhint: restore it with `git checkout`"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("debian: {suite: trixie", "is not valid YAML: line 1, column 23: expected ',' or '}', but got '<stream end>'"),
        ("a: 1\n  b: 2\n", "is not valid YAML: line 2, column 4: mapping values are not allowed here"),
        (
            "pulumi: {version: 3.259.0}\ndebian: {suite: trixie}\npulumi: {version: 3.1.0}\n",
            "is not valid YAML: line 3, column 1: the key 'pulumi' is in this mapping twice, first in line 1",
        ),
        ("debian: !!python/object:os.system {}\n", None),
    ],
    ids=["syntax", "indentation", "key twice", "python object"],
)
def test_text_that_is_not_strict_yaml_is_refused_with_its_line(tmp_path: Path, text: str, message: str | None) -> None:
    (tree_copy(tmp_path) / "versions.yaml").write_text(text)
    report = _report(tmp_path)
    assert report.startswith("versions.yaml: " + (message or "is not valid YAML: line 1"))
    assert report.endswith("\nhint: correct the line; indent with two spaces")


@pytest.mark.parametrize(("text", "message"), [("", "is empty"), ("- 1\n", "expected a mapping, got the list [1]")])
def test_file_without_a_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tree_copy(tmp_path) / "versions.yaml").write_text(text)
    assert _report(tmp_path) == f"versions.yaml: {message}\nhint: write one `key: value` a line"


def test_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tree_copy(tmp_path) / "versions.yaml").write_bytes(b"\xff\xfe")
    assert _report(tmp_path).startswith("versions.yaml: cannot be read: line 1: 'utf-8' codec can't decode byte 0xff")


def test_stack_without_settings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_project(tree_copy(tmp_path), "staging", None, SECRET_KEYS)
    assert caught.value.render() == (
        "Pulumi.staging.yaml: basecommerce:settings: is missing\nhint: start from the tracked Pulumi.production.yaml"
    )


@pytest.mark.parametrize(
    ("stack", "hint"),
    [
        ("local", "run `basec init --env local`"),
        ("staging", "run `basec init --env staging`; to look without an account: `basec preview --env staging --dry`"),
    ],
)
def test_missing_secret_names_the_command_that_sets_it(stack: str, hint: str) -> None:
    report = _report(ROOT, stack, secrets=set(SECRET_KEYS) - {"host_key_edge"})
    assert report == f"Pulumi.{stack}.yaml: basecommerce:host_key_edge: this secret is not set\nhint: {hint}"


def test_secrets_may_be_named_with_the_project() -> None:
    names = [name if ":" in name else f"basecommerce:{name}" for name in SECRET_KEYS]
    assert load_project(ROOT, "staging", raw_settings(), names).stack == "staging"


def test_demo_password_is_for_local_stacks_only() -> None:
    assert load_project(ROOT, "local", raw_settings("local"), {*SECRET_KEYS, "demo_password"}).local
    assert _report(ROOT, secrets={*SECRET_KEYS, "demo_password"}) == (
        "Pulumi.staging.yaml: basecommerce:demo_password: this secret is only for local stacks\n"
        "hint: run `basec pulumi --env staging -- config rm basecommerce:demo_password`"
    )


def test_further_droplet_needs_a_host_key_of_its_own(tmp_path: Path) -> None:
    path = tree_copy(tmp_path) / "inventory.yaml"
    path.write_text(path.read_text().replace("  vertical: #", "  vertical-food: #"))
    path.write_text(
        re.sub(r"droplet: vertical|\bvertical\b(?=[],])", lambda match: match[0] + "-food", path.read_text())
    )
    assert "host_key_vertical_food" in required_secrets(load_inventory(path))


@pytest.mark.parametrize(
    "stack", ["dev", "development", "locals", "local_e2e", "Production", "local-", "local-e2e-2", f"local-{15 * 'x'}"]
)
def test_unknown_stack_is_refused_with_the_known_ones(stack: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_project(ROOT, stack, raw_settings("staging"), SECRET_KEYS)
    assert caught.value.problems[0] == Problem(
        file="stack",
        path="",
        message=f"'{stack}' is not a known stack",
        hint="known stacks: local, local-<suffix>, staging, production",
    )


@pytest.mark.parametrize("stack", ["local", "local-e2e", f"local-{14 * 'x'}"])
def test_local_stacks_have_a_suffix_of_their_own(stack: str) -> None:
    assert load_project(ROOT, stack, raw_settings("local"), SECRET_KEYS).local


def test_cloud_stack_refuses_the_local_domain() -> None:
    settings = with_value(with_value(raw_settings(), "domain", "localhost"), "cloudflare.zone_name", "localhost")
    assert _report(ROOT, settings=settings) == (
        "Pulumi.staging.yaml: basecommerce:settings.domain: 'localhost' is only for local stacks\n"
        "hint: write the full name in lower case, such as basecommerce.com.br"
    )


def test_a_domain_below_its_zone_is_for_an_advanced_certificate() -> None:
    settings = with_value(raw_settings("production"), "domain", "staging.basecommerce.com.br")
    assert _report(ROOT, "production", settings) == (
        "Pulumi.production.yaml: basecommerce:settings.domain: <tenant>.staging.basecommerce.com.br is deeper than the "
        "universal certificate of the zone 'basecommerce.com.br' covers: *.basecommerce.com.br\n"
        "hint: use a domain that is a zone of its own, such as staging-basecommerce.com.br; or order an advanced "
        "certificate for staging.basecommerce.com.br and *.staging.basecommerce.com.br, and set "
        "`cloudflare.certificate: advanced`"
    )
    ordered = with_value(settings, "cloudflare.certificate", "advanced")
    assert load_project(ROOT, "production", ordered, SECRET_KEYS).settings.domain == "staging.basecommerce.com.br"


def test_local_stack_refuses_a_real_domain() -> None:
    settings = raw_settings("local")
    for key in ("domain", "cloudflare.zone_name"):
        settings = with_value(settings, key, "basecommerce.com.br")
    assert _report(ROOT, "local", settings) == (
        "Pulumi.local.yaml: basecommerce:settings.domain: 'basecommerce.com.br' is not served by a local stack\n"
        "hint: use localhost: every browser resolves *.localhost to this machine"
    )


def test_range_that_one_region_reserves_is_refused_there_only() -> None:
    settings = with_value(raw_settings(), "vpc_ip_range", "10.10.16.0/20")
    assert load_project(ROOT, "staging", settings, SECRET_KEYS)
    assert _report(ROOT, settings=with_value(settings, "region", "nyc1")) == (
        "Pulumi.staging.yaml: basecommerce:settings.vpc_ip_range: '10.10.16.0/20' overlaps 10.10.0.0/16 "
        "(reserved by DigitalOcean in nyc1)\nhint: use another part of 10.0.0.0/8, such as 10.80.0.0/20"
    )


def test_tree_is_frozen() -> None:
    tree = project()
    with pytest.raises(ValueError, match="frozen"):
        tree.settings.ssh.user = "x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        tree.inventory.droplets["edge"] = tree.inventory.droplets["infra"]  # type: ignore[index]


def test_platform_is_an_alias_of_infra() -> None:
    inventory = project().inventory
    assert (inventory.resolve("platform"), inventory.resolve("edge"), inventory.bastion) == ("infra", "edge", "edge")
    with pytest.raises(KeyError):
        inventory.resolve("web")


@pytest.mark.parametrize("stack", STACKS)
def test_tags_are_lower_case_and_name_one_droplet_of_one_stack(stack: str) -> None:
    tree = project(stack)
    assert tree.tags("edge") == (f"basecommerce-{stack}-edge", "basecommerce", f"stack:{stack}", "role:edge")
    assert all(re.fullmatch(r"[a-z0-9:_-]+", tag) for name in tree.inventory.droplets for tag in tree.tags(name))


def test_images_of_applications_carry_the_stacks_tag_and_services_may_be_overridden() -> None:
    settings = with_value(raw_settings(), "images.services.redis", "registry.internal:80/redis:0123456789ab")
    tree = load_project(ROOT, "staging", settings, SECRET_KEYS)
    assert tree.image("auth") == "ghcr.io/procopio420/basecommerce/auth:sha-1234567"
    assert tree.images()["redis"] == "registry.internal:80/redis:0123456789ab"
    assert tree.images()["nginx"] == tree.versions.images.services["nginx"]


def test_one_application_may_have_another_image_than_the_rest() -> None:
    settings = with_value(raw_settings(), "images.services.relay", "registry.internal:80/outbox-relay:own-1")
    tree = load_project(ROOT, "staging", settings, SECRET_KEYS)
    assert tree.images()["relay"] == "registry.internal:80/outbox-relay:own-1"
    assert tree.images()["engines"] == "ghcr.io/procopio420/basecommerce/engines-worker:sha-1234567"


def test_pulumi_version_equals_the_installed_sdk() -> None:
    assert load_versions(ROOT / "versions.yaml").pulumi.version == version("pulumi")


@pytest.mark.parametrize(
    ("resource", "droplet"),
    [
        ("front-droplet", "front"),
        ("front-two-droplet", "front-two"),
        ("cloud-firewall-front-two", "front-two"),
        ("cloud-firewall-front-two-tag", "front-two"),
        ("zone-ssl", ""),
        ("storefront-host", ""),
        ("store-host-ready", "store"),
        ("store-stack-activation", "store"),
        ("dns-record", ""),
        ("network-vpc", ""),
    ],
)
def test_a_resource_is_of_the_droplet_with_the_longest_name_in_its_own(resource: str, droplet: str) -> None:
    assert droplet_of(resource, ["front", "front-two", "host", "stack", "store", "vpc"]) == droplet


def test_lines_of_the_rule_table_for_one_port_add_up() -> None:
    inventory = load_inventory(ROOT / "inventory.yaml")
    line = inventory.rules[0].model_copy(update={"name": "more", "sources": ("vertical",), "ports": ("80",)})
    more = inventory.model_copy(update={"rules": (*inventory.rules, line)})
    assert more.open_ports("edge")["tcp", "80"] == ("cloudflare", "vertical")
    assert more.open_ports("edge")["tcp", "443"] == ("cloudflare",)
