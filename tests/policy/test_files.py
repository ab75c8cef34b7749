"""Rules that are checked in files: compose projects, and how a stack keeps its secrets."""

from __future__ import annotations

import copy
import subprocess
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from policy import host_rules, stack_rules
from policy.compose_rules import compose_violations, read_bundle
from policy.container_rules import SERVICE_KEYS
from policy.host_rules import host_violations
from policy.pack import judge_files
from policy.server_rules import server_violations
from policy.stack import Stack
from policy.stack_secrets import clear_secrets, shared_secrets, weak_secrets
from tests.policy.fixtures import PASSWORD, stack
from tests.unit.topology_support import REMOVED, with_value
from topology.bundle import Bundle, build_bundle, pack
from topology.errors import ConfigurationError, Problem
from topology.policy_rules import RULES, Violation
from topology.secret_texts import shown, tracked_secrets

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ("BC17", "BC18", "BC19", "BC22", "BC23")
PEM = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\n"


def compose(droplet: str) -> dict[str, Any]:
    project = stack().project
    return copy.deepcopy(read_bundle(build_bundle(project, project.droplet(droplet).role)))


@pytest.mark.parametrize("name", ["local", "staging", "production"])
def test_every_tier_of_every_stack_is_fixed_and_confined(name: str) -> None:
    assert [found.render() for found in stack_rules.shipped_files(stack(name))] == []


def test_the_variables_of_a_bundle_are_filled_in() -> None:
    image = compose("infra")["services"]["postgres"]["image"]
    assert image.startswith("docker.io/library/postgres:")
    assert compose("infra")["services"]["postgres"]["ports"] == ["${PRIVATE_ADDRESS:?}:5432:5432"]


COMPOSE: list[tuple[str, str, str, object, str]] = [
    ("BC17", "infra", "postgres.image", "docker.io/library/postgres", "image: docker.io/library/postgres"),
    ("BC17", "infra", "postgres.image", "docker.io/library/postgres:latest", "postgres:latest"),
    ("BC17", "infra", "postgres.ports", ["5432:5432"], "ports: 5432:5432"),
    ("BC17", "infra", "postgres.ports", ["0.0.0.0:5432:5432"], "ports: 0.0.0.0:5432:5432"),
    ("BC17", "infra", "postgres.ports", ["${PRIVATE_ADDRESS:?}:9000:9000"], "9000:9000"),
    ("BC17", "vertical", "haproxy.ports", ["0.0.0.0:8000:8000"], "ports: 0.0.0.0:8000"),
    ("BC17", "edge", "nginx.ports", ["0.0.0.0:8001:8001"], "ports: 0.0.0.0:8001"),
    ("BC17", "infra", "postgres.ports", ["127.0.0.1:5432:5432"], "ports: 127.0.0.1:5432:5432"),
    ("BC17", "infra", "postgres.ports", ["${PRIVATE_ADDRESS:?}:22:5432"], ":22:5432"),
    ("BC17", "infra", "postgres.ports", ["${PRIVATE_ADDRESS:?}:5432:80/tcp"], ":5432:80/tcp"),
    ("BC18", "infra", "redis.mem_limit", None, "mem_limit: none"),
    ("BC18", "infra", "redis.pids_limit", None, "pids_limit: none"),
    ("BC18", "infra", "redis.mem_limit", "1g", "memory limits add up to"),
    (
        "BC18",
        "vertical",
        "construction-green.mem_limit",
        "784m",
        "add up to 1216 MiB, with both colours of each service",
    ),
    ("BC18", "infra", "redis.mem_limit", "5m", "mem_limit: 5m"),
    ("BC18", "infra", "redis.user", "0:0", "user: 0:0"),
    ("BC18", "infra", "redis.cap_drop", ["NET_RAW"], "cap_drop: ['NET_RAW']"),
    ("BC18", "infra", "redis.cap_add", ["SYS_ADMIN"], "cap_add: ['SYS_ADMIN']"),
    ("BC18", "infra", "redis.security_opt", [], "security_opt: []"),
    ("BC18", "infra", "redis.read_only", False, "read_only: off"),
    ("BC18", "infra", "redis.logging", {"driver": "json-file"}, "json-file"),
    ("BC18", "infra", "redis.logging.driver", "json-file", "logging: {'driver': 'json-file', 'options'"),
    ("BC18", "infra", "redis.logging.options.max-size", "100m", "'max-size': '100m'"),
    *(("BC18", "infra", "redis.logging.options.max-file", count, f"'max-file': {count!r}") for count in ("1", "6", 6)),
    ("BC18", "infra", "redis.logging.options", {"max-size": "10m"}, "'options': {'max-size': '10m'}"),
    ("BC18", "infra", "redis.logging.options", {"max-file": "3"}, "'options': {'max-file': '3'}"),
    ("BC18", "infra", "redis.volumes", ["/var/run/docker.sock:/var/run/docker.sock"], "the Docker socket"),
    ("BC18", "infra", "redis.privileged", True, "privileged: True"),
    ("BC18", "infra", "redis.network_mode", "host", "network_mode: host"),
    *(("BC18", "infra", "redis.restart", word, f"restart: {word}") for word in ("no", "always", "on-failure:5")),
    ("BC18", "infra", "redis.healthcheck", {"disable": True}, "healthcheck: none"),
    ("BC18", "infra", "redis.healthcheck.test", "redis-cli ping", "healthcheck: redis-cli ping"),
    ("BC18", "infra", "redis.healthcheck.test", ["CMD-SHELL", "redis-cli ping"], "healthcheck: CMD-SHELL redis-cli"),
    ("BC18", "infra", "redis.healthcheck.test", ["CMD", "sh", "-c", "true"], "healthcheck: CMD sh -c true"),
    ("BC18", "infra", "redis.healthcheck.test", ["CMD"], "healthcheck: CMD"),
    ("BC18", "infra", "redis.1", "x", "1: x"),
    *(
        ("BC18", "infra", f"redis.healthcheck.{key}", REMOVED, f"healthcheck: no {key}")
        for key in ("interval", "timeout", "retries", "start_period", "start_interval")
    ),
    ("BC18", "infra", "redis.networks", REMOVED, "networks: none"),
    (
        "BC18",
        "infra",
        "redis.environment",
        {"DOCKER_HOST": "unix:///run/docker.sock"},
        "environment: the Docker socket",
    ),
]


