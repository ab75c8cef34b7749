"""A preview under the real engine: what is told of an edit, of two commits, and that no secret is in it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from basec.environments import Environment
from basec.secrets.stack_file import StackFile, full_key
from tests.cli.cloud_clone import Clone, make
from tests.cli.dry import DryStack, local_stack_that_is_up

pytestmark = pytest.mark.engine

LINE = ("compose/edge/nginx/nginx.conf", ("worker_processes", "# one line\nworker_processes"))
PORT = ("inventory.yaml", ("ports: [5432]", "ports: [5432, 5433]"))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DryStack]:
    with local_stack_that_is_up(tmp_path_factory) as made:
        yield made


def test_a_preview_tells_properties_files_and_effects_in_the_terminal_and_as_json(stack: DryStack) -> None:
    with stack.edited(LINE[0], LINE[1]), stack.edited(PORT[0], PORT[1]):
        shown = stack.basec("preview").stdout
        document = json.loads(stack.basec("preview", "--json").stdout)
    lines = shown.splitlines()
    assert "       +# one line" in lines
    assert "3 to update, 70 unchanged" in lines
    (edge,) = (line for line in lines if line.startswith("edge "))
    assert "nginx/nginx.conf +1 -0" in edge
    assert "reload: nginx: serves on, and reads its files again" in edge
    hosts = {each["host"]: each for each in document["hosts"]}
    assert list(hosts) == ["infra", "edge"], "in the order of the work"
    tags = "basecommerce-local-dry-vertical, basecommerce-local-dry-edge"
    admits = f"cloud-firewall-infra: admits tcp 5433 from {tags}"
    assert hosts["infra"]["changes"] == [admits, "infra-ufw-rules: stdin +4 -0"]
    assert (hosts["infra"]["effect"]["kind"], hosts["edge"]["effect"]["kind"]) == ("none", "reload")
    assert [each["order"] for each in document["resources"]] == [1, 2, 3]
    (release,) = (each["release"] for each in document["resources"] if each["release"])
    assert [file["name"] for file in release["files"]] == ["nginx/nginx.conf"]
    assert (release["services"], release["switches"], release["reloads"]) == ([], [], ["nginx"])


def test_no_secret_is_in_a_preview_of_changed_secrets(stack: DryStack) -> None:
    environment = Environment(name=stack.name, root=stack.root)
    file = StackFile(environment)
    text = environment.stack_file.read_text()
    values = [file.secret(full_key(name)) for name in file.secret_names]
    new = {name: f"canary-{name}-of-a-new-secret" for name in ("redis_password", "database_password_auth", "token_key")}
    try:
        file.add_secrets(new)
        said = [stack.basec("preview", *more) for more in ((), ("--json",))]
    finally:
        environment.stack_file.write_text(text)
    everything = "".join(one.stdout + one.stderr for one in said)
    assert "again, with changed secrets or addresses" in everything
    for value in (*values, *new.values()):
        for line in filter(lambda part: len(part) > 12, value.splitlines()):
            assert line not in everything


def test_a_dry_preview_shows_the_difference_of_two_commits(tmp_path: Path) -> None:
    clone = make(tmp_path)
    git(clone, "init", "--quiet")
    git(clone, "add", "--all", "--force", "--", ":!.venv")
    git(clone, "commit", "--quiet", "--message", "base")
    path = clone.root / LINE[0]
    path.write_text(path.read_text().replace(*LINE[1]))
    shown = clone.basec("preview", "--env", "staging", "--dry", "--base", "HEAD")
    assert shown.code == 0, shown.stderr
    assert "1 to update, 72 unchanged" in shown.stdout
    assert "nginx/nginx.conf +1 -0" in shown.stdout
    assert not clone.state.exists(), "nothing real was touched"
    for ref in ("no-such-commit", f"--output={tmp_path}/written"):
        unknown = clone.basec("preview", "--env", "staging", "--dry", f"--base={ref}")
        assert unknown.code == 2
        assert unknown.stderr.endswith(
            f"basec: preview: --base: no such commit: {ref}\nhint: git log --oneline lists the commits\n"
        )
    assert not (tmp_path / "written").exists()
    assert clone.basec("preview", "--env", "staging", "--base", "HEAD").code == 2


def git(clone: Clone, *arguments: str) -> None:
    who = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
    subprocess.run(["git", *who, *arguments], cwd=clone.root, check=True, capture_output=True)
