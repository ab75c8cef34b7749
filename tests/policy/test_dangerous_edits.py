"""Every edit of the table is refused by the pack's own judgement of the files, and what is harmless is not."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from policy.pack import judge, judge_files, judge_stack
from policy.stack import NoStackError, load_stack
from tests.policy.dangerous_edits import (
    NAMED,
    NGINX,
    OWN,
    POSTGRESQL,
    REDIS,
    SETTINGS_REFUSED,
    USER_DATA,
    Edit,
    added,
    both,
    data,
    more,
    rule,
    service,
    text,
)
from tests.policy.fixtures import stack, whole
from tests.unit.topology_support import ROOT
from topology.names import STACK_FILE_VARIABLE
from topology.policy_rules import Violation

JUDGED = ("compose", "cloud-init", "requirements.txt", "*.yaml")
"""What the pack reads of a tree."""
REDIS_IMAGE = "docker.io/library/redis:8.0.6-bookworm"
EXPORTER = {
    "image": "docker.io/oliver006/redis_exporter:v1.78.0",
    "user": "59000:59000",
    "mem_limit": "6m",
    "pids_limit": 16,
    "healthcheck": {
        "test": ["CMD", "/redis_exporter", "--version"],
        "interval": "1m",
        "timeout": "5s",
        "retries": 3,
        "start_period": "1m",
        "start_interval": "1s",
    },
    "restart": "unless-stopped",
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "networks": ["infra"],
    "logging": {"driver": "local", "options": {"max-size": "10m", "max-file": "3"}},
}
"""The anchor's keys, and what each service must say itself."""

HARMLESS: Mapping[str, Edit] = {
    "digest-and-tag": data("versions.yaml", "images.services.redis", f"{REDIS_IMAGE}@sha256:{'0a' * 32}"),
    "digest-alone": data("versions.yaml", "images.services.postgres", f"docker.io/library/postgres@sha256:{'0a' * 32}"),
    "newer-patch": data("versions.yaml", "images.services.postgres", "docker.io/library/postgres:17.11-trixie"),
    "another-tag": data("Pulumi.production.yaml", "config.basecommerce:settings.images.tag", "v2026.11.30"),
    "further-service": service("infra", "exporter", EXPORTER),
    "slower-health-check": service("infra", "redis.healthcheck.interval", "30s"),
    "less-memory": service("infra", "redis.mem_limit", "320m"),
    "share-of-the-cpu": service("edge", "nginx.cpu_shares", 2048),
    "label-and-variable": both(
        service("edge", "auth.labels", {"com.example.team": "shop", "com.example.password-policy": "strict"}),
        service("edge", "auth.environment", {"LOG_LEVEL": "info", "AUTH_ENABLED": "true", "TOKEN_SECONDS": 604800}),
    ),
    "hidden-file-of-an-image": more("edge", "auth.volumes", "/dev/null:/app/logs/app.log:ro"),
    "x-anchor": data("compose/infra/compose.yaml", "x-more", {"restart": "unless-stopped"}),
    "settings-of-the-server": both(
        added(POSTGRESQL, "fsync = on # as it is\nwork_mem = 8MB\nsynchronous_commit on\n"),
        added(REDIS, "hz 20\nuser default off\n"),
        text(NGINX, r"keepalive_timeout 65s;", "keepalive_timeout 75s; # trust nobody\n"),
    ),
    "logins-by-hba": both(
        added(
            "compose/infra/postgres/pg_hba.conf",
            "local all basecommerce peer map=x\nhost shop relay,engines 10.80.0.0 255.255.240.0 scram-sha-256\n"
            "hostssl shop +logins 10.80.0.0/20 scram-sha-256 # services\nhost all all all reject\n",
        ),
        added(POSTGRESQL, "hba_file = '/etc/basecommerce/pg_hba.conf'\n"),
    ),
    "another-port-between-peers": rule("construction-http", ports=[8000, 8001]),
    "further-location": added(
        "compose/edge/nginx/locations.conf", "location /more/ { proxy_pass http://auth/more/; }\n"
    ),
    "tls-1.3-alone": text(NGINX, r"ssl_protocols .*;", "ssl_protocols TLSv1.3;"),
    "file-of-first-boot": text(
        USER_DATA,
        r"^write_files:$",
        "write_files:\n  - path: /etc/sysctl.d/60-basecommerce.conf\n    content: vm.swappiness=10\n",
    ),
}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy what the pack reads."""
    monkeypatch.delenv(STACK_FILE_VARIABLE, raising=False)
    for pattern in JUDGED:
        for path in ROOT.glob(pattern):
            copy = shutil.copytree if path.is_dir() else shutil.copy
            copy(path, tmp_path / path.name)
    return tmp_path


def violations(root: Path, name: str = "production") -> list[Violation]:
    """Judge a tree as the pack does, with the resources that its inventory makes."""
    judged = replace(load_stack(name, {}, root), secrets=stack(name).secrets)
    resources = list(whole(judged.project).values())
    found = [violation for item in resources for violation in judge(item, judged)]
    return [*found, *(violation for violation, _ in judge_stack(resources, judged)), *judge_files(judged)]


@pytest.mark.parametrize("name", ["local", "staging", "production"])
def test_the_tree_as_it_is_breaks_no_rule(tree: Path, name: str) -> None:
    assert [found.render() for found in violations(tree, name)] == []


EDITS = {**NAMED, **OWN}


@pytest.mark.parametrize(("rule_id", "edit"), EDITS.values(), ids=EDITS)
def test_a_dangerous_edit_is_refused_by_its_rule(tree: Path, rule_id: str, edit: Edit) -> None:
    edit(tree)
    if rule_id == SETTINGS_REFUSED:
        with pytest.raises(NoStackError, match="the settings are wrong"):
            violations(tree)
        return
    found = [violation for violation in violations(tree) if violation.severity == "mandatory"]
    assert rule_id in {violation.rule.id for violation in found}, [violation.render() for violation in found]
    for violation in found:
        assert violation.resource
        assert violation.wanted
        assert all(len(line) > len("found: ") for line in violation.details().splitlines())
        assert "hunter2" not in violation.render()
        assert "a-word" not in violation.render()
        assert "\n" not in violation.found + violation.wanted + violation.fix


@pytest.mark.parametrize("edit", HARMLESS.values(), ids=HARMLESS)
def test_a_harmless_edit_is_let_through(tree: Path, edit: Edit) -> None:
    edit(tree)
    assert [found.render() for found in violations(tree)] == []


def test_an_edit_of_the_table_is_there_only_once() -> None:
    assert not set(NAMED) & set(OWN)
    assert len(NAMED) >= 27
    assert len(OWN) >= 15