@pytest.mark.parametrize(
    ("rule", "droplet", "path", "value", "says"), [pytest.param(*case, id=f"{case[0]}-{case[4]}") for case in COMPOSE]
)
def test_each_way_to_loosen_a_container_is_named(rule: str, droplet: str, path: str, value: object, says: str) -> None:
    document = with_value(compose(droplet), f"services.{path}", value)
    found = list(compose_violations(stack().project, droplet, document))
    assert [violation for violation in found if violation.rule.id == rule and says in violation.found]
    assert all(violation.resource.startswith("compose/") for violation in found)


MENDS = {
    "image: docker.io/library/postgres": "pin it in versions.yaml, or in `images` of the stack's settings",
    "ports: 5432:5432": "write ${PRIVATE_ADDRESS:?}:5432:5432",
    "9000:9000": "do not publish it, or open it for infra in the table `firewall` of inventory.yaml",
    "mem_limit: none": "write a `mem_limit` for this service",
    "memory limits add up to": "lower a mem_limit in compose/infra/compose.yaml, "
    "or give the droplet infra a bigger `size` in inventory.yaml",
    "user: 0:0": "write `user` with the numbers of the user that the image is made for",
    "the Docker socket": "remove that volume",
    "cap_add: ['SYS_ADMIN']": "remove `cap_add`",
    "healthcheck: none": "write a `healthcheck` with a `test`, without `disable`",
}


@pytest.mark.parametrize(
    ("droplet", "path", "value", "says"), [pytest.param(*case[1:], id=case[4]) for case in COMPOSE if case[4] in MENDS]
)
def test_the_fix_is_the_one_for_what_was_found(droplet: str, path: str, value: object, says: str) -> None:
    document = with_value(compose(droplet), f"services.{path}", value)
    found = list(compose_violations(stack().project, droplet, document))
    assert [violation.fix for violation in found if says in violation.found] == [MENDS[says]]


def test_a_service_that_has_a_fault_in_one_colour_alone_is_named() -> None:
    document = with_value(compose("edge"), "services.auth-green.privileged", True)
    found = [each for each in compose_violations(stack().project, "edge", document) if each.rule.id == "BC18"]
    assert [each.resource for each in found] == ["compose/edge/compose.yaml: services.auth-green"]


def test_the_anchor_fixes_each_finding_that_recommends_it() -> None:
    """The rule's own words send to `x-service`: so what it does not hold must have a fix of its own."""
    anchor = yaml.safe_load((ROOT / "compose/infra/compose.yaml").read_text())["x-service"]
    answered = set()
    for _, droplet, path, value, _ in COMPOSE:
        for violation in compose_violations(
            stack().project, droplet, with_value(compose(droplet), f"services.{path}", value)
        ):
            if violation.rule.id == "BC18" and not violation.fix:
                answered.add(violation.found.partition(":")[0])
    assert answered == {"cap_drop", "security_opt", "read_only", "logging", "restart"}
    mended = compose("infra")
    for key in answered:
        del mended["services"]["redis"][key]
    assert len(list(compose_violations(stack().project, "infra", mended))) == len(answered)
    mended["services"]["redis"] |= anchor
    assert list(compose_violations(stack().project, "infra", mended)) == []


def test_a_digest_is_as_good_as_a_tag() -> None:
    document = with_value(compose("infra"), "services.redis.image", "docker.io/library/redis@sha256:" + "a" * 64)
    assert list(compose_violations(stack().project, "infra", document)) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("basecommerce:postgres_password", "hunter2-hunter2-hunter2"),
        ("basecommerce:login_private_key", "abc"),
        ("digitalocean:token", "abc"),
        ("cloudflare:apiToken", "abc"),
        ("aws:secret_access_key", "abc"),
        ("basecommerce:host_key_edge", "abc"),
        ("basecommerce:origin_key", "abc"),
        ("basecommerce:note", PEM),
        ("basecommerce:store", "https://user:hunter2@example.net/x"),
        ("basecommerce:other", "dop_v1_" + "0" * 64),
        ("basecommerce:settings", {"deep": [{"redis_password": "abc"}]}),
        ("basecommerce:made", {"basecommerce:redis_password": "2026-11-20 and-the-whole-password"}),
    ],
)
def test_a_secret_in_clear_is_named_by_its_key_alone(key: str, value: object) -> None:
    (path,) = clear_secrets({"config": {key: value}})
    assert path.startswith(f"config.{key}")


def test_what_is_encrypted_or_public_is_no_secret_in_clear() -> None:
    config = {
        "basecommerce:postgres_password": {"secure": "v1:abc"},
        "basecommerce:settings": {"cloudflare": {"zone_id": "b7a2"}, "public_key": "ssh-ed25519 AAAA", "protect": True},
        "digitalocean:apiEndpoint": "https://api.digitalocean.com/v2",
        "pulumi:disable-default-providers": ["aws"],
        "basecommerce:made": {"basecommerce:postgres_password": "2026-11-20 aB3dE6gH"},
    }
    assert list(clear_secrets({"encryptionsalt": "v1:abc", "config": config})) == []


def test_weak_secrets_are_named_without_their_values() -> None:
    found = dict(weak_secrets({"a": "short", "b": "please-changeme-now-123", "c": PASSWORD}))
    assert found == {"a": "has 5 characters", "b": "is a value from an example"}


def test_two_environments_share_neither_salt_nor_cipher_text() -> None:
    mine = {"encryptionsalt": "v1:x", "config": {"basecommerce:token_key": {"secure": "v1:y"}, "plain": "same"}}
    theirs = copy.deepcopy(mine)
    assert list(shared_secrets(mine, theirs)) == ["encryptionsalt", "config.basecommerce:token_key"]
    theirs = {"encryptionsalt": "v1:z", "config": {"basecommerce:token_key": {"secure": "v1:w"}, "plain": "same"}}
    assert list(shared_secrets(mine, theirs)) == []


def broken(judged: Stack) -> dict[str, Violation]:
    """Judge a stack that has no resources, and give what breaks a rule, by place."""
    return {violation.resource: violation for violation in judge_files(judged) if violation.rule.id in SETTINGS}


def test_what_is_marked_for_the_settings_is_checked_in_files() -> None:
    assert {rule.id for rule in RULES.values() if "settings" in rule.where} == {"BC06", *SETTINGS}


def test_spoilt_compose_files_break_their_rules_at_the_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoilt(bundle: Bundle) -> Any:
        document = copy.deepcopy(read_bundle(bundle))
        for service in document["services"].values():
            service.update(image="docker.io/library/any:latest", privileged=True)
        return document

    monkeypatch.setattr(stack_rules, "read_bundle", spoilt)
    assert {violation.rule.id for violation in judge_files(stack())} == {"BC17", "BC18"}


def test_a_weak_secret_breaks_bc19_without_being_shown() -> None:
    judged = replace(stack(), secrets={"redis_password": "short-one"})
    (found,) = broken(judged).values()
    assert (found.rule.id, found.resource) == ("BC19", "Pulumi.production.yaml: redis_password")
    assert "short-one" not in found.render()
    assert found.fix == (
        "remove it from Pulumi.production.yaml, since `init` keeps what is there; then basec init --env production"
    )


def test_a_secret_that_was_copied_from_the_other_environment_breaks_bc19() -> None:
    document = {"config": {"basecommerce:token_key": {"secure": "v1:y"}}}
    judged = stack(document=document)
    vars(judged)["tracked"] = {"Pulumi.staging.yaml": document}
    (found,) = broken(judged).values()
    assert found.rule.id == "BC19"
    assert found.found == "the same as in Pulumi.staging.yaml"
    assert found.fix.startswith("remove it from Pulumi.production.yaml, then basec init --env production; ")


def test_a_stack_file_with_a_secret_in_clear_breaks_bc19() -> None:
    judged = stack(document={"config": {"basecommerce:redis_password": PASSWORD}})
    (found,) = [violation for violation in judge_files(judged) if violation.rule is RULES["BC19"]]
    assert found.resource == "Pulumi.production.yaml: config.basecommerce:redis_password"
    assert found.fix.startswith("remove it from Pulumi.production.yaml, then basec init --env production; ")
    assert PASSWORD not in found.render()


@pytest.mark.parametrize("value", [None, 5, True, "x", [], {}, [None], [5], [{}], {"a": [1]}, 1.5], ids=repr)
def test_a_value_of_another_form_is_judged_and_breaks_no_judge(value: object) -> None:
    project = stack().project
    files = build_bundle(project, "infra").files
    for key in sorted(SERVICE_KEYS):
        document = with_value(compose("infra"), f"services.postgres.{key}", value)
        list(compose_violations(project, "infra", document))
        list(server_violations(project, "infra", document, files))
    for key in ("services", "networks"):
        list(compose_violations(project, "infra", with_value(compose("infra"), key, value)))


NO_DOCUMENTS = [
    *("services: [\n", "day: 2026-02-30\n", "services: {[a]: b}\n"),
    *("day: !!timestamp x\n", "on: !!bool x\n", "size: !!int ''\n"),
]
"""No YAML, a day that does not exist, a list as a key; values that do not fit their tags."""


@pytest.mark.parametrize("text", NO_DOCUMENTS)
def test_what_is_no_yaml_is_a_violation_and_no_crash(text: str) -> None:
    project = stack().project
    files = {PurePosixPath("compose.yaml"): (text.encode(), False), PurePosixPath(".env"): (b"", False)}
    bundle = Bundle(tier="infra", digest="", tar=pack(files), images=())
    (found,) = compose_violations(project, "infra", read_bundle(bundle))
    assert (found.rule.id, found.found) == ("BC18", "no service")


@pytest.mark.parametrize("text", NO_DOCUMENTS)
def test_user_data_that_is_no_yaml_is_a_violation_and_no_crash(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(host_rules, "sample_user_data", lambda _project, _droplet: text)
    (found,) = host_violations(stack().project, "infra")
    assert (found.rule.id, found.found.partition(":")[0]) == ("BC22", "invalid YAML")


def test_a_token_in_any_tracked_file_breaks_bc19_by_the_files_name(tmp_path: Path) -> None:
    token = b"ghp_" + b"0aA" * 12
    for name in ("docs/a.md", "tests/made_up.py", "left-over.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"see " + token)
    assert list(tracked_secrets(tmp_path)) == [], "no clone tracks anything"
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    subprocess.run(["git", "-C", str(tmp_path), "add", "docs", "tests"], check=True)
    assert list(tracked_secrets(tmp_path)) == ["docs/a.md"], "tests make theirs up, and left-overs are nobody's"


def test_neither_a_binary_file_nor_an_edit_nor_gits_settings_hide_a_token(tmp_path: Path) -> None:
    token = b"ghp_" + b"0aA" * 12
    (tmp_path / "binary").write_bytes(b"\0\1" + token)
    (tmp_path / "edited").write_bytes(b"nothing yet")
    (tmp_path / "with a space").write_bytes(token)
    git = ["git", "-C", str(tmp_path)]
    for command in (
        ["init", "-q"],
        ["config", "color.ui", "always"],
        ["config", "grep.lineNumber", "true"],
        ["add", "."],
    ):
        subprocess.run([*git, *command], check=True)
    (tmp_path / "edited").write_bytes(token)
    assert list(tracked_secrets(tmp_path)) == ["binary", "edited", "with a space"]


def test_a_rule_about_tracked_files_is_part_of_the_judgement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack_rules, "tracked_secrets", lambda _root: ["docs/a.md"])
    (found,) = broken(stack()).values()
    assert (found.rule.id, found.resource) == ("BC19", "docs/a.md")


def test_a_value_that_looks_like_a_secret_is_not_shown() -> None:
    document = with_value(compose("infra"), "services.redis.provider", {"options": {"password": "hunter2-hunter2"}})
    found = [each.render() for each in compose_violations(stack().project, "infra", document)]
    assert found
    assert "hunter2" not in "".join(found)
    assert shown("command: a\n  b") == "command: a b"
    assert shown("x: " + "y" * 500).endswith("...")


def test_a_file_that_cannot_be_shipped_is_named_with_its_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_project: object, tier: str, _sources: object) -> Bundle:
        problem = Problem(file=f"compose/{tier}/a.pem", path="", message="looks like a secret", hint="remove it")
        raise ConfigurationError([problem])

    monkeypatch.setattr(stack_rules, "build_bundle", refuse)
    found = [each for each in judge_files(stack()) if each.resource == "compose/edge/a.pem"]
    assert [(each.rule.id, each.fix) for each in found] == [("BC19", "remove it")]
